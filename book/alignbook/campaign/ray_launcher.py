"""The same runs on a Ray cluster: Ray decides which machine makes which run and when."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from align import records
from align.experiment import Experiment, run
from alignbook.campaign import same_data
from alignbook.campaign.runner import OTHER_DATA, claim, describe, missing

GPU_SHARE = 0.25
"""Part of a GPU that a run asks for where the cluster has any: toy runs leave most of it idle."""


def run_all(
    experiments: Sequence[Experiment],
    path: Path,
    *,
    root: str | Path | None = None,
    work: Path | None = None,
    threads: int = 1,
    progress: bool = True,
) -> int:
    """Make the runs that are not recorded yet on a Ray cluster, and record each as it ends.

    The cluster is the one that the environment variable `RAY_ADDRESS` names, else this machine.
    Records are written here alone, so the workers need the library and the data and no common disk.

    Returns:
        The number of runs made now.

    Raises:
        ModuleNotFoundError: if Ray is not installed.
        RuntimeError: if runs failed, once every other run is made.
    """
    ray = _ray()
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    gpus = GPU_SHARE if ray.cluster_resources().get("GPU") else 0
    remote = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=2)(_record)
    claims = (path.with_suffix("") if work is None else work) / "claims"
    failed, made = [], 0
    with ExitStack() as held:
        mine = [
            experiment
            for experiment in missing(experiments, path)
            if held.enter_context(claim(claims / experiment.key()))
        ]
        # Read again: whoever held a claim before may have made the run.
        waiting = {remote.remote(e, root, threads): e for e in missing(mine, path)}
        count = len(waiting)
        while waiting:
            (done,), _ = ray.wait(list(waiting), num_returns=1)
            experiment = waiting.pop(done)
            try:
                record = ray.get(done)
                if mixed := same_data.mixed([*records.read(path), record]):
                    raise ValueError(f"{mixed[0]}; {OTHER_DATA.format(path=path)}")
                records.append(path, record)
            except Exception as error:  # whatever happened on a distant machine, the rest goes on
                failed.append(f"{describe(experiment)}: {str(error).strip().splitlines()[-1]}")
                continue
            made += 1
            if progress:
                print(f"[{made}/{count}] {describe(experiment)}", flush=True)
    if failed:
        raise RuntimeError(f"{len(failed)} of {count} runs failed: {'; '.join(failed)}")
    return made


def _record(experiment: Experiment, root: str | Path | None, threads: int) -> dict:
    import torch

    torch.set_num_threads(threads)
    record, _ = run(experiment, root=root, progress=False)
    return record


def _ray() -> Any:
    # Ray would hide the GPU from a task that asks for none; our runs take one if they see one.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "Ray is not installed; install the extra `ray` (pip install 'align-book[ray]'), or "
            "run without --launcher ray: --jobs N uses this machine's cores"
        ) from None
    return ray
