"""Waterbirds: birds pasted on land or water, in training nearly always on the likely one.

The data set is one `metadata.csv` beside folders of pictures. Its three splits and its four groups,
kind of bird and place, are official and are never dealt again.

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020; birds
from Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011; backgrounds from Zhou et al.,
"Places", 2017.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from align.checks import check_path
from align.files import found

from .benchmark import Benchmark, Domain
from .trees import Options, PathLike, check_names, read_domain

SPLITS = ("train", "val", "test")
"""By the number in the column `split`."""

CLASSES = ("landbird", "waterbird")
"""By the number in the column `y`."""

PLACES = ("land", "water")
"""By the number in the column `place`."""

GROUPS = tuple(f"{kind} on {place}" for kind in CLASSES for place in PLACES)
"""By `2 * y + place`."""

FOLDERS = ("waterbird_complete95_forest2water2", "waterbirds", "waterbirds_v1.0")
"""What its folder is called: in the authors' archive, by hand, and in the WILDS package."""

METADATA = "metadata.csv"
BOXES = "boxes.csv"

COUNTS = {
    "train": (3498, 184, 56, 1057),
    "val": (467, 466, 133, 133),
    "test": (2255, 2255, 642, 642),
}
"""Pictures of each group in the complete benchmark."""

OVERSHOOT = 0.1
"""A box drawn by hand may reach beyond the picture by this share of its side; it is cut there."""

REMEDY = "run `align data get waterbirds --root {root}`"

Box = tuple[float, float, float, float]


def load_waterbirds(
    root: PathLike | None = None,
    *,
    size: int = 224,
    domains: Sequence[str] | None = None,
    masks: PathLike | None = "boxes",
    mask_threshold: int | None = None,
    on_error: str = "raise",
    cache: PathLike | None = None,
    progress: bool = True,
) -> Benchmark:
    """Load Waterbirds with its official splits.

    The domains are the splits; "train" carries its groups as environments too, so that methods
    which are told the groups in training (GroupDRO, IRM) are told these; all others pass over them.

    Args:
        root: the folder that holds one of `FOLDERS`, or that folder itself; None means
            `$ALIGN_DATA`.
        size: images are squeezed to squares of this side, in pixels.
        domains: splits to read, of `SPLITS`; None means all.
        masks: "boxes", the birds' boxes drawn by hand if `boxes.csv` is there (columns
            img_filename, x, y, width, height; the last four as shares of the picture); a folder
            of mask images for the training split, `masks/SPECIES/NAME.png` for
            `SPECIES/NAME.jpg`, looked for in `root` first (val and test keep the boxes: they are
            the truth to test against); None for no masks.
        mask_threshold: see `align.data.trees.Options`.
        on_error: "raise" stops at pictures that are missing, broken or have no mask; "skip"
            leaves them out and says so in `missing`.
        cache: see `align.data.trees.Options`.
        progress: see `align.data.trees.Options`.

    Returns:
        The benchmark "waterbirds": classes landbird and waterbird, `Domain.groups` numbered as
        `GROUPS`, `Domain.group_shares` the groups' shares in training.

    Raises:
        FileNotFoundError: if nothing of it is there, or no mask where masks are asked for.
        ValueError: if `metadata.csv` or `boxes.csv` is not what it should be, or on_error is
            "raise" and a picture is missing, broken or has no mask, or one of another size.
    """
    options = Options(size, mask_threshold, on_error, cache, progress)
    check_path("masks", masks)
    chosen = check_names("domains", domains) or SPLITS
    if unknown := [name for name in chosen if name not in SPLITS]:
        raise ValueError(
            f"Waterbirds has no split {', '.join(map(repr, unknown))}; choose among "
            f"{', '.join(SPLITS)}"
        )
    folder = locate(root)
    reader = _Reader(folder, Metadata.read(folder / METADATA), options)
    if masks is not None:
        reader.find_boxes()
    if masks not in (None, "boxes"):
        reader.find_masks(found(masks, root))
    loaders = {name: reader.load(name) for name in chosen}
    return Benchmark(
        "waterbirds", CLASSES, loaders, tuple(reader.missing), training_split=SPLITS[0]
    )


