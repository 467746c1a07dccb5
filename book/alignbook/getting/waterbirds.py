"""What is there of Waterbirds, by its table."""

from __future__ import annotations

from pathlib import Path

from align.data.layouts import GROUPS, WATERBIRDS
from align.data.waterbirds_tables import BOXES, METADATA, SPLITS, Metadata, read_boxes

from .manifest import Manifest, summary

NO_BOXES = (
    f'there is no {BOXES}: masks="boxes" gives no masks, and on val and test neither the evidence '
    "inside the object nor the reliance on the background can be measured"
)


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


def boxes(folder: Path) -> tuple[list[str], str]:
    """What is wrong with the birds' boxes, the last sentence what to do; and what there is of them.

    The table is no part of the published archive, so that its absence is nothing wrong.
    """
    if not (folder / BOXES).is_file():
        return [], NO_BOXES
    files, refused = Metadata.read(folder / METADATA).files, {}
    remedy = f"correct {BOXES}, or move it away: the pictures are then read without masks"
    try:
        found = read_boxes(folder / BOXES, files, refused)
    except ValueError as error:  # it is no table
        return [str(error), remedy], ""
    notes = [
        f"{BOXES}: rows refused, since the box {fault}: {len(rows):,}, the first in {rows[0]}"
        for fault, rows in refused.items()
    ]
    bare = [file for file in files if file not in found]
    if bare:
        notes.append(
            f"{BOXES}: pictures without a box that can be used: {len(bare):,} of {len(files):,}, "
            f"the first is {bare[0]}"
        )
    if notes:
        return [*notes, remedy], ""
    return [], f"{BOXES}: a box for each of {len(files):,} pictures"
