"""`toy-vlcs` and `toy-terra`: procedural benchmarks with true object masks.

An image is an object laid over a scene, `x = M⊙o + (1−M)⊙b`. The two are drawn from separate
random streams, so that a scene can be swapped while every object stays as it was. In each domain
each class has a scene that is its own (the *pairing*): with probability `rho` an image is given it,
otherwise any scene, all alike. The pairings of two domains never agree on a class, so a
classifier that reads the scene is misled on every other domain, while objects look the same
everywhere. `toy-vlcs` keeps to that exactly; in `toy-terra` night, fog and grass also touch the
object, as they do in front of a camera trap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from align.checks import check_choice, check_number, check_seed
from align.data.benchmark import Benchmark, Domain
from alignbook.worlds.scenes import CAMERAS, LIGHTS, SCENES, VIEWS, bank
from alignbook.worlds.shapes import BRIGHT, VARIANTS, atlas

CHUNK = 128  # images rendered at once: the working set stays in a core's cache


@dataclass(frozen=True)
class World:
    """What tells one toy benchmark from another."""

    name: str
    classes: tuple[str, ...]
    domains: tuple[str, ...]
    scenes: tuple[str, ...]
    rho: float
    pattern: float
    area: tuple[float, float]
    hues: tuple[float, float]  # of the objects' colours, on a wheel of circumference 1
    hidden: bool  # a trap camera: it stands still, and light, weather and grass touch the animal


WORLDS = {
    "toy-vlcs": World(
        "toy-vlcs",
        classes=("bird", "car", "chair", "dog", "person"),
        domains=("noon", "dusk", "film", "fog"),
        scenes=SCENES,
        rho=0.95,
        pattern=0.35,
        area=(0.12, 0.28),
        hues=(0.0, 1.0),
        hidden=False,
    ),
    "toy-terra": World(
        "toy-terra",
        classes=("bird", "cat", "coyote", "empty", "rabbit", "squirrel"),
        domains=CAMERAS,
        scenes=LIGHTS,
        rho=0.8,
        pattern=0.0,
        area=(0.15, 0.22),
        hues=(0.02, 0.13),
        hidden=True,
    ),
}

# The look of a domain of toy-vlcs, laid on backgrounds only: gain and offset per colour.
GRADES = {
    "noon": ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "dusk": ((0.85, 0.72, 0.6), (0.06, 0.02, 0.02)),
    "film": ((0.72, 0.7, 0.66), (0.16, 0.15, 0.12)),
    "fog": ((0.62, 0.64, 0.66), (0.28, 0.29, 0.3)),
}


def load_toy(
    name: str,
    *,
    size: int = 64,
    n: int = 2500,
    rho: float | None = None,
    pattern: float | None = None,
    seed: int = 0,
    scene_seed: int | None = None,
    pairing: str | None = None,
) -> Benchmark:
    """Render a toy benchmark.

    Args:
        name: "toy-vlcs" or "toy-terra".
        size: side of the images, in pixels, from 16 to 10,000.
        n: images per domain, at least one a class.
        rho: probability, in [0, 1], that an image is given its class's own scene; otherwise the
            scene is drawn alike from all. None takes 0.95 in toy-vlcs, 0.8 in toy-terra.
        pattern: contrast, in [0, 1], of the surface that each class of toy-vlcs has (feathers,
            varnish, grain, brindle, checks): how much of the class every patch of an object shows.
            0 leaves the outline alone; None takes the world's default (0.35; toy-terra's animals
            are plain, and know no other).
        seed: fixes objects, labels and scenes; the same seed gives the same images.
        scene_seed: fixes the scenes alone; with the same `seed` and another `scene_seed`, the same
            objects stand before other scenes. None takes `seed`.
        pairing: the domain whose pairing every domain uses, or "none" for scenes that are
            independent of the class; None gives each domain its own.

    Returns:
        A benchmark whose domains are rendered when first asked for. `Domain.masks` is the
        object's true opacity and `Domain.groups` the scene's number.

    Raises:
        ValueError: if an argument is out of range.
    """
    check_choice("name", name, tuple(WORLDS))
    world = WORLDS[name]
    rho = world.rho if rho is None else rho
    pattern = world.pattern if pattern is None else pattern
    check_number("size", size, 16, 10_000, whole=True)
    check_number("n", n, len(world.classes), 10**8, whole=True)
    check_number("rho", rho, 0, 1)
    check_number("pattern", pattern, 0, 1)
    if pattern and world.hidden:
        raise ValueError(f"pattern is {pattern}, expected 0: the animals of {name} are plain")
    if pairing is not None:
        check_choice("pairing", pairing, (*world.domains, "none"))
    check_seed(seed)
    scene_seed = seed if scene_seed is None else scene_seed
    check_number("scene_seed", scene_seed, 0, 2**63 - 1, whole=True)
    world = replace(world, rho=rho, pattern=pattern)
    loaders = {
        domain: partial(_render, world, domain, size, n, seed, scene_seed, pairing or domain)
        for domain in world.domains
    }
    return Benchmark(name=name, classes=world.classes, loaders=loaders)


toy_vlcs, toy_terra = (partial(load_toy, name) for name in WORLDS)
"""The entry points of the two."""


def paired_scene(world: str, domain: str) -> tuple[str, ...]:
    """The scene that each class of a domain is paired with, in class order."""
    spec = WORLDS[world]
    return tuple(spec.scenes[k] for k in _pairing(spec, domain).tolist())


def _pairing(world: World, domain: str) -> Tensor:
    """Scene number of each class; shifting by the domain's number makes all pairings differ."""
    shift = world.domains.index(domain)
    return (torch.arange(len(world.classes)) + shift) % len(world.scenes)


