"""Records of several machines in one file: none lost, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from align import records


@dataclass(frozen=True)
class Merged:
    """What a merge did.

    Args:
        added: how many records were new.
        known: how many were there already.
        other: keys of runs that were there with other metrics; what was there first stays.
    """

    added: int
    known: int
    other: tuple[str, ...]


def merge(path: Path, others: Sequence[Path]) -> Merged:
    """Add to a file of records those of other files that it has no run of.

    Each record is appended whole or not at all, as a run's own is, so a merge that is cut off can
    be done again, and runs may be recorded meanwhile.

    Args:
        path: the `.jsonl` file that grows.
        others: the `.jsonl` files of other machines; they are left as they are.

    Raises:
        FileNotFoundError: if one of the others is not there.
        ValueError: if a line of them is no record of a run.
    """
    added = known = 0
    other: list[str] = []
    there = {record["key"]: record for record in records.read(path)}
    for source in others:
        if not source.is_file():
            raise FileNotFoundError(f"no file of records at '{source}'")
        for record in records.read(source):
            before = there.get(record["key"])
            if before is None:
                records.append(path, record)
                there[record["key"]] = record
                added += 1
                continue
            known += 1
            if before["metrics"] != record["metrics"]:
                other.append(record["key"])
    return Merged(added, known, tuple(other))
