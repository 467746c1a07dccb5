"""A chapter opened in Colab: what its first cell does where torch is there and `align` is not.

Colab is stood in for by a fresh environment that sees every installed package but `align`, and the
repository's address by a clone of this very tree. No index is reachable in it, so a first cell that
wanted more than the library would fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sysconfig
import venv
from importlib.metadata import version
from pathlib import Path

import nbformat
import pytest

from book.tools import first_cell, project

REPORT = """
import hashlib, json, sys
from importlib.metadata import version
import align
from align import records
from alignbook import results, tables
files = sorted(p for p in records.RESULTS.rglob("*") if p.is_file())
print("REPORT " + json.dumps({
    "align": align.__file__,
    "results": {p.relative_to(records.RESULTS).as_posix():
                hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
    "rows": len(tables.summary(results.recorded("toy"))),
    "versions": {name: version(name) for name in ("torch", "torchvision", "numpy")},
    "loaded": {name: sys.modules[name].__file__ for name in ("torch", "numpy")},
}))
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A repository that holds this tree as it stands, uncommitted changes too."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    copy = tmp_path_factory.mktemp("address") / "clone"
    shutil.copytree(
        project.ROOT, copy, ignore=lambda folder, names: {n for n in names if not kept(n)}
    )
    who = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-q", "-m", "all"]):
        subprocess.run(["git", "-C", str(copy), *words], check=True, capture_output=True)
    return copy.as_uri()


def kept(name: str) -> bool:
    built = {"_build", "build", "runs", "__pycache__", "node_modules"}
    return not (name in built or name.startswith(".") or name.endswith(".egg-info"))


@pytest.fixture(scope="module")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a fresh environment with every package of this one but `align`."""
    folder = tmp_path_factory.mktemp("colab") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    site = next(folder.glob("lib/python*/site-packages"))
    # A path in a .pth file is searched, but the .pth files in *it* are not read: an editable
    # install of `align` stays out of sight, and pip refuses to change what lies outside.
    (site / "elsewhere.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return folder / "bin" / "python"


def run_first_cell(colab: Path, cell: str, folder: Path, *after: str) -> tuple[str, float]:
    """Run a cell as Colab would, then plain Python; return what it said and the seconds of work."""
    script = folder / "cell.ipy"
    # Colab announces itself by a module that it has loaded.
    before = "import sys, types\nsys.modules['google.colab'] = types.ModuleType('google.colab')\n"
    script.write_text(before + "\n" + cell + "\nprint('CELL DONE')\n" + "\n".join(after))
    hidden = {"PYTHONPATH", "PYTHONHOME", "ALIGN_TIER", "VIRTUAL_ENV"}
    env = {k: v for k, v in os.environ.items() if k not in hidden and not k.startswith("PIP_")}
    # The build tool is installed, so nothing at all needs to be fetched.
    env |= {"PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0", "IPYTHONDIR": str(folder)}
    env |= {"CUDA_VISIBLE_DEVICES": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    before_work = os.times()
    command = [str(colab), "-m", "IPython", "--no-banner", str(script)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=120)
    # Time of the processors, not of the clock: other tests run beside this one.
    after_work = os.times()
    seconds = sum(after_work[2:4]) - sum(before_work[2:4])
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stdout, done.stdout[-3000:]
    return done.stdout, seconds


def cell_for(address: str, name: str) -> str:
    notebook = nbformat.read(project.ROOT / f"{name}.ipynb", as_version=4)
    return first_cell.source(notebook, {"url": address, "branch": "main"})


def test_the_environment_has_torch_and_not_the_library(colab, tmp_path):
    code = "import importlib.util as u; print([u.find_spec(n) is None for n in ('torch', 'align')])"
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(colab), "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[False, True]"


@pytest.fixture(scope="module")
def said(colab, address, tmp_path_factory) -> tuple[str, float]:
    """What the quickstart's first cell says, with a report on the environment after it."""
    folder = tmp_path_factory.mktemp("first")
    return run_first_cell(colab, cell_for(address, "book/quickstart"), folder, REPORT)


def test_the_first_cell_takes_less_than_a_minute_and_installs_the_library(said, colab):
    output, seconds = said
    assert seconds < 60
    assert json.loads(output.split("REPORT ")[1])["align"].startswith(str(colab.parents[1]))


def test_it_says_tier_and_minutes_and_how_to_get_a_gpu(said):
    cell = said[0].split("CELL DONE")[0]
    assert "tier book" in cell and "minute" in cell
    assert "Runtime > Change runtime type" in cell


def test_it_leaves_torch_and_numpy_alone(said, colab):
    report = json.loads(said[0].split("REPORT ")[1])
    assert report["versions"] == {name: version(name) for name in report["versions"]}
    assert all(not path.startswith(str(colab.parents[1])) for path in report["loaded"].values())
    installed = {p.name for p in colab.parents[1].glob("lib/python*/site-packages/*")}
    names = {name.split("-")[0].removesuffix(".pth") for name in installed}
    assert names == {"align", "align_book", "alignbook", "elsewhere"}


def test_the_records_came_along_to_the_last_byte(said):
    report = json.loads(said[0].split("REPORT ")[1])
    results = project.ROOT / "results"
    here = {
        p.relative_to(results).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in results.rglob("*")
        if p.is_file() and p.suffix != ".lock"  # a writer's lock stays at home
    }
    assert report["results"] == here and here and report["rows"] > 1


def test_a_chapter_that_gains_nothing_from_a_gpu_does_not_ask_for_one(colab, address, tmp_path):
    output, _ = run_first_cell(colab, cell_for(address, "book/theory/evidence"), tmp_path)
    assert "tier book" in output and "GPU" not in output.split("CELL DONE")[0]