def _render(
    world: World, domain: str, size: int, n: int, seed: int, scene_seed: int, pairing: str
) -> Domain:
    number = world.domains.index(domain)
    # An object covers about half the image: three or four texels a pixel.
    planes, areas, boxes = atlas(world.classes, 2 * size, world.pattern)
    objects = _draw_objects(world, n, np.random.default_rng([seed, number, 1]), areas, boxes)
    rng = np.random.default_rng([scene_seed, number, 2])
    scene = torch.from_numpy(rng.integers(0, len(world.scenes), n))
    own = torch.from_numpy(rng.random(n) < world.rho)
    if pairing != "none":
        scene = torch.where(own, _pairing(world, pairing)[objects["labels"]], scene)
    views = _draw_views(n, rng)
    images = torch.empty(n, 3, size, size, dtype=torch.uint8)
    masks = torch.empty(n, size, size)
    kinds = scene + (number * len(world.scenes) if world.hidden else 0)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        colours, opacity = _object_layer(planes, objects, part, size)
        view = {key: values[part] for key, values in views.items()}
        background = _background(world, domain, kinds[part], view, size)
        if world.hidden:
            colours = _lit(colours, scene[part])
            opacity = _hide(opacity, objects["cover"][part])
        # o and b in 0..255, x = b + M (o - b), written straight into the result.
        masks[part] = opacity[:, 0]
        torch.lerp(background, colours, opacity, out=background)
        images[part] = background.clamp_(0, 255).round_()
    return Domain(
        name=domain,
        images=images,
        labels=objects["labels"],
        classes=world.classes,
        masks=masks,
        groups=scene,
        mask_source="true",
    )


def _draw_objects(
    world: World, n: int, rng: Generator, areas: Tensor, boxes: Tensor
) -> dict[str, Tensor]:
    """Everything random about the objects: class, pose, place, size and colours."""
    labels = torch.from_numpy(rng.permutation(np.arange(n) % len(world.classes)))
    drawing = labels * VARIANTS + torch.from_numpy(rng.integers(0, VARIANTS, n))
    area = torch.from_numpy(rng.uniform(*world.area, n)).float()
    # A drawing scaled by s covers s² of its own share of the image; s is bounded by its box.
    scale = (area / areas[drawing].clamp_min(1e-6)).sqrt()
    box = boxes[drawing]
    scale = torch.minimum(scale, 0.98 / box[:, :2].amax(1).clamp_min(0.1))
    turn = torch.from_numpy(rng.uniform(-0.12, 0.12, n)).float()
    mirror = torch.from_numpy(rng.choice([-1.0, 1.0], n)).float()
    room = (1 - scale[:, None] * box[:, :2]).clamp_min(0)
    place = torch.from_numpy(rng.uniform(-1, 1, (n, 2))).float() * room
    # Maps from image coordinates in [-1, 1] to the drawing's.
    c, s = torch.cos(turn) / scale, torch.sin(turn) / scale
    rotation = torch.stack([torch.stack([c * mirror, s * mirror], 1), torch.stack([-s, c], 1)], 1)
    shift = box[:, 2:, None] - rotation @ place[..., None]
    return {
        "labels": labels,
        "drawing": drawing,
        "theta": torch.cat([rotation, shift], 2),
        "first": _paint(rng, n, world.hues, (0.35, 0.9), (0.5, 0.95)),
        "second": _paint(rng, n, world.hues, (0.05, 0.5), (0.35, 0.85)),
        "cover": torch.from_numpy(rng.uniform(0, 1, (n, 2))).float(),
    }


Range = tuple[float, float]


def _paint(rng: Generator, n: int, hues: Range, saturation: Range, value: Range) -> Tensor:
    """`(n, 3)` colours, 0 to 255, alike for every class: colour says nothing about the label."""
    hue, s, v = (rng.uniform(*ends, (n, 1)) for ends in (hues, saturation, value))
    wheel = np.abs((hue * 6 + np.array([0.0, 4.0, 2.0])) % 6 - 3) - 1
    return torch.from_numpy(255 * v * (1 - s + s * np.clip(wheel, 0, 1))).float()


