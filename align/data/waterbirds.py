"""Waterbirds: birds pasted on land or water, in training nearly always on the likely one.

The data set is one `metadata.csv` beside folders of pictures. Its three splits and its four groups,
kind of bird and place, are official and are never dealt again.

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020; birds
from Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011; backgrounds from Zhou et al.,
"Places", 2017.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from align.checks import check_path
from align.files import found

from .benchmark import Benchmark, Domain
from .layouts import Layout
from .manifest import Manifest, summary
from .trees import Options, PathLike, check_names, read_domain
from .waterbirds_tables import (
    BOXES,
    CLASSES,
    GROUPS,
    METADATA,
    SPLITS,
    Box,
    Metadata,
    box_masks,
    read_boxes,
)

FOLDERS = ("waterbird_complete95_forest2water2", "waterbirds", "waterbirds_v1.0")
"""What its folder is called: in the authors' archive, by hand, and in the WILDS package."""

REMEDY = "run `align data get waterbirds --root {root}`"

LAYOUT = Layout(
    name="waterbirds",
    title="Waterbirds",
    folder=FOLDERS[0],
    domains=SPLITS,
    classes=GROUPS,
    remedy=REMEDY,
    counts={
        split: dict(zip(GROUPS, row, strict=True))
        for split, row in {
            "train": (3498, 184, 56, 1057),
            "val": (467, 466, 133, 133),
            "test": (2255, 2255, 642, 642),
        }.items()
    },
)
"""What the complete benchmark holds, counted by split and group."""


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
    if masks is not None and str(masks) != "boxes":
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


def describe(folder: Path, version: str = "", *, fingerprint: bool = True) -> Manifest:
    """Count the pictures of each split and group that are there.

    Raises:
        ValueError: if `metadata.csv` is not what it should be.
    """
    metadata = Metadata.read(folder / METADATA)
    files: dict[tuple[str, str], list[str]] = {(s, g): [] for s in SPLITS for g in GROUPS}
    for file, split, group in zip(
        metadata.files, metadata.splits.tolist(), metadata.groups.tolist(), strict=True
    ):
        if (folder / file).is_file():
            files[SPLITS[split], GROUPS[group]].append(file)
    return summary(LAYOUT.name, folder, files, version, fingerprint=fingerprint)


def absent(folder: Path) -> list[str]:
    """The sentence on pictures that `metadata.csv` names and that are not there, if any."""
    files = Metadata.read(folder / METADATA).files
    gone = [file for file in files if not (folder / file).is_file()]
    if not gone:
        return []
    names = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
    return [f"{len(gone):,} pictures that {METADATA} names are not there: {names}"]


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


def _mask_of(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(".png"))
