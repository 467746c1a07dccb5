"""From one image file, and its mask if it has one, to the pixels that a domain holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .mask_values import inside
from .opening import UnreadableImageError, open_upright

__all__ = ["SUFFIXES", "UnreadableImageError", "decode", "open_mask", "open_rgb"]

SUFFIXES = (".png", ".jpg", ".jpeg")


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
    return Image.fromarray(inside(open_upright(path), threshold).astype(np.uint8) * 255)


def _square(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _same_proportions(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether one size is the other scaled, up to rounding by one pixel."""
    (w, h), (v, g) = first, second
    return abs(g * w - v * h) <= max(w, h)
