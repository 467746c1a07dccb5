"""What a mask's stored values mean: which pixels are object, or why that cannot be told."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .opening import Opened, UnreadableImageError

REMEDY = "store it as PNG in black and white, or give mask_threshold"

DARK, MIDDLE, BRIGHT = 32, 127, 192
"""Of 255: the last value near black, the last below the middle, the first near white."""

NEAR_BLACK = 8
"""A colour of a palette with no channel above this was black before it was quantised."""


def inside(opened: Opened, threshold: int | None) -> NDArray[np.bool_]:
    """Where the object is, bool `(H, W)`: where stored values are above the threshold.

    Without a threshold it is found out what the values mean.

    Raises:
        UnreadableImageError: if they mean nothing certain.
    """
    values, clear = opened.values(), opened.clear()
    seen = np.ones(values.shape[:2], bool) if clear is None else ~clear
    if opened.image.mode in ("P", "PA") and threshold is None:
        values = _of_palette(opened, seen)
    if values.ndim == 3:
        values = values.max(axis=-1)
    values = np.where(seen, values, 0)
    if threshold is None:
        _check_silhouette(values, seen)
        threshold = _lossy_threshold(values) if opened.lossy else _threshold(values, seen)
    return values > threshold


def _of_palette(opened: Opened, seen: NDArray[np.bool_]) -> NDArray:
    """A palette's numbers where they are labels, else the brightness of its colours.

    A tool that turns a black and white mask into a palette numbers colours as it likes, often
    white 0 and black 1. So a grey palette is read as it looks, a coloured one by its numbers.
    """
    numbers = opened.values()
    table = np.array(opened.image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.unique(numbers[seen])
    if not len(used) or used[-1] >= len(table) or not table.any():
        return numbers
    brightness = table.max(axis=1)
    is_grey = int((brightness - table.min(axis=1)).max()) <= 2
    others = used[used > 0]
    if brightness[0] == 0:
        black = others[brightness[others] <= (0 if is_grey else NEAR_BLACK)]
    else:
        black = others[brightness[others] <= NEAR_BLACK] if not is_grey else others[:0]
    if len(black):
        raise UnreadableImageError(
            f"its palette contradicts itself: entry {black[0]} is an object by its number, and by "
            f"its colour {tuple(table[black[0]].tolist())} background (entry 0 is "
            f"{tuple(table[0].tolist())}); {REMEDY}"
        )
    return brightness[numbers] if is_grey else numbers


def _check_silhouette(values: NDArray, seen: NDArray[np.bool_]) -> None:
    if seen.any() and not seen.all() and not values.any():
        raise UnreadableImageError(
            "all that is not transparent in it is black, and black is background; "
            "store it as PNG with the object in white"
        )


def _lossy_threshold(values: NDArray) -> int:
    brightest = int(values.max(initial=0))
    if 0 < brightest <= MIDDLE:
        raise UnreadableImageError(
            f"it is stored with loss and its brightest value is {brightest} of 255: labels do not "
            f"survive that, and white would be brighter; {REMEDY}"
        )
    middle = (values > DARK) & (values < BRIGHT)
    flat = (middle & _flat(values, 2)).mean() if values.size else 0.0
    if flat > 0.01:
        raise UnreadableImageError(
            f"it is stored with loss and {flat:.0%} of it are even areas of grey: labels do not "
            f"survive that, and a mask is black and white; {REMEDY}"
        )
    return MIDDLE


def _threshold(values: NDArray, seen: NDArray[np.bool_]) -> int:
    """0 for labels, the middle for what was black and white before a tool blurred it."""
    unit = 1 if values.max(initial=0) <= 255 else 257
    if values.max(initial=0) < BRIGHT * unit:
        return 0
    darkest = int(values[seen].min()) if seen.all() else 0
    if 0 < darkest <= DARK * unit:
        raise UnreadableImageError(
            f"nothing in it is 0, which is background: its values run from {darkest} to "
            f"{int(values.max())}, as of black and white that a tool changed; {REMEDY}"
        )
    between = (values > 0) & (values < BRIGHT * unit)
    # Labels fill areas with one value; ringing and soft edges differ from pixel to pixel.
    if len(np.unique(values[between])) < 4 or _flat(values, 0)[between].mean() > 0.2:
        return 0
    return MIDDLE * unit


def _flat(values: NDArray, tolerance: int) -> NDArray[np.bool_]:
    """Where all four neighbours have a pixel's value, up to a tolerance."""
    framed = np.pad(values.astype(np.int32), 1, mode="edge")
    centre = framed[1:-1, 1:-1]
    around = (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:])
    return np.logical_and.reduce([abs(one - centre) <= tolerance for one in around])
