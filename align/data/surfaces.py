"""What the toy objects are covered with: feathers, varnish, grain, spots, checks.

A surface is a field of values between −1 and 1 that brightens and darkens the object's own
colours. It belongs to the class, so a patch of an object tells its class without the outline:
the stronger the pattern, the more evidence there is per pixel of object.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.float32]


def feathers(x: Field, y: Field, rng: Generator) -> Field:
    """Rows of zigzags."""
    row, column = rng.uniform(0, 2 * np.pi, 2)
    return np.sign(np.sin(26 * y + 1.5 * np.sin(20 * x + column) + row))


def varnish(x: Field, y: Field, rng: Generator) -> Field:
    """Light from above on something smooth."""
    return np.clip(-1.6 * y, -1, 1) + 0 * x


def grain(x: Field, y: Field, rng: Generator) -> Field:
    """Upright lines that waver."""
    wave, line = rng.uniform(0, 2 * np.pi, 2)
    return np.sign(np.sin(34 * x + 2 * np.sin(3 * y + wave) + line))


def spots(x: Field, y: Field, rng: Generator) -> Field:
    """Dark round spots of several sizes."""
    places = rng.uniform(-1, 1, (44, 2))
    sizes = rng.uniform(0.05, 0.12, 44)
    spotted = np.zeros(np.broadcast_shapes(x.shape, y.shape), bool)
    for (cx, cy), size in zip(places, sizes, strict=True):
        spotted |= np.hypot(x - cx, y - cy) < size
    return np.where(spotted, -1.0, 0.5)


def checks(x: Field, y: Field, rng: Generator) -> Field:
    """A woven shirt: bands both ways."""
    column, row = rng.uniform(0, 2 * np.pi, 2)
    return (np.sign(np.sin(24 * x + column)) + np.sign(np.sin(24 * y + row))) / 2


SURFACES: dict[str, Callable[[Field, Field, Generator], Field]] = {
    "bird": feathers,
    "car": varnish,
    "chair": grain,
    "dog": spots,
    "person": checks,
}
"""The surface of each class that has one."""