def locate(root: PathLike | None = None) -> Path:
    """Find the folder with `metadata.csv`.

    Args:
        root: the data folder, or the data set's folder itself; None means `$ALIGN_DATA`.

    Raises:
        FileNotFoundError: if it is not there; the message says where was looked and how to get it.
    """
    check_path("root", root)
    given = root or os.environ.get("ALIGN_DATA")
    if not given:
        raise FileNotFoundError(
            "no data folder is given for Waterbirds: pass root=DIR or set ALIGN_DATA=DIR; if you "
            f"have no Waterbirds yet, {REMEDY.format(root='DIR')}"
        )
    base = Path(given).expanduser()
    for folder in (*(base / name for name in FOLDERS), base):
        if (folder / METADATA).is_file():
            return folder
    raise FileNotFoundError(
        f"Waterbirds was not found: looked for {METADATA} in {', '.join(FOLDERS)} below {base} and "
        f"in {base} itself; {REMEDY.format(root=base)}"
    )


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

        Args:
            path: `metadata.csv`.

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


class _Reader:
    """One folder, read split by split; `missing` gathers what is not there."""

    def __init__(self, folder: Path, metadata: Metadata, options: Options) -> None:
        self.folder, self.metadata, self.options = folder, metadata, options
        self.boxes: dict[str, Box] = {}
        self.masks: Path | None = None
        self.missing: list[str] = []

    def find_boxes(self) -> None:
        path = self.folder / BOXES
        if path.is_file():
            self.boxes = read_boxes(path, self.metadata.files)
        else:
            self.missing.append(
                f"Waterbirds: no {BOXES} in {self.folder}, so no boxes serve as masks; its columns "
                "are img_filename, x, y, width, height, in shares of the picture"
            )

    def find_masks(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"no masks found in {folder}: expected files SPECIES/NAME.png, named as the "
                'training pictures of Waterbirds; or masks="boxes", or None'
            )
        self.masks = folder

    def load(self, split: str) -> Callable[[], Domain]:
        metadata = self.metadata
        rows = metadata.rows(split).tolist()
        rows = self._keep(split, rows, lambda file: (self.folder / file).is_file(), "not there")
        from_folder = self.masks is not None and split == SPLITS[0]
        if from_folder:
            rows = self._keep(split, rows, self._has_mask, f"without a mask in {self.masks}")
        elif self.boxes:
            rows = self._keep(split, rows, self.boxes.__contains__, f"without a box in {BOXES}")
        files = [metadata.files[row] for row in rows]
        pairs = list(zip(files, metadata.labels[rows].tolist(), strict=True))
        stored = [_mask_of(file) for file in files] if from_folder else None
        make, said = read_domain(
            split, pairs, self.folder, CLASSES, self.options, self.masks, stored
        )
        self.missing += said
        return lambda: self._complete(make(), dict(zip(files, rows, strict=True)))

    def _has_mask(self, file: str) -> bool:
        return (self.masks / _mask_of(file)).is_file()

    def _keep(
        self, split: str, rows: list[int], is_good: Callable[[str], bool], lack: str
    ) -> list[int]:
        """The rows whose picture is good; of the others, say how many and which is the first."""
        kept = [row for row in rows if is_good(self.metadata.files[row])]
        if len(kept) == len(rows):
            return rows
        bad = next(row for row in rows if not is_good(self.metadata.files[row]))
        said = (
            f"Waterbirds {split}: {len(rows) - len(kept):,} of {len(rows):,} pictures are {lack}, "
            f"the first is {self.metadata.files[bad]}"
        )
        if self.options.on_error == "raise" or not kept:
            raise ValueError(
                f"{said}; `align data check waterbirds` counts what is there, "
                'on_error="skip" leaves these out'
            )
        self.missing.append(said)
        return kept

    def _complete(self, domain: Domain, rows: dict[str, int]) -> Domain:
        """The domain with its groups, and boxes where it has no other masks."""
        groups = self.metadata.groups[[rows[file] for file in domain.files]]
        masks = domain.masks
        if masks is None and self.boxes:
            boxes = torch.tensor([self.boxes[file] for file in domain.files])
            masks = box_masks(boxes, domain.images.shape[-1])
        counts = torch.tensor(self.metadata.counts(SPLITS[0]), dtype=torch.float64)
        return replace(
            domain,
            masks=masks,
            groups=groups,
            group_names=GROUPS,
            group_shares=tuple((counts / counts.sum()).tolist()) if counts.sum() else None,
            environments=groups if domain.name == SPLITS[0] else None,
        )


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


def _mask_of(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(".png"))
