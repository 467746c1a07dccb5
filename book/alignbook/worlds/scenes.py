"""Backgrounds of the toy worlds: five kinds of scene, and four fixed cameras in six lights.

Each painter fills a canvas a little larger than the image, so that a random crop of it is a new
view. The canvases are painted once a size and kept as a bank of bytes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

Canvas = NDArray[np.float32]  # (3, S, S), values in [0, 1]

VIEWS = 24
"""How many canvases of each kind of scene there are."""
MARGIN = 1.3
"""A canvas's side, in image sides."""

SCENES = ("sky", "road", "room", "meadow", "beach")
LIGHTS = ("day", "dusk", "night", "fog", "snow", "rain")
CAMERAS = ("creek", "ridge", "trail", "wash")


def noise(rng: Generator, side: int, cells: int, stretch: int = 1) -> Canvas:
    """Smooth noise in [0, 1] with about `cells` bumps a side, `stretch` times as wide as high."""
    grid = torch.from_numpy(rng.random((1, 1, cells, max(2, cells // stretch)), np.float32))
    return interpolate(grid, (side, side), mode="bicubic").clamp_(0, 1)[0, 0].numpy()


def _colour(rng: Generator, red: float, green: float, blue: float, spread=0.06) -> Canvas:
    drawn = np.array([red, green, blue]) + rng.uniform(-spread, spread, 3)
    return drawn.astype(np.float32)[:, None, None]


def _axes(side: int) -> tuple[Canvas, Canvas]:
    line = (np.arange(side, dtype=np.float32) + 0.5) / side
    return line[None, :], line[:, None]


def _blend(below: Canvas, above: Canvas, weight: Canvas) -> Canvas:
    return below + (above - below) * weight


def _step(values: Canvas, side: int) -> Canvas:
    """0 where negative, 1 where positive, with an edge one pixel wide."""
    return np.clip(values * side + 0.5, 0, 1)


def sky(rng: Generator, side: int) -> Canvas:
    """Blue air with clouds."""
    _, y = _axes(side)
    air = _blend(_colour(rng, 0.25, 0.5, 0.86), _colour(rng, 0.68, 0.84, 0.97), y)
    cloud = 0.65 * noise(rng, side, 5, 2) + 0.35 * noise(rng, side, 11, 2)
    return _blend(air, _colour(rng, 0.97, 0.97, 0.98, 0.02), np.clip((cloud - 0.5) * 4, 0, 1))


def road(rng: Generator, side: int) -> Canvas:
    """Houses with windows behind an asphalt road."""
    x, y = _axes(side)
    horizon = rng.uniform(0.42, 0.52)
    picture = _blend(_colour(rng, 0.8, 0.82, 0.84), _colour(rng, 0.88, 0.87, 0.84), y)
    left = -0.1
    while left < 1:
        width, top = rng.uniform(0.16, 0.3), rng.uniform(0.05, 0.3)
        wall = _step(x - left, side) * _step(left + width - x, side) * _step(y - top, side)
        picture = _blend(picture, _colour(rng, 0.6, 0.42, 0.36, 0.14), wall)
        pane = (np.sin((x - left) * 2 * np.pi / 0.075) > 0.2) * (np.sin(y * 2 * np.pi / 0.1) > 0.1)
        picture = _blend(picture, _colour(rng, 0.84, 0.86, 0.72), wall * pane * 0.8)
        left += width
    asphalt = _colour(rng, 0.36, 0.36, 0.38, 0.03) + 0.08 * (noise(rng, side, side // 2) - 0.5)
    picture = _blend(picture, asphalt, _step(y - horizon, side))
    kerb = _step(y - horizon, side) * _step(horizon + 0.04 - y, side)
    picture = _blend(picture, _colour(rng, 0.7, 0.69, 0.66), kerb)
    line = rng.uniform(0.7, 0.85)
    dashes = _step(0.018 - np.abs(y - line), side) * (np.sin(x * 2 * np.pi / 0.32) > -0.2)
    return _blend(picture, _colour(rng, 0.93, 0.92, 0.8, 0.03), dashes)


def room(rng: Generator, side: int) -> Canvas:
    """A papered wall with a picture over a wooden floor."""
    x, y = _axes(side)
    floor = rng.uniform(0.58, 0.72)
    paper, stripe = _colour(rng, 0.86, 0.76, 0.62, 0.08), _colour(rng, 0.78, 0.64, 0.52, 0.08)
    period = rng.uniform(0.1, 0.16)
    picture = _blend(paper, stripe, 1.0 * (np.sin(x * 2 * np.pi / period) > 0.15) + 0 * y)
    cx, cy, half = rng.uniform(0.2, 0.8), rng.uniform(0.18, 0.32), rng.uniform(0.08, 0.13)
    reach = np.maximum(np.abs(x - cx), np.abs(y - cy) * 1.25)
    picture = _blend(picture, _colour(rng, 0.38, 0.24, 0.14, 0.04), _step(half - reach, side))
    inner = _step(half * 0.75 - reach, side)
    picture = _blend(picture, _colour(rng, 0.75, 0.7, 0.65, 0.2), inner)
    plank = np.floor((y - floor) / 0.075)
    grain = 0.1 * np.sin(plank * 12.9) + 0.1 * (noise(rng, side, 26, 8) - 0.5)
    wood = _colour(rng, 0.58, 0.36, 0.2, 0.05) + grain
    wood = wood * np.where(((y - floor) % 0.075) < 0.012, 0.7, 1.0)
    picture = _blend(picture, wood, _step(y - floor, side))
    skirting = _step(0.02 - np.abs(y - floor), side)
    return _blend(picture, _colour(rng, 0.95, 0.93, 0.89, 0.03), skirting)


def meadow(rng: Generator, side: int) -> Canvas:
    """Hills and grass with flowers."""
    x, y = _axes(side)
    picture = _blend(_colour(rng, 0.62, 0.8, 0.92), _colour(rng, 0.84, 0.92, 0.9), y * 2)
    for depth in range(3):
        hill = 0.24 + 0.12 * depth + 0.05 * np.sin(x * rng.uniform(4, 9) + rng.uniform(0, 6))
        green = _colour(rng, 0.42 - 0.07 * depth, 0.62 - 0.06 * depth, 0.3 - 0.05 * depth, 0.03)
        picture = _blend(picture, green + 0 * y, _step(y - hill, side))
    blades = (noise(rng, side, side // 2)[:, :] - 0.5) * 0.3 * _step(y - 0.46, side)
    picture = picture + blades * np.array([0.8, 1.0, 0.5], np.float32)[:, None, None]
    for _ in range(16):
        cx, cy = rng.random(), rng.uniform(0.55, 1)
        spot = _step(0.012 - np.hypot(x - cx, y - cy), side)
        picture = _blend(picture, _colour(rng, 0.95, 0.85, 0.45, 0.12), spot)
    return picture


def beach(rng: Generator, side: int) -> Canvas:
    """The sea with waves, and sand in front."""
    x, y = _axes(side)
    horizon, shore = rng.uniform(0.25, 0.35), rng.uniform(0.62, 0.76)
    picture = _blend(_colour(rng, 0.72, 0.87, 0.94), _colour(rng, 0.95, 0.94, 0.88), y * 3)
    depth = np.clip((y - horizon) / (shore - horizon), 0, 1)
    sea = _blend(_colour(rng, 0.05, 0.36, 0.52), _colour(rng, 0.3, 0.72, 0.74), depth)
    phase = y * 70 + 3 * np.sin(x * 9 + rng.uniform(0, 6)) + 4 * noise(rng, side, 8)
    sea = _blend(sea, _colour(rng, 0.92, 0.97, 0.97, 0.02), np.clip(np.sin(phase) - 0.72, 0, 1) * 2)
    picture = _blend(picture, sea, _step(y - horizon, side))
    edge = shore + 0.03 * np.sin(x * rng.uniform(5, 9) + rng.uniform(0, 6))
    sand = _colour(rng, 0.9, 0.8, 0.58, 0.04) + 0.1 * (noise(rng, side, side // 2) - 0.5)
    picture = _blend(picture, sand, _step(y - edge, side))
    return _blend(picture, np.float32(0.97), _step(0.018 - np.abs(y - edge), side))


PAINTERS = dict(zip(SCENES, (sky, road, room, meadow, beach), strict=True))


def wild(camera: str, side: int) -> Canvas:
    """The view of one fixed camera by day: always the same picture."""
    rng = np.random.default_rng(list(camera.encode()))
    x, y = _axes(side)
    horizon = rng.uniform(0.2, 0.4)
    earth = _colour(rng, 0.5, 0.44, 0.32, 0.12) + 0.22 * (noise(rng, side, side // 3) - 0.5)
    picture = _blend(_colour(rng, 0.75, 0.82, 0.86), _colour(rng, 0.88, 0.9, 0.86), y * 3)
    picture = _blend(picture, _colour(rng, 0.3, 0.4, 0.26) + 0 * y, _step(y - horizon + 0.08, side))
    picture = _blend(picture, earth, _step(y - horizon - 0.05 * np.sin(x * 7), side))
    for _ in range(rng.integers(3, 7)):
        at, width = rng.random(), rng.uniform(0.015, 0.05)
        foot = rng.uniform(horizon, 0.75)
        trunk = _step(width - np.abs(x - at + 0.03 * np.sin(y * 5)), side) * _step(foot - y, side)
        picture = _blend(picture, _colour(rng, 0.28, 0.2, 0.14, 0.05), trunk)
    for _ in range(rng.integers(4, 9)):
        cx, cy, size = rng.random(), rng.uniform(horizon, 1), rng.uniform(0.04, 0.12)
        bush = _step(size - np.hypot(x - cx, (y - cy) * 1.6), side)
        leaves = _colour(rng, 0.34, 0.42, 0.22, 0.1) + 0.3 * (noise(rng, side, side // 3) - 0.5)
        picture = _blend(picture, leaves, bush)
    return picture


def light(picture: Canvas, name: str, rng: Generator) -> Canvas:
    """The same view in another light or weather, one of `LIGHTS`."""
    side = picture.shape[-1]
    x, y = _axes(side)
    grey = picture.mean(0, keepdims=True)
    if name == "dusk":
        glow = np.array([1.0, 0.66, 0.45], np.float32)[:, None, None]
        return picture * glow * 0.72 + 0.1 * glow * (1 - y)
    if name == "night":  # infrared flash: grey, bright in the middle
        flash = np.exp(-3 * ((x - 0.5) ** 2 + (y - 0.55) ** 2))
        return np.repeat(grey * (0.2 + 0.5 * flash), 3, 0)
    if name == "fog":
        return _blend(picture, np.float32(0.82), 0.5 + 0.3 * noise(rng, side, 4, 2))
    if name == "snow":
        white = np.array([0.93, 0.95, 1.0], np.float32)[:, None, None]
        flakes = (rng.random((side, side)) < 0.02).astype(np.float32)
        ground = np.clip(grey * 1.4, 0, 1) * _step(y - 0.25, side) * 0.75
        return np.maximum(_blend(picture, white, ground), flakes)
    if name == "rain":
        streaks = np.clip(noise(rng, side, side, side // 5).T - 0.75, 0, 1)
        blue = np.array([0.62, 0.72, 0.85], np.float32)[:, None, None]
        return _blend(picture, grey, np.float32(0.5)) * blue + streaks
    return picture


@lru_cache(maxsize=8)
def bank(world: str, size: int) -> Tensor:
    """All canvases of a toy world for images of a side of `size` pixels.

    Returns:
        uint8 `(3, kinds, VIEWS, S, S)`, S = `round(MARGIN * size)`; kinds are the five `SCENES`,
        or the 24 pairs of `CAMERAS` and `LIGHTS`, camera by camera.
    """
    side = round(MARGIN * size)
    if world == "toy-vlcs":
        painted = [
            PAINTERS[name](np.random.default_rng([view, kind]), side)
            for kind, name in enumerate(SCENES)
            for view in range(VIEWS)
        ]
    else:
        painted = [
            light(wild(camera, side), name, np.random.default_rng([view, kind]))
            for camera in CAMERAS
            for kind, name in enumerate(LIGHTS)
            for view in range(VIEWS)
        ]
    stack = np.stack(painted).reshape(-1, VIEWS, 3, side, side)
    bytes_ = np.clip(stack * 255 + 0.5, 0, 255).astype(np.uint8)
    return torch.from_numpy(bytes_).movedim(2, 0).contiguous()
