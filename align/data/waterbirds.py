"""Waterbirds: birds pasted on land or water, in training nearly always on the likely one.

The data set is one `metadata.csv` beside folders of pictures. Its three splits and its four groups,
kind of bird and place, are official and are never dealt again.

Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020; birds
from Wah et al., "The Caltech-UCSD Birds-200-2011 dataset", 2011; backgrounds from Zhou et al.,
"Places", 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch

from align.checks import check_path
from align.files import found

from .benchmark import Benchmark, Domain
from .boxes import Box, box_masks
from .layouts import GROUPS, KINDS, PathLike
from .layouts import WATERBIRDS as LAYOUT
from .trees import Options, Pairs, Reader, choose
from .waterbirds_tables import BOXES, METADATA, SPLITS, Metadata, read_boxes

TRAINING = SPLITS[0]
ENVIRONMENTS = ("groups", "places")


def load_waterbirds(
    root: PathLike | None = None,
    *,
    size: int = 224,
    domains: Sequence[str] | None = None,
    masks: PathLike | None = "boxes",
    environments: str = "groups",
    mask_threshold: int | None = None,
    on_error: str = "raise",
    cache: PathLike | None = None,
    progress: bool = True,
) -> Benchmark:
    """Load Waterbirds with its official splits.

    The domains are the splits; "train" carries environments, which methods that tell them apart in
    training (GroupDRO, IRM) are told; all others pass over them.

    Args:
        root: the folder that holds one of `LAYOUT.folders`, or that folder itself.
        size: images are squeezed to squares of this side, in pixels.
        domains: splits to read, of `SPLITS`; None means all.
        masks: "boxes", the birds' boxes drawn by hand if `boxes.csv` is there (columns
            img_filename, x, y, width, height; the last four as shares of the picture); a folder
            of mask images for the training split, `masks/SPECIES/NAME.png` for
            `SPECIES/NAME.jpg`, looked for in `root` first (val and test keep the boxes: they are
            the truth to test against); None for no masks.
        environments: "groups", kind of bird and place, or "places" alone.
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
    (told,) = choose("environments", [environments], ENVIRONMENTS, "Waterbirds tells nothing by")
    chosen = choose("domains", domains, SPLITS, "Waterbirds has no split")
    folder = LAYOUT.find(root)
    metadata, boxes = Metadata.read(folder / METADATA, by_place=told == "places"), {}
    reader, mask_root = Reader(folder, options), None
    if masks is not None and (folder / BOXES).is_file():
        boxes = read_boxes(folder / BOXES, metadata.files)
    elif masks is not None:
        reader.missing.append(
            f"Waterbirds: no {BOXES} in {folder}, so no boxes serve as masks; its columns are "
            "img_filename, x, y, width, height, in shares of the picture"
        )
    if masks is not None and str(masks) != "boxes":
        mask_root = found(masks, root)
        if not mask_root.is_dir():
            raise FileNotFoundError(
                f"no masks found in {mask_root}: expected files SPECIES/NAME.png, named as the "
                'training pictures of Waterbirds; or masks="boxes", or None'
            )
    loaders = {name: _read(reader, name, metadata, boxes, mask_root) for name in chosen}
    return Benchmark("waterbirds", KINDS, loaders, tuple(reader.missing), training_split=TRAINING)


def _read(
    reader: Reader, split: str, metadata: Metadata, boxes: dict[str, Box], mask_root: Path | None
) -> Callable[[], Domain]:
    def keep(pairs: Pairs, is_good: Callable[[str], object], lack: str, remedy: str) -> Pairs:
        what, fault = f"Waterbirds {split}", f"pictures are {lack}"
        return reader.keep(what, pairs, is_good, fault, remedy)

    rows, counts = metadata.rows(split).tolist(), "`align data check waterbirds` counts them"
    if not rows:
        raise ValueError(
            f"{reader.root / METADATA} has no row with split {SPLITS.index(split)} ({split}), "
            "expected its pictures; get the whole table, or pass domains= without this split"
        )
    pairs = [(metadata.files[row], int(metadata.labels[row])) for row in rows]
    pairs = keep(pairs, lambda file: (reader.root / file).is_file(), "not there", counts)
    stored = None
    if mask_root is not None and split == TRAINING:
        lack = f"without a mask in {mask_root}"
        pairs = keep(pairs, lambda file: (mask_root / _mask(file)).is_file(), lack, "add them")
        stored = [_mask(file) for file, _ in pairs]
    elif boxes:
        pairs = keep(pairs, boxes.get, f"without a box in {BOXES}", counts)
    make = reader.read(split, pairs, KINDS, mask_root, stored)
    return lambda: _completed(make(), metadata, boxes)


def _completed(domain: Domain, metadata: Metadata, boxes: dict[str, Box]) -> Domain:
    """The domain with its groups, and boxes where it has no other masks."""
    rows = {file: row for row, file in enumerate(metadata.files)}
    chosen = [rows[file] for file in domain.files]
    masks = domain.masks
    if masks is None and boxes:
        sides = torch.tensor([boxes[file] for file in domain.files]).reshape(-1, 4)
        masks = box_masks(sides, domain.images.shape[-1])
    counts = torch.tensor(metadata.counts(TRAINING), dtype=torch.float64)
    return replace(
        domain,
        masks=masks,
        groups=metadata.groups[chosen],
        group_names=GROUPS,
        group_shares=tuple((counts / counts.sum()).tolist()) if counts.sum() else None,
        environments=metadata.environments[chosen] if domain.name == TRAINING else None,
    )


def _mask(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(".png"))
