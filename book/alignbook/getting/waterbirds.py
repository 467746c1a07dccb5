"""What is there of Waterbirds, by its table."""

from __future__ import annotations

from pathlib import Path

from align.data.layouts import GROUPS, WATERBIRDS
from align.data.waterbirds_tables import METADATA, SPLITS, Metadata

from .manifest import Manifest, summary


def describe(folder: Path, *, fingerprint: bool = True) -> Manifest:
    """Count the pictures of each split and group that are there."""
    metadata = Metadata.read(folder / METADATA)
    files: dict[tuple[str, str], list[str]] = {(s, g): [] for s in SPLITS for g in GROUPS}
    places = zip(metadata.files, metadata.splits.tolist(), metadata.groups.tolist(), strict=True)
    for file, split, group in places:
        if (folder / file).is_file():
            files[SPLITS[split], GROUPS[group]].append(file)
    return summary(WATERBIRDS.name, folder, files, fingerprint=fingerprint)


def absent(folder: Path) -> list[str]:
    """The sentence on pictures that `metadata.csv` names and that are not there, if any."""
    files = Metadata.read(folder / METADATA).files
    gone = [file for file in files if not (folder / file).is_file()]
    names = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
    return [f"{len(gone):,} pictures that {METADATA} names are not there: {names}"] if gone else []