def _draw_views(n: int, rng: Generator) -> dict[str, Tensor]:
    """Which canvas, which crop of it, and how bright."""
    return {
        "view": torch.from_numpy(rng.integers(0, VIEWS, n)),
        "top": torch.from_numpy(rng.random(n)).float(),
        "left": torch.from_numpy(rng.random(n)).float(),
        "flip": torch.from_numpy(rng.integers(0, 2, n)),
        # White balance and exposure vary, so that no single colour gives a scene away.
        "gain": torch.from_numpy(rng.uniform(0.6, 1.3, (n, 3))).float(),
    }


def _background(
    world: World, domain: str, kinds: Tensor, view: dict[str, Tensor], size: int
) -> Tensor:
    """float32 `(m, 3, size, size)`, 0 to 255."""
    canvases = bank(world.name, size)
    side = canvases.shape[-1]
    # A trap camera does not move: its crop shakes by a pixel or so and is never mirrored.
    reach = 0.08 * (side - size) if world.hidden else side - size
    top = (view["top"] * reach).long()
    line = torch.arange(size)
    rows = (top[:, None] + line) * side
    left = (view["left"] * reach).long()[:, None]
    flip = torch.zeros_like(left) if world.hidden else view["flip"][:, None]
    columns = left + torch.where(flip == 1, size - 1 - line, line)
    base = (kinds * VIEWS + view["view"]) * side * side
    pixels = _gather(canvases, base[:, None, None] + rows[:, :, None] + columns[:, None, :])
    gain, offset = view["gain"], torch.zeros(3)
    if not world.hidden:
        grade, lift = GRADES[domain]
        gain, offset = gain * torch.tensor(grade), 255 * torch.tensor(lift)
    return pixels.transpose(0, 1).mul_(gain[:, :, None, None]).add_(offset[:, None, None])


def _gather(planes: Tensor, index: Tensor) -> Tensor:
    """float32 `(len(planes), *index.shape)`: the bytes of each plane at flat positions."""
    # One `gather` a plane: several times faster on a CPU than `index_select` along a row.
    flat = [plane.gather(0, index.flatten()) for plane in planes.flatten(1)]
    return torch.stack(flat).view(len(planes), *index.shape).float()


def _object_layer(
    planes: Tensor, objects: dict[str, Tensor], part: slice, size: int
) -> tuple[Tensor, Tensor]:
    """Colours `(m, 3, size, size)` in 0 to 255, and opacity `(m, 1, size, size)`."""
    side = planes.shape[-1]
    line = (torch.arange(size) + 0.5) * (2 / size) - 1
    # Position in the drawing, in its pixels: one multiply-add an axis of the image.
    across, down, shift = ((objects["theta"][part] * (side / 2))[:, :, i] for i in range(3))
    start = down[:, :, None] * line + (shift + side / 2)[:, :, None]
    place = across[:, :, None, None] * line + start[..., None]
    x, y = place.unbind(1)
    inside = (place.amin(1) >= 0) & (place.amax(1) < side)
    index = y.long().clamp_(0, side - 1) * side + x.long().clamp_(0, side - 1)
    index += (objects["drawing"][part] * side * side)[:, None, None]
    opacity, share, brightness = _gather(planes, index).unsqueeze(2)
    second = objects["second"][part][:, :, None, None]
    first = objects["first"][part][:, :, None, None]
    colours = torch.lerp(second, first, share.div_(255)).mul_(brightness.div_(BRIGHT))
    return colours.clamp_(0, 255), opacity.mul_(inside[:, None]).div_(255)


def _lit(colours: Tensor, scene: Tensor) -> Tensor:
    """What the light of a trap camera does to the animal itself, in place."""
    night, fog = scene == LIGHTS.index("night"), scene == LIGHTS.index("fog")
    colours[night] = colours[night].mean(1, keepdim=True) * 0.55 + 45
    colours[fog] = colours[fog] * 0.45 + 115
    return colours


def _hide(opacity: Tensor, cover: Tensor) -> Tensor:
    """Grass in front of the animal's feet: jagged, up to a fifth of its height."""
    size = opacity.shape[-1]
    line = torch.arange(size, dtype=torch.float32)
    rows = opacity[:, 0].amax(2) > 0.5
    lowest = (rows * line).amax(1)
    highest = torch.where(rows, line, math.inf).amin(1).clamp_max(size)
    grass = _grass(size)[(cover[:, 1] * len(_grass(size))).long()]
    edge = lowest - (lowest - highest).clamp_min(0) * (0.22 * cover[:, 0])
    below = line[:, None] > (edge[:, None] + size * 0.05 * grass)[:, None, :]
    return opacity * ~below[:, None]


@lru_cache(maxsize=8)
def _grass(size: int) -> Tensor:
    """`(32, size)` ragged outlines in [-1, 1]."""
    coarse = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (32, 1, size // 4 + 2)))
    return torch.nn.functional.interpolate(coarse.float(), size, mode="nearest")[:, 0]
