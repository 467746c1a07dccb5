"""Cut-outs on scenes: real objects with true masks before backgrounds that go with their class.

So there is a shift of real backgrounds with a known strength, and the true mask of every object.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from align.checks import check_choice, check_kind, check_number, check_seed
from align.data.benchmark import Benchmark, Domain
from align.data.layouts import PathLike, locate
from align.data.listing import contents
from align.data.masks import load_pennfudan, load_weizmann
from align.data.trees import Options, Reader

FOREGROUNDS = ("weizmann_horse", "pennfudan_person")
BACKGROUNDS = ("PACS/photo/elephant", "PACS/photo/house")
"""Scenes of the horses and of the people: open land, and buildings."""

READERS = {"weizmann_horse": load_weizmann, "pennfudan_person": load_pennfudan}
DOMAINS = ("paired", "unpaired", "reversed")
LARGER_SIDE = (0.5, 0.85)
"""The object's larger side as a share of the picture's, drawn evenly."""

SHARPER = 3
"""Objects are read at so many times the size, because most fill a small part of their picture."""


def load_composite(
    root: PathLike | None = None,
    size: int = 224,
    *,
    foregrounds: Sequence[str | Domain] = FOREGROUNDS,
    backgrounds: Sequence[str | Domain] = BACKGROUNDS,
    rho: float = 0.8,
    seed: int = 0,
) -> Benchmark:
    """Paste objects on scenes, with a chosen correlation of class and scene.

    Half of the objects and of the scenes' photographs make the domain "paired", to train on. The
    other half make "unpaired" and "reversed", which show the same objects before different scenes.
    Each object stands in a domain once; photographs of scenes recur where there are fewer.

    Args:
        root: the folder that the names are relative to; None means `$ALIGN_DATA`.
        size: side of the images, in pixels.
        foregrounds: one a class, at least 2: a name of `READERS`, or any domain with masks; its
            name becomes the class's.
        backgrounds: one a class, in the same order: a folder of photographs, or any domain.
        rho: the probability, in [0, 1], that an object of "paired" stands before its class's own
            scene; else it stands before one of the others. In "unpaired" all scenes are equally
            likely, in "reversed" the own one has probability 1 − rho.
        seed: fixes halves, scenes, sizes and places.

    Returns:
        The benchmark. `Domain.masks` is the object's opacity, `Domain.groups` the scene's number.

    Raises:
        ValueError: if rho is out of range, the numbers of classes and scenes differ, or a
            foreground has no masks or fewer than 2 objects.
        FileNotFoundError: if the photographs are not there.

    Source: Sagawa et al., "Distributionally robust neural networks for group shifts", ICLR 2020,
    appendix.
    """
    check_number("size", size, 1, 10**5, whole=True)
    check_number("rho", rho, 0, 1)
    check_seed(seed)
    for what, given in (("foregrounds", foregrounds), ("backgrounds", backgrounds)):
        check_kind(what, given, (list, tuple), "a list of names or domains")
        for one in given:
            check_kind(f"one of the {what}", one, (str, Domain), "a name or a Domain")
    if len(foregrounds) != len(backgrounds) or len(foregrounds) < 2:
        raise ValueError(
            f"{len(foregrounds)} foregrounds and {len(backgrounds)} backgrounds, expected one of "
            "each for every class, at least 2 classes"
        )
    objects = [_foreground(one, root, size) for one in foregrounds]
    scenes = [_background(one, root, size) for one in backgrounds]
    classes = tuple(domain.name for domain in objects)
    count = len(scenes)
    own = {"paired": rho, "unpaired": 1 / count, "reversed": 1 - rho}
    loaders = {
        name: partial(_compose, name, objects, scenes, own[name], size, seed) for name in DOMAINS
    }
    return Benchmark("composite", classes, loaders)


def _foreground(one: str | Domain, root: PathLike | None, size: int) -> Domain:
    if not isinstance(one, Domain):
        check_choice("foreground", one, tuple(READERS))
        one = READERS[one](root, size=SHARPER * size, progress=False)
    if one.masks is None:
        raise ValueError(f"foreground '{one.name}' has no masks to cut along; load it with masks=…")
    shown = (one.masks.amax((1, 2)) >= 0.5).nonzero()[:, 0]
    if len(shown) < 2:
        raise ValueError(
            f"foreground '{one.name}' has {len(shown)} masked objects, expected at least 2"
        )
    return one.subset(shown)


def _background(one: str | Domain, root: PathLike | None, size: int) -> Tensor:
    """uint8 `(N, 3, size, size)`."""
    if isinstance(one, Domain):
        images = one.images
    else:
        folder = locate([one], root, f"place photographs in {{root}}/{one}", ())
        pairs = [(file, 0) for file in contents(folder).images]
        options = Options(size=size, progress=False)
        images = Reader(folder, options).read(one, pairs, (one,))().images
    if len(images) < 2:
        raise ValueError(f"background '{one}' has {len(images)} photographs, expected at least 2")
    if images.shape[2:] != (size, size):
        images = _bytes(_resize(images.float(), size, size))
    return images


def _compose(
    name: str, objects: list[Domain], scenes: list[Tensor], own: float, size: int, seed: int
) -> Domain:
    """One domain, rendered object by object."""
    second = name != "paired"
    # The second half's objects look alike in both domains; only the scenes are drawn apart.
    looks = Generator().manual_seed(2 * seed + second)
    choices = Generator().manual_seed(10_000_019 * (1 + DOMAINS.index(name)) + seed)
    made: list[tuple[Tensor, Tensor, int, int]] = []
    halves = [_half(len(scene), seed, second) for scene in scenes]
    for label, domain in enumerate(objects):
        for index in _half(len(domain), seed, second).tolist():
            cut, opacity = _cut(domain.images[index], domain.masks[index])
            layer, alpha = _place(cut, opacity, size, looks)
            scene = _scene(label, len(scenes), own, choices)
            photograph = halves[scene][torch.randint(len(halves[scene]), (), generator=choices)]
            picture = alpha * layer + (1 - alpha) * scenes[scene][photograph].float()
            made.append((_bytes(picture), alpha, label, scene))
    images, masks, labels, groups = zip(*made, strict=True)
    return Domain(
        name,
        torch.stack(images),
        torch.tensor(labels),
        tuple(domain.name for domain in objects),
        torch.stack(masks),
        torch.tensor(groups),
        mask_source="true",
    )


def _half(count: int, seed: int, second: bool) -> Tensor:
    """Positions of one half, int64; the two halves share none."""
    order = torch.randperm(count, generator=Generator().manual_seed(seed))
    return (order[count // 2 :] if second else order[: count // 2]).sort().values


def _scene(label: int, count: int, own: float, generator: Generator) -> int:
    """The class's own scene with probability `own`, else one of the others, evenly."""
    if torch.rand((), generator=generator) < own:
        return label
    other = int(torch.randint(count - 1, (), generator=generator))
    return other + (other >= label)


