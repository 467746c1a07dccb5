"""Run the notebooks, several at a time, into the cache that the page builder reads.

The cache's own key is a notebook's cells. They also depend on the library, the recorded runs, the
installed versions and the tier; when one of those changes, the whole cache is dropped.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from book.tools import project

TIMEOUT = 900  # seconds a cell


def cached(notebooks: Sequence[Path], cache_folder: Path, key: str, workers: int) -> bool:
    """Run each notebook that the cache does not hold.

    Args:
        notebooks: paths of the notebooks.
        cache_folder: where the cache lies.
        key: what outputs depend on besides the cells; another key empties the cache.
        workers: how many notebooks run at a time.

    Returns:
        True if every notebook is now in the cache; False if one failed (its error is printed).
    """
    if unfit := problems(notebooks):
        for sentence in unfit:
            print(sentence, file=sys.stderr)
        return False
    cache = _open_cache(cache_folder, key)
    # Read as version 4, as the page builder does: the cache compares cells as they were read.
    waiting = [path for path in notebooks if not _holds(cache, path)]
    print(f"notebooks: {len(notebooks)}, of which {len(waiting)} must run", flush=True)
    complete = True
    with ProcessPoolExecutor(max_workers=max(1, min(workers, len(waiting)))) as pool:
        jobs = {pool.submit(run, path): path for path in waiting}
        for job in as_completed(jobs):
            try:
                result = job.result()
            except Exception as error:  # the kernel died, or its process did
                said = str(error).strip().partition("\n")[0] or type(error).__name__
                print(f"{jobs[job].name} could not be run: {said}", file=sys.stderr)
                complete = False
                continue
            if result.err is not None:
                print(f"\n{jobs[job].name} failed:\n{result.exc_string}", file=sys.stderr)
                complete = False
                continue
            _store(cache, jobs[job], result.nb, execution_seconds=result.time)
            print(f"  {jobs[job].stem:24s} {result.time / 60:6.2f} min", flush=True)
    return complete


def problems(notebooks: Sequence[Path]) -> list[str]:
    """In words, why notebooks cannot be run: no notebook, or no such kernel in this environment.

    Args:
        notebooks: paths of the notebooks.
    """
    from jupyter_client.kernelspec import KernelSpecManager

    known = sorted(KernelSpecManager().find_kernel_specs())
    found = []
    for path in notebooks:
        try:
            kernel = read(path).metadata.get("kernelspec", {}).get("name", "python3")
        except ValueError as error:
            found.append(str(error))
            continue
        if kernel not in known:
            found.append(
                f"{path.name} asks for the kernel '{kernel}', and this environment has "
                f"{', '.join(known) or 'none'}: `python -m book.tools.strip --write` names python3"
            )
    return found


def run(path: Path) -> Any:
    """Run one notebook in its own folder with a fresh kernel of this very environment."""
    from jupyter_cache.executors.utils import single_nb_execution
    from traitlets.config import Config

    # A kernel that can encrypt its channels warns on every start if it was not asked to.
    encrypted = Config({"KernelManager": {"transport_encryption": "auto"}})
    return single_nb_execution(
        read(path),
        cwd=str(path.parent),
        timeout=TIMEOUT,
        allow_errors=False,
        config=encrypted,
    )


def stored(cache_folder: Path, notebook: Any) -> Any | None:
    """Return the run of a notebook that a cache holds, or None.

    Args:
        cache_folder: where the cache lies.
        notebook: as `read` returns it.
    """
    from jupyter_cache import get_cache

    cache = get_cache(cache_folder)
    try:
        return cache.get_cache_bundle(cache.match_cache_notebook(notebook).pk).nb
    except KeyError:
        return None


def keep(cache_folder: Path, path: Path, notebook: Any) -> None:
    """Keep a run once more, under cells whose metadata were changed since: it is not run again.

    Args:
        cache_folder: where the cache lies.
        path: of the notebook that was run.
        notebook: the run, with its cells' new metadata.
    """
    from jupyter_cache import get_cache

    _store(get_cache(cache_folder), path, notebook)


def environment(tier: str, workers: int) -> dict[str, str]:
    """Return the variables under which chapters run: this environment's kernel alone."""
    prefix = Path(sys.prefix)
    cores = os.cpu_count() or 1
    return {
        "ALIGN_TIER": tier,
        "JUPYTER_CONFIG_DIR": str(prefix / "etc" / "jupyter"),
        "JUPYTER_DATA_DIR": str(prefix / "share" / "jupyter"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(prefix / "share" / "ipython"),
        "PYTHONNOUSERSITE": "1",
        # Two notebooks on two cores: one thread each is faster than two that wait for each other.
        "OMP_NUM_THREADS": str(max(1, cores // max(1, workers))),
        # A progress bar is for a reader who waits; on a finished page it is noise.
        "TQDM_DISABLE": "1",
        # Sliders are drawn beforehand.
        "ALIGN_STATIC": "1",
    }


def read(path: Path) -> Any:
    """Read a notebook as the page builder does: as version 4."""
    return project.notebook(path)


def _open_cache(folder: Path, key: str) -> Any:
    from jupyter_cache import get_cache

    stamp = folder / "key.txt"
    if folder.exists() and (not stamp.exists() or stamp.read_text() != key):
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stamp.write_text(key)
    return get_cache(folder)


def _holds(cache: Any, path: Path) -> bool:
    try:
        cache.match_cache_notebook(read(path))
    except KeyError:
        return False
    return True


def _store(cache: Any, path: Path, notebook: Any, **data: float) -> None:
    from jupyter_cache.base import CacheBundleIn

    bundle = CacheBundleIn(notebook, str(path), data=data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)


def cache_key(tier: str) -> str:
    """Return what outputs depend on besides the notebooks' own cells."""
    return f"{tier} {sys.version_info[0]}.{sys.version_info[1]} " + project.fingerprint(
        pages_too=False
    )
