"""From one image file, and its mask if it has one, to the pixels that a domain holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# What a file named .jpg or .png may truly hold. The list is short on purpose: Pillow hands some
# other formats (PostScript, for one) to outside programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")

SUFFIXES = (".png", ".jpg", ".jpeg")

# JPEG smears the zeros around an object into small values, so its masks are cut at the middle.
# MPO is what Pillow calls a JPEG file that holds several pictures, as some telephones write it.
LOSSY = ("JPEG", "MPO")
JPEG_MASK_THRESHOLD = 127


class UnreadableImageError(ValueError):
    """An image or mask file that cannot be decoded; the message is the reason, without the path."""


def decode(image: Path, mask: Path | None, size: int, mask_threshold: int | None) -> np.ndarray:
    """Decode an image, and its mask if there is one, to a square of `size` pixels.

    Both are squeezed to the square by bilinear interpolation with antialiasing, as DomainBed's
    `Resize((224, 224))` does, so that they stay aligned.

    Args:
        image: the image file.
        mask: the mask file, or None.
        size: side of the square, in pixels.
        mask_threshold: see `open_mask`.

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
    """Read an image upright and as RGB.

    The EXIF orientation is applied. Transparency is laid over white, as a page would show it.
    16-bit greyscale is scaled to 8 bits, not clipped.

    Args:
        path: the image file.

    Returns:
        A Pillow image of mode RGB.

    Raises:
        UnreadableImageError: if the file is empty, truncated, too large for Pillow's protection
            against decompression bombs, or no image.
    """
    image = _open_upright(path)
    if image.mode.startswith("I"):
        return _sixteen_to_eight_bits(image).convert("RGB")
    if not _has_transparency(image):
        return image.convert("RGB")
    image = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")


def open_mask(path: Path, threshold: int | None = None) -> Image.Image:
    """Read a mask upright, 255 on the object and 0 elsewhere.

    A pixel is on the object where its stored value is above the threshold: the grey value, the
    index into a palette (index 0 is background), or the largest of the colour channels. Fully
    transparent pixels are background. So 0/1 masks, 0/255 masks and label images (0 background,
    1..n objects) are all read by the same rule.

    Args:
        path: the mask file.
        threshold: stored values above it are object. None means 0, and 127 in a JPEG file; give
            127 for soft grey masks that are stored without loss.

    Returns:
        A Pillow image of mode L with the values 0 and 255.

    Raises:
        UnreadableImageError: as for `open_rgb`.
    """
    image = _open_upright(path)
    if threshold is None:
        threshold = JPEG_MASK_THRESHOLD if image.format in LOSSY else 0
    if image.mode == "1":
        return image.convert("L")
    if image.mode == "CMYK":
        image = image.convert("RGB")
    values = np.asarray(image)
    alpha = None
    if image.mode in ("LA", "PA", "RGBA"):
        values, alpha = values[..., :-1], values[..., -1]
    inside = values > threshold
    if inside.ndim == 3:
        inside = inside.any(axis=-1)
    if alpha is not None:
        inside &= alpha > 0
    return Image.fromarray(inside.astype(np.uint8) * 255)


def _open_upright(path: Path) -> Image.Image:
    # Pillow's decoders raise many kinds of error on broken bytes (OSError, SyntaxError, ValueError,
    # struct.error, EOFError, ...): whichever it is, the file is the cause.
    try:
        if path.stat().st_size == 0:
            raise UnreadableImageError("the file is empty (0 bytes)")
        with Image.open(path, formats=FORMATS) as image:
            image.load()
            upright = ImageOps.exif_transpose(image)
            upright.format = image.format
            return upright
    except (MemoryError, UnreadableImageError):
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"it is not one of {', '.join(FORMATS)}") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the operating system failed, not the decoder
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error


def _square(image: Image.Image, size: int) -> Image.Image:
    return image.resize((size, size), Image.Resampling.BILINEAR)


def _sixteen_to_eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    return Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))


def _has_transparency(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa")


def _same_proportions(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether one size is the other scaled, up to rounding by one pixel."""
    (w, h), (v, g) = first, second
    return abs(g * w - v * h) <= max(w, h)