def _cut(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The part of an image around its object: float `(3, h, w)` in 0-255 and `(h, w)` in [0, 1]."""
    rows = (mask >= 0.5).any(1).nonzero()[:, 0]
    columns = (mask >= 0.5).any(0).nonzero()[:, 0]
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    return image[:, box[0], box[1]].float(), mask[box]


def _place(cut: Tensor, opacity: Tensor, size: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Scale a cut-out and lay it somewhere: `(3, size, size)` in 0-255 and `(size, size)`."""
    low, high = LARGER_SIDE
    larger = (low + (high - low) * torch.rand((), generator=generator)) * size
    scale = float(larger) / max(opacity.shape)
    height, width = (max(1, round(side * scale)) for side in opacity.shape)
    top, left = (
        int(torch.randint(size - side + 1, (), generator=generator)) for side in (height, width)
    )
    # Colour is averaged over the object alone: the old background must not shine at the edge.
    premultiplied = torch.cat([cut * opacity, opacity[None]])
    small = _resize(premultiplied[None], height, width)[0]
    layer, alpha = torch.zeros(3, size, size), torch.zeros(size, size)
    where = slice(top, top + height), slice(left, left + width)
    alpha[where] = small[3].clamp(0, 1)
    layer[:, where[0], where[1]] = small[:3] / small[3].clamp_min(1e-6)
    return layer.clamp_(0, 255), alpha


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    return interpolate(
        images, (height, width), mode="bilinear", align_corners=False, antialias=True
    )


def _bytes(images: Tensor) -> Tensor:
    return images.round().clamp(0, 255).to(torch.uint8)
