"""Pack pictures for a machine without the data sets.

    python -m alignbook.gpu.pack pacs --root DATA
    python -m alignbook.gpu.pack waterbirds --root DATA --backbone mobilenet_v2 --weights FILE

What does not fit is left out evenly, the same share of each class and group, and named.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from PIL import Image
from torch import Tensor

from align.cli.commands import Root
from align.data import Benchmark, Domain, load
from align.files import replacing
from align.networks.weights import read_tensors, write_tensors
from alignbook.gpu.packed import FORMAT, IMAGES, MASKS, WEIGHTS

MIB = 2**20

SHARD = 15 * MIB
"""Bytes of pictures in a shard, about."""

OVERHEAD = 64
"""Bytes beside its compressed picture that an image takes, about: labels, ends, its name."""


UNTOLD = {"waterbirds": "boxes"}
"""Where the masks of a benchmark come from, if its domains do not say it."""


@dataclass(frozen=True)
class Packed:
    """What was packed.

    Args:
        files: what was written.
        size: bytes of all of it.
        left_out: a sentence for each domain of which something was left out.
    """

    files: tuple[Path, ...]
    size: int
    left_out: tuple[str, ...]


def pack(
    benchmark: Benchmark,
    folder: Path,
    *,
    mib: float = 60.0,
    quality: int = 75,
    domains: Sequence[str] | None = None,
    backbone: str = "",
    weights: Path | None = None,
    seed: int = 0,
) -> Packed:
    """Write a benchmark as shards of compressed pictures.

    Args:
        benchmark: as `align.load` gives it, at the size that is wanted.
        folder: where the shards go; those of an earlier packing of the same benchmark are removed.
        mib: what all files together may take, in MiB.
        quality: of the JPEGs, 1 to 95; the pictures that come out are not those that went in.
        domains: which, the one to train on first; None means all.
        backbone: the network that `weights` belong to.
        weights: a file for `align.Config.weights`, which comes along in half precision.
        seed: chooses what is left out.

    Returns:
        What was written and what was left out.

    Raises:
        ValueError: if a value is out of range, or nothing fits.
    """
    if not 1 <= quality <= 95:
        raise ValueError(f"quality is {quality}, expected a whole number from 1 to 95")
    if (weights is None) != (not backbone):
        raise ValueError("weights and backbone go together: give both, or neither")
    names = tuple(domains or benchmark.domains)
    folder.mkdir(parents=True, exist_ok=True)
    room = int(mib * MIB)
    network = {}
    if weights is not None:
        room -= _write_weights(weights, folder / WEIGHTS)
        network = {"backbone": backbone, "weights": WEIGHTS}
    whole = [_Compressed.of(benchmark[name], quality) for name in names]
    share = min(1.0, room / sum(part.size for part in whole))
    kept = [part.thinned(share, seed) for part in whole]
    if not all(len(part.domain) for part in kept):
        raise ValueError(f"{mib:g} MiB have no room for pictures; give more, or pack smaller ones")
    options = {
        "size": int(kept[0].domain.images.shape[-1]),
        "jpeg": quality,
        "pictures": sum(len(part.domain) for part in kept),
    }
    source = kept[0].domain.mask_source or UNTOLD.get(benchmark.name, "")
    if kept[0].domain.masks is not None and source not in ("", "true"):
        options["masks"] = source
    more = {
        field.name: getattr(benchmark, field.name)
        for field in fields(Benchmark)
        if isinstance(getattr(benchmark, field.name), str) and field.name != "name"
    }
    told = {
        "name": benchmark.name, "classes": benchmark.classes, "domains": names,
        "options": options, "network": network, "more": more,
    }  # fmt: skip
    files = _write(folder, told, kept)
    if weights is not None:
        files.append(folder / WEIGHTS)
    sentences = [
        f"{part.domain.name}: {len(part.domain) - len(less.domain):,} of {len(part.domain):,} "
        f"pictures left out, the same share of each class and group"
        for part, less in zip(whole, kept, strict=True)
        if len(less.domain) < len(part.domain)
    ]
    size = sum(file.stat().st_size for file in files)
    return Packed(tuple(files), size, tuple(sentences))


@dataclass(frozen=True)
class _Compressed:
    """A domain with its pictures and masks compressed."""

    domain: Domain
    images: list[bytes]
    masks: list[bytes] | None

    @classmethod
    def of(cls, domain: Domain, quality: int) -> _Compressed:
        images = [_jpeg(image, quality) for image in domain.images]
        masks = None if domain.masks is None else [_png(mask) for mask in domain.masks]
        return cls(domain, images, masks)

    @property
    def sizes(self) -> list[int]:
        masks = self.masks or [b""] * len(self.images)
        return [len(a) + len(b) + OVERHEAD for a, b in zip(self.images, masks, strict=True)]

    @property
    def size(self) -> int:
        return sum(self.sizes)

    def part(self, chosen: Tensor) -> _Compressed:
        rows = chosen.tolist()
        masks = None if self.masks is None else [self.masks[i] for i in rows]
        return replace(
            self, domain=self.domain.subset(chosen), images=[self.images[i] for i in rows],
            masks=masks,
        )  # fmt: skip

    def thinned(self, share: float, seed: int) -> _Compressed:
        """The same share of each class and group, at random, rounded down."""
        if share >= 1:
            return self
        generator = torch.Generator().manual_seed(seed)
        groups = self.domain.groups
        groups = torch.zeros_like(self.domain.labels) if groups is None else groups
        cells = torch.stack([self.domain.labels, groups]).unique(dim=1, return_inverse=True)[1]
        chosen = []
        for cell in cells.unique():
            members = torch.nonzero(cells == cell)[:, 0]
            order = torch.randperm(len(members), generator=generator)
            chosen.append(members[order[: math.floor(share * len(members))]])
        return self.part(torch.cat(chosen).sort()[0])

    def shards(self) -> list[_Compressed]:
        number = torch.tensor(self.sizes).cumsum(0).sub(1).div(SHARD, rounding_mode="floor")
        return [self.part(torch.nonzero(number == i)[:, 0]) for i in number.unique()]


def _write(folder: Path, told: dict[str, Any], kept: list[_Compressed]) -> list[Path]:
    shards = []
    for part in kept:
        pieces = part.shards()
        shards += [(piece, index, len(pieces)) for index, piece in enumerate(pieces)]
    stem = told["name"].replace("/", "-")
    for old in folder.glob(f"{stem}-[0-9]*.safetensors"):
        old.unlink()
    files = [folder / f"{stem}-{number}.safetensors" for number in range(len(shards))]
    with replacing(*files) as partials:
        for partial, (piece, index, count) in zip(partials, shards, strict=True):
            tensors, values = _contents(piece)
            head = {
                "format": FORMAT, "benchmark": told, "domain": values, "part": index,
                "parts": count, "tensors": [name for name in tensors if "." not in name],
            }  # fmt: skip
            write_tensors(partial, tensors, {"pack": json.dumps(head)})
    return files


def _contents(piece: _Compressed) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A domain's tensors, pictures compressed, and its other values."""
    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}
    for field in fields(Domain):
        value = getattr(piece.domain, field.name)
        if field.name in (IMAGES, MASKS):
            continue
        if isinstance(value, Tensor):
            tensors[field.name] = value
        elif value is not None:
            values[field.name] = value
    for name, compressed in ((IMAGES, piece.images), (MASKS, piece.masks)):
        if compressed is not None:
            data = np.frombuffer(b"".join(compressed), np.uint8).copy()
            tensors[name] = torch.from_numpy(data)
            tensors[f"{name}.ends"] = torch.tensor([len(one) for one in compressed]).cumsum(0)
    return tensors, values


