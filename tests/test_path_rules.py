"""Names that become files are names on Windows, macOS and Linux alike."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

from align import files, records
from align.training import loop, run
from alignbook.campaign import grid
from alignbook.getting.archives import ArchiveError, safe_name
from book.tools import project

RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}


def wrong(name: str) -> str:
    """What Windows, the strictest of the three, has against a file's name; empty if nothing."""
    if any(ord(letter) < 32 or letter in '<>:"/\\|?*' for letter in name):
        return "a sign"
    if not name or name[-1] in ". ":
        return "its end"
    return "a device" if name.partition(".")[0].lower().rstrip() in RESERVED else ""


def tracked() -> list[str]:
    command = ["git", "-C", str(project.ROOT), "ls-files", "-z"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [name for name in done.stdout.split("\0") if name]


def test_the_rule_knows_what_windows_refuses():
    refused = {"a:b", "a?", "x\ty", "a.", "a ", "", "NUL", "com1.txt", "aux .png", "a/b", "a\\b"}
    assert all(wrong(name) for name in refused)
    assert not any(wrong(name) for name in ("a.txt", ".a.lock", "console.txt", "Wörter 1.png"))


def test_a_clone_is_whole_on_every_system():
    names = tracked()
    found = {name: wrong(part) for name in names for part in PurePosixPath(name).parts}
    assert {name: why for name, why in found.items() if why} == {}
    folded = Counter(name.lower() for name in names)
    assert [name for name, count in folded.items() if count > 1] == []


def test_what_runs_and_records_are_called_is_a_file_everywhere(tmp_path):
    ours = [grid.records_file(name) for name in grid.GRIDS]
    assert len({path.name.lower() for path in ours}) == len(ours)
    ours += [records.lock_of(path) for path in ours]
    ours += [tmp_path / loop.CHECKPOINT, tmp_path / run.RUN]
    with files.replacing(*(tmp_path / path.name for path in ours)) as partial:
        for path in partial:
            path.touch()
        assert len(set(partial)) == len(ours)
    assert [path.name for path in (*ours, *partial) if wrong(path.name)] == []
    keys = {experiment.key() for experiment in grid.toy()}
    assert not any(wrong(key) for key in keys) and len({key.lower() for key in keys}) == len(keys)


def recorded() -> list[dict]:
    paths = sorted(records.RESULTS.glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def test_a_path_in_a_record_means_the_same_on_every_system():
    described = [one.description() for name in grid.GRIDS for one in grid.experiments(name)]
    given: set[str] = set()
    for record in [*described, *recorded()]:
        given |= {record["options"].get("masks"), record["config"].get("weights")} - {None}
    assert {"pseudo_masks/PACS"} < given
    for text in given:
        windows, posix = PureWindowsPath(text), PurePosixPath(text)
        assert windows.parts == posix.parts and not windows.anchor and not posix.anchor, text


NAMES = (
    *("a/b.jpg", "./a", "a b/c", "Wörter/ä.png", "..", "../a", "a/../../b", "/a", "//host/share/a"),
    *(
        "C:a",
        "C:/a",
        "a/C:b",
        "\\a",
        "..\\a",
        "a\\..\\..\\b",
        "\\\\host\\share\\a",
        "a\0b",
        "",
        ".",
    ),
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flavour", [PureWindowsPath, PurePosixPath])
def test_a_name_from_an_archive_stays_below_its_folder_on_every_system(flavour, name):
    base: PurePath = flavour("D:/data") if flavour is PureWindowsPath else flavour("/data")
    try:
        kept = safe_name(name, Path("x.zip"))
    except ArchiveError:
        assert name not in NAMES[:4]
        return
    joined = base / kept
    assert name in NAMES[:4] and ".." not in joined.parts and joined.is_relative_to(base)
    assert joined.parts[len(base.parts) :] == PurePosixPath(name).parts
