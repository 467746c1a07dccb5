from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, served
from filelock import FileLock

import align
from align.data import Domain, join
from book.tools import build, project

BESIDE_THE_PROJECT = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep what tests decode out of the user's cache."""
    folder = tmp_path_factory.mktemp("align_cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALIGN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs; a test that needs it is skipped where there is none."""
    for folder in (os.environ.get("ALIGN_DATA"), BESIDE_THE_PROJECT):
        if folder and (Path(folder) / "PACS").is_dir():
            return Path(folder)
    pytest.skip("real photographs not found: set ALIGN_DATA to a folder that holds PACS/")


@pytest.fixture(scope="session")
def site() -> Path:
    """The folder of the built site.

    A site that was built from the sources as they are now is used as it is; otherwise one is built
    at the smallest tier, in a folder of its own.
    """
    html = project.ROOT / "_build" / "html"
    if build.is_fresh(html):
        return html
    output = project.ROOT / "_build" / "smoke"
    output.mkdir(parents=True, exist_ok=True)
    with FileLock(output / "lock"):  # several test workers, one build
        if not build.is_fresh(output / "_build" / "html"):
            _build_smallest(output)
    return output / "_build" / "html"


def _build_smallest(output: Path) -> None:
    command = [sys.executable, "-m", "book.tools.build", "--tier", "smoke", "--workers", "1"]
    done = subprocess.run(
        [*command, "--output", str(output)],
        cwd=project.ROOT,
        env=os.environ | {"PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-6000:]


@pytest.fixture(scope="session")
def browser(site: Path) -> Iterator[tuple[Any, str]]:
    """A browser, and the address at which it finds the site."""
    with served(site) as address, chromium() as driver:
        yield driver, address


@pytest.fixture(scope="module")
def domain() -> Domain:
    """A training domain that is small enough to train on in a test."""
    return align.load("toy-vlcs", n=160, size=32)["noon"]


@pytest.fixture(scope="module")
def joined() -> Domain:
    """Two environments to train on."""
    benchmark = align.load("toy-vlcs", n=80, size=32)
    return join([benchmark["noon"], benchmark["dusk"]])
