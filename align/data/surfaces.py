"""What the toy objects are covered with: feathers, varnish, grain, brindle, checks.

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


def brindle(x: Field, y: Field, rng: Generator) -> Field:
    """Dark streaks that branch and break, as in a tiger's coat."""
    a, b, c = rng.uniform(0, 2 * np.pi, 3)
    across = np.sin(13 * x + 3 * np.sin(5 * y + a) + b)
    down = np.sin(13 * y + 3 * np.sin(6 * x + c))
    return np.sign(across * down - 0.1)


def checks(x: Field, y: Field, rng: Generator) -> Field:
    """A woven shirt: bands both ways."""
    column, row = rng.uniform(0, 2 * np.pi, 2)
    return (np.sign(np.sin(24 * x + column)) + np.sign(np.sin(24 * y + row))) / 2


SURFACES: dict[str, Callable[[Field, Field, Generator], Field]] = {
    "bird": feathers,
    "car": varnish,
    "chair": grain,
    "dog": brindle,
    "person": checks,
}
"""The surface of each class that has one."""
