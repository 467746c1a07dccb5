"""From one image file, and its mask if it has one, to the pixels that a domain holds.

What a mask's stored values mean is found out from them, or the mask is refused.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .opening import Opened, UnreadableImageError, open_upright

__all__ = ["SUFFIXES", "UnreadableImageError", "decode", "open_mask", "open_rgb"]

SUFFIXES = (".png", ".jpg", ".jpeg")

REMEDY = "store it as PNG in black and white, or give mask_threshold"

DARK, MIDDLE, BRIGHT = 32, 127, 192
"""Of 255: the last value near black, the last below the middle, the first near white."""

NEAR_BLACK = 8
"""A colour of a palette with no channel above this was black before it was quantised."""


def decode(image: Path, mask: Path | None, size: int, mask_threshold: int | None) -> np.ndarray:
    """Decode an image, and its mask if there is one, to a square of `size` pixels.

    Both are squeezed to the square by bilinear interpolation with antialiasing, as DomainBed's
    `Resize((224, 224))` does, so that they stay aligned.

    Returns:
        uint8 `(3, size, size)`: red, green, blue; with a mask `(4, size, size)`, where the fourth
        plane is 255 on the object.

    Raises:
        UnreadableImageError: if a file cannot be decoded, or the mask has other proportions.
        OSError: if the operating system cannot read the file.
    """
    picture = open_rgb(image)
    planes = np.asarray(_square(picture, size)).transpose(2, 0, 1)
    if mask is None:
        return planes
    try:
        truth = open_mask(mask, mask_threshold)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its mask {mask.name}: {error}") from error
    if not _same_proportions(picture.size, truth.size):
        raise UnreadableImageError(
            f"its mask {mask.name} is {truth.width}x{truth.height} pixels for an upright image of "
            f"{picture.width}x{picture.height}: the proportions differ"
        )
    return np.concatenate([planes, np.asarray(_square(truth, size))[None]])


def open_rgb(path: Path) -> Image.Image:
    """Read an image upright and as a Pillow image of mode RGB.

    The EXIF orientation is applied. Transparency is laid over white, as a page would show it.
    16-bit greyscale is scaled to 8 bits, not clipped. Broken metadata are passed over.

    Raises:
        UnreadableImageError: if the file is empty, truncated, too large for Pillow's protection
            against decompression bombs, or no image.
    """
    opened = open_upright(path)
    image, clear = opened.image, opened.clear()
    if image.mode in ("LA", "PA", "RGBA") or (image.mode == "P" and clear is not None):
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image.info.pop("transparency", None)  # laid over white below, by the file's own depth
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint32)
        image = Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))
    image = image.convert("RGB")
    if clear is not None:
        image.paste("white", mask=Image.fromarray(clear))
    return image


def open_mask(path: Path, threshold: int | None = None) -> Image.Image:
    """Read a mask upright, 255 on the object and 0 elsewhere, as a Pillow image of mode L.

    A pixel is on the object where its stored value is above the threshold: the grey value, the
    index into a palette (index 0 is background), or the largest of the colour channels. What the
    file declares fully transparent is background, in every mode. So 0/1 masks, 0/255 masks and
    label images (0 background, 1..n objects) are all read by the same rule.

    Without a threshold, 0 divides labels, and the middle what was black and white before a tool
    smoothed it, stored it with loss or numbered its colours: white is object.

    Raises:
        UnreadableImageError: as for `open_rgb`, or if the values mean nothing certain.
    """
    return Image.fromarray(_inside(open_upright(path), threshold).astype(np.uint8) * 255)


def _square(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _same_proportions(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether one size is the other scaled, up to rounding by one pixel."""
    (w, h), (v, g) = first, second
    return abs(g * w - v * h) <= max(w, h)


def _inside(opened: Opened, threshold: int | None) -> NDArray[np.bool_]:
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
