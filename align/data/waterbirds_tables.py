"""The tables of Waterbirds: `metadata.csv` says what a picture is, `boxes.csv` where its bird is.

A row that says what cannot be is refused with its line, so that no picture is used as another.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from .boxes import Box
from .layouts import GROUPS, KINDS, PLACES, WATERBIRDS

SPLITS = WATERBIRDS.domains
METADATA = WATERBIRDS.table
BOXES = "boxes.csv"

COLUMNS = {"y": KINDS, "place": PLACES, "split": SPLITS}
"""What the numbers in a column of `metadata.csv` mean."""

SIDES = ("x", "y", "width", "height")
OVERSHOOT = 0.1
"""A box drawn by hand may reach beyond the picture by this share of its side; it is cut there."""


@dataclass(frozen=True, eq=False)
class Metadata:
    """What `metadata.csv` says of every picture, in its order; tensors are int64 `(N,)`."""

    files: tuple[str, ...]  # relative to the folder, all different
    labels: Tensor  # numbers of `KINDS`
    groups: Tensor  # numbers of `GROUPS`
    environments: Tensor  # numbers of `GROUPS`, or of `PLACES`
    splits: Tensor  # numbers of `SPLITS`

    @classmethod
    def read(cls, path: Path, by_place: bool = False) -> Metadata:
        """Read the file; environments are the groups, or the places alone.

        Raises:
            ValueError: if a row names an unknown class, place or split, a picture outside the
                folder or one named before.
        """
        files: dict[str, list[int]] = {}
        for where, row in _rows(path, ("img_filename", *COLUMNS)):
            file = row["img_filename"]
            parts = PurePosixPath(file).parts
            if not parts or parts[0] == "/" or ".." in parts or "\\" in file or ":" in file:
                raise ValueError(
                    f"{where}: the picture is '{file}', expected a name inside the folder, "
                    "SPECIES/NAME.jpg"
                )
            if file in files:
                raise ValueError(f"{where}: the picture '{file}' is named twice")
            files[file] = [_number(where, row, column) for column in COLUMNS]
        y, place, split = torch.tensor(list(files.values())).unbind(1)
        groups = len(PLACES) * y + place
        return cls(tuple(files), y, groups, place if by_place else groups, split)

    def rows(self, split: str) -> Tensor:
        """Positions of a split's pictures, int64, in order."""
        return (self.splits == SPLITS.index(split)).nonzero()[:, 0]

    def counts(self, split: str) -> tuple[int, ...]:
        """How many pictures of each group a split has."""
        return tuple(self.groups[self.rows(split)].bincount(minlength=len(GROUPS)).tolist())


def read_boxes(
    path: Path, files: Sequence[str], refused: dict[str, list[str]] | None = None
) -> dict[str, Box]:
    """The birds' boxes by file, in shares of the picture and cut to it.

    `refused`, where given, takes the rows that are wrong, by what is wrong with their box.

    Raises:
        ValueError: if a row is of none of `files`, or its box is no box in the picture.
    """
    known, boxes = set(files), {}
    for where, row in _rows(path, ("img_filename", *SIDES)):
        file, box = row["img_filename"], _box(row)
        if file not in known:
            fault = f"is of a picture that is not in {METADATA}"
        elif file in boxes:
            fault = "is of a picture that has a box already"
        elif box is None:
            fault = "does not lie in its picture"
        else:
            boxes[file] = box
            continue
        if refused is None:
            raise ValueError(
                f"{where}: the box {', '.join(row[side] for side in SIDES)} of '{file}' {fault}; "
                "expected one for each picture, x, y, width, height as shares of its sides"
            )
        refused.setdefault(fault, []).append(f"{where}: {file}")
    return boxes


def _number(where: str, row: dict[str, str], column: str) -> int:
    known = COLUMNS[column]
    if (given := row[column].strip()) not in map(str, range(len(known))):
        words = ", ".join(f"{number} ({name})" for number, name in enumerate(known))
        raise ValueError(
            f"{where}: {column} is {row[column]!r} for {row['img_filename']}, expected {words}"
        )
    return int(given)


def _box(row: dict[str, str]) -> Box | None:
    """The box of a row, if it lies in its picture."""
    try:
        left, top, width, height = (float(row[side]) for side in SIDES)
    except ValueError:
        left = top = width = height = float("nan")
    right, bottom = left + width, top + height
    inside = min(left, top) >= -OVERSHOOT and max(right, bottom) <= 1 + OVERSHOOT
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, 1), min(bottom, 1)
    if not (inside and right > left and bottom > top):  # written so that NaN fails too
        return None
    return left, top, right - left, bottom - top


def _rows(path: Path, columns: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table, each with the words for where it stands."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(f"{path}, line {line}", row) for line, row in enumerate(reader, 2)]
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no table of comma-separated values ({error})") from error
    if lacking:
        raise ValueError(
            f"{path} has no column {', '.join(lacking)}; expected {', '.join(columns)}"
        )
    if not rows:
        raise ValueError(f"{path} has no rows, expected one a picture")
    for where, row in rows:
        if any(row[name] is None for name in columns):
            raise ValueError(f"{where}: the row is cut off, get the file again")
    return rows
