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

SPLITS = ("train", "val", "test")
"""By the number in the column `split`."""

CLASSES = ("landbird", "waterbird")
"""By the number in the column `y`."""

PLACES = ("land", "water")
"""By the number in the column `place`."""

GROUPS = tuple(f"{kind} on {place}" for kind in CLASSES for place in PLACES)
"""By `2 * y + place`."""

METADATA = "metadata.csv"
BOXES = "boxes.csv"

OVERSHOOT = 0.1
"""A box drawn by hand may reach beyond the picture by this share of its side; it is cut there."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Metadata:
    """What `metadata.csv` says of every picture, in its order.

    Args:
        files: names relative to the folder, all different.
        labels: int64 `(N,)`, numbers of `CLASSES`.
        groups: int64 `(N,)`, numbers of `GROUPS`.
        splits: int64 `(N,)`, numbers of `SPLITS`.
    """

    files: tuple[str, ...]
    labels: Tensor
    groups: Tensor
    splits: Tensor

    @classmethod
    def read(cls, path: Path) -> Metadata:
        """Read the file.

        Raises:
            ValueError: if a column is missing, or a row names an unknown class, place or split, a
                picture outside the folder or one named before.
        """
        rows = _rows(path, ("img_filename", "y", "place", "split"))
        files = [row["img_filename"] for row in rows]
        _check_files(path, files)
        y, place, split = (
            torch.tensor([_number(path, line, row, column, known) for line, row in enumerate(rows)])
            for column, known in (("y", CLASSES), ("place", PLACES), ("split", SPLITS))
        )
        return cls(tuple(files), y, len(PLACES) * y + place, split)

    def rows(self, split: str) -> Tensor:
        """Positions of a split's pictures, int64, in order."""
        return (self.splits == SPLITS.index(split)).nonzero()[:, 0]

    def counts(self, split: str) -> tuple[int, ...]:
        """How many pictures of each group a split has."""
        return tuple(self.groups[self.rows(split)].bincount(minlength=len(GROUPS)).tolist())


def read_boxes(path: Path, files: Sequence[str]) -> dict[str, Box]:
    """Read the birds' boxes.

    Args:
        path: `boxes.csv`, with columns img_filename, x, y, width, height.
        files: the pictures that there are.

    Returns:
        `(left, top, width, height)` by file, in shares of the picture and cut to it.

    Raises:
        ValueError: if a row is of another picture, or its box is no box in the picture.
    """
    known = set(files)
    boxes = {}
    for line, row in enumerate(_rows(path, ("img_filename", "x", "y", "width", "height"))):
        file = row["img_filename"]
        if file not in known or file in boxes:
            twice = "has a box already" if file in boxes else f"is not in {METADATA}"
            raise ValueError(
                f"{path}, line {line + 2}: the picture '{file}' {twice}; expected one box for each "
                "picture of this data set"
            )
        boxes[file] = _box(path, line, row)
    return boxes


def box_masks(boxes: Tensor, size: int) -> Tensor:
    """One box a picture as masks.

    Args:
        boxes: float32 `(N, 4)`: left, top, width, height, as shares of the picture.
        size: the side of the square masks, in pixels.

    Returns:
        float32 `(N, size, size)` in [0, 1]: the share of each pixel that the box covers.
    """
    edges = torch.arange(size, dtype=boxes.dtype)
    start, end = boxes[:, :2, None] * size, (boxes[:, :2] + boxes[:, 2:])[..., None] * size
    covered = (end.minimum(edges + 1) - start.maximum(edges)).clamp_(0, 1)
    return covered[:, 1, :, None] * covered[:, 0, None, :]


def _box(path: Path, line: int, row: dict[str, str]) -> Box:
    given = [row[column] for column in ("x", "y", "width", "height")]
    try:
        left, top, width, height = map(float, given)
    except ValueError:
        left = top = width = height = float("nan")
    right, bottom = left + width, top + height
    inside = min(left, top) >= -OVERSHOOT and max(right, bottom) <= 1 + OVERSHOOT
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, 1), min(bottom, 1)
    if not (inside and right > left and bottom > top):  # written so that NaN fails too
        raise ValueError(
            f"{path}, line {line + 2}: the box {', '.join(given)} does not lie in its picture, "
            f"{row['img_filename']}; expected x, y, width, height as shares of the picture's sides"
        )
    return left, top, right - left, bottom - top


def _rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            lacking = [name for name in columns if name not in (reader.fieldnames or ())]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no table of comma-separated values ({error})") from error
    if lacking:
        raise ValueError(
            f"{path} has no column {', '.join(lacking)}; expected {', '.join(columns)}"
        )
    if not rows:
        raise ValueError(f"{path} has no rows, expected one a picture")
    for line, row in enumerate(rows):
        if any(row[name] is None for name in columns):
            raise ValueError(f"{path}, line {line + 2}: the row is cut off, get the file again")
    return rows


def _check_files(path: Path, files: Sequence[str]) -> None:
    seen: set[str] = set()
    for line, file in enumerate(files):
        parts = PurePosixPath(file).parts
        if not parts or parts[0] == "/" or ".." in parts or "\\" in file or ":" in file:
            raise ValueError(
                f"{path}, line {line + 2}: the picture is '{file}', expected a name inside the "
                "folder, SPECIES/NAME.jpg"
            )
        if file in seen:
            raise ValueError(f"{path}, line {line + 2}: the picture '{file}' is named twice")
        seen.add(file)


def _number(path: Path, line: int, row: dict[str, str], column: str, known: Sequence[str]) -> int:
    numbers = {str(number): number for number in range(len(known))}
    if row[column].strip() not in numbers:
        words = ", ".join(f"{number} ({name})" for number, name in enumerate(known))
        raise ValueError(
            f"{path}, line {line + 2}: {column} is {row[column]!r} for {row['img_filename']}, "
            f"expected {words}"
        )
    return numbers[row[column].strip()]
