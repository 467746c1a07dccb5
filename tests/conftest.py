from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

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