def _jpeg(image: Tensor, quality: int) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def _png(mask: Tensor) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((mask * 255).round().to(torch.uint8).numpy()).save(buffer, "PNG")
    return buffer.getvalue()


def _write_weights(source: Path, target: Path) -> int:
    tensors = read_tensors(source, "a file in torchvision's layout for the backbone")
    halves = {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()}
    if bad := [n for n, t in halves.items() if t.is_floating_point() and not t.isfinite().all()]:
        raise ValueError(f"'{source}': {bad[0]} does not fit half precision; pack without weights")
    with replacing(target) as (partial,):
        write_tensors(partial, halves, {})
    return target.stat().st_size


def main(
    name: Annotated[str, typer.Argument(help="A name that align.load takes.")],
    root: Root = None,
    size: Annotated[int, typer.Option(help="Side of the pictures, in pixels.")] = 128,
    mib: Annotated[float, typer.Option(help="What all files may take, in MiB.")] = 60.0,
    quality: Annotated[int, typer.Option(help="Of the JPEGs, 1 to 95.")] = 75,
    domain: Annotated[list[str] | None, typer.Option(help="To train on first; repeat.")] = None,
    masks: Annotated[str | None, typer.Option(help="Parallel folder of mask images.")] = None,
    backbone: Annotated[str, typer.Option(help="The network that the weights belong to.")] = "",
    weights: Annotated[Path | None, typer.Option(help="A file that comes along.")] = None,
    out: Annotated[Path, typer.Option(help="Where the shards go.")] = Path("runs/packed"),
) -> None:
    """Pack a benchmark's pictures under a size, and say what was left out."""
    options = {} if masks is None else {"masks": masks}
    done = pack(
        load(name, root, size, **options), out,
        mib=mib, quality=quality, domains=domain, backbone=backbone, weights=weights,
    )  # fmt: skip
    print(f"{len(done.files)} files, {done.size / MIB:.1f} MiB, in {out}")
    print("\n".join(done.left_out) or "nothing was left out")


if __name__ == "__main__":
    typer.run(main)
