"""Waterbirds: birds pasted on land or water, in training nearly always on the likely one.

The data set is one `metadata.csv` beside folders of pictures. Its three splits and its four groups,
kind of bird and place, are official and are never dealt again.

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020; birds
from Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011; backgrounds from Zhou et al.,
"Places", 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import torch

from align.checks import check_path
from align.files import found

from .benchmark import Benchmark, Domain
from .boxes import Box, box_masks
from .layouts import GROUPS, KINDS, PathLike
from .layouts import WATERBIRDS as LAYOUT
from .manifest import Manifest, summary
from .trees import Options, choose, read_domain
from .waterbirds_tables import BOXES, METADATA, SPLITS, Metadata, read_boxes

TRAINING = SPLITS[0]


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
        root: the folder that holds one of `LAYOUT.folders`, or that folder itself.
        size: images are squeezed to squares of this side, in pixels.
        domains: splits to read, of `SPLITS`; None means all.
        masks: "boxes", the birds' boxes drawn by hand if `boxes.csv` is there (columns
            img_filename, x, y, width, height; the last four as shares of the picture); a folder
            of mask images for the training split, `masks/SPECIES/NAME.png` for
            `SPECIES/NAME.jpg`, looked for in `root` first (val and test keep the boxes: they are
            the truth to test against); None for no masks.
        mask_threshold: this and what follows: see `align.data.trees.Options`.
        on_error: "skip" leaves pictures out that are missing, broken or have no mask.
        cache: folder for the decoded images.
        progress: whether to show progress bars.

    Returns:
        The benchmark "waterbirds": classes landbird and waterbird, `Domain.groups` numbered as
        `GROUPS`, `Domain.group_shares` the groups' shares in training.

    Raises:
        FileNotFoundError: if nothing of it is there, or no mask where masks are asked for.
        ValueError: if a table is not what it should be, or on_error is "raise" and a picture is
            missing, broken or has no mask, or one of another size.
    """
    options = Options(size, mask_threshold, on_error, cache, progress)
    check_path("masks", masks)
    chosen = choose("domains", domains, SPLITS, "Waterbirds has no split")
    folder = LAYOUT.find(root)
    copy = _Copy(folder, Metadata.read(folder / METADATA), options)
    if masks is not None and (folder / BOXES).is_file():
        copy.boxes = read_boxes(folder / BOXES, copy.metadata.files)
    elif masks is not None:
        copy.missing.append(
            f"Waterbirds: no {BOXES} in {folder}, so no boxes serve as masks; its columns are "
            "img_filename, x, y, width, height, in shares of the picture"
        )
    if masks is not None and str(masks) != "boxes":
        copy.masks = found(masks, root)
        if not copy.masks.is_dir():
            raise FileNotFoundError(
                f"no masks found in {copy.masks}: expected files SPECIES/NAME.png, named as the "
                'training pictures of Waterbirds; or masks="boxes", or None'
            )
    loaders = {name: copy.load(name) for name in chosen}
    return Benchmark("waterbirds", KINDS, loaders, tuple(copy.missing), training_split=TRAINING)


def describe(folder: Path, *, fingerprint: bool = True) -> Manifest:
    """Count the pictures of each split and group that are there."""
    metadata = Metadata.read(folder / METADATA)
    files: dict[tuple[str, str], list[str]] = {(s, g): [] for s in SPLITS for g in GROUPS}
    places = zip(metadata.files, metadata.splits.tolist(), metadata.groups.tolist(), strict=True)
    for file, split, group in places:
        if (folder / file).is_file():
            files[SPLITS[split], GROUPS[group]].append(file)
    return summary(LAYOUT.name, folder, files, fingerprint=fingerprint)


def absent(folder: Path) -> list[str]:
    """The sentence on pictures that `metadata.csv` names and that are not there, if any."""
    files = Metadata.read(folder / METADATA).files
    gone = [file for file in files if not (folder / file).is_file()]
    names = ", ".join(gone[:3]) + (", ..." if len(gone) > 3 else "")
    return [f"{len(gone):,} pictures that {METADATA} names are not there: {names}"] if gone else []


@dataclass
class _Copy:
    """One folder, read split by split; `missing` gathers what is not there."""

    folder: Path
    metadata: Metadata
    options: Options
    boxes: dict[str, Box] = field(default_factory=dict)
    masks: Path | None = None
    missing: list[str] = field(default_factory=list)

    def load(self, split: str) -> Callable[[], Domain]:
        names = self.metadata.files
        rows = self.metadata.rows(split).tolist()
        rows = self._keep(split, rows, lambda file: (self.folder / file).is_file(), "not there")
        stored = None
        if self.masks is not None and split == TRAINING:
            lack = f"without a mask in {self.masks}"
            rows = self._keep(split, rows, lambda file: (self.masks / _mask(file)).is_file(), lack)
            stored = [_mask(names[row]) for row in rows]
        elif self.boxes:
            rows = self._keep(split, rows, self.boxes.__contains__, f"without a box in {BOXES}")
        pairs = [(names[row], int(self.metadata.labels[row])) for row in rows]
        make, said = read_domain(split, pairs, self.folder, KINDS, self.options, self.masks, stored)
        self.missing += said
        return lambda: self._complete(make())

    def _keep(
        self, split: str, rows: list[int], is_good: Callable[[str], bool], lack: str
    ) -> list[int]:
        """The rows whose picture is good; of the others, say how many and which is the first."""
        bad = [row for row in rows if not is_good(self.metadata.files[row])]
        if not bad:
            return rows
        said = (
            f"Waterbirds {split}: {len(bad):,} of {len(rows):,} pictures are {lack}, the first is "
            f"{self.metadata.files[bad[0]]}"
        )
        if self.options.on_error == "raise" or len(bad) == len(rows):
            raise ValueError(
                f"{said}; `align data check waterbirds` counts what is there, "
                'on_error="skip" leaves these out'
            )
        self.missing.append(said)
        return sorted(set(rows) - set(bad))

    def _complete(self, domain: Domain) -> Domain:
        """The domain with its groups, and boxes where it has no other masks."""
        rows = {file: row for row, file in enumerate(self.metadata.files)}
        groups = self.metadata.groups[[rows[file] for file in domain.files]]
        masks = domain.masks
        if masks is None and self.boxes:
            boxes = torch.tensor([self.boxes[file] for file in domain.files])
            masks = box_masks(boxes, domain.images.shape[-1])
        counts = torch.tensor(self.metadata.counts(TRAINING), dtype=torch.float64)
        return replace(
            domain,
            masks=masks,
            groups=groups,
            group_names=GROUPS,
            group_shares=tuple((counts / counts.sum()).tolist()) if counts.sum() else None,
            environments=groups if domain.name == TRAINING else None,
        )


def _mask(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(".png"))
