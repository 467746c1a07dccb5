"""Image files opened upright: broken metadata passed over, depth and transparency as declared."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

# What a file named .jpg or .png may truly hold. The list is short on purpose: Pillow hands some
# other formats (PostScript, for one) to outside programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP")

# MPO is what Pillow calls a JPEG file that holds several pictures, as some telephones write it.
LOSSY = ("JPEG", "MPO")

PNG = b"\x89PNG\r\n\x1a\n"
NEEDED_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS")

WIDE = ("RGB;16B", "LA;16B", "RGBA;16B")
"""PNG files with 16 bits a channel, of which Pillow keeps 8."""

SCALE = {"L;2": 85, "L;4": 17}
"""Pillow stretches samples of 2 and 4 bits to 8, and not the value that is declared transparent."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""For each orientation of EXIF what turns the picture upright."""


class UnreadableImageError(ValueError):
    """An image or mask file that cannot be decoded; the message is the reason, without the path."""


@dataclass(frozen=True, eq=False)
class Opened:
    """An image file's pixels, upright."""

    image: Image.Image  # in the file's own mode; 16 bits a colour channel are cut to 8
    # `(H, W, channels)`, alpha included, of a file with 16 bits a channel in colour or with alpha.
    samples: NDArray[np.uint16] | None
    lossy: bool  # whether the format changes values a little

    def values(self) -> NDArray:
        """The stored values without alpha: `(H, W)` grey or palette index, or `(H, W, 3)`."""
        if self.samples is not None:
            channels = self.samples.shape[-1]
            colours = self.samples[..., : channels - (channels in (2, 4))]
            return colours[..., 0] if channels < 3 else colours
        image = self.image.convert("RGB") if self.image.mode == "CMYK" else self.image
        values = np.asarray(image)
        if image.mode in ("LA", "PA"):
            return values[..., 0]
        return values[..., :3] if values.ndim == 3 else values

    def clear(self) -> NDArray[np.bool_] | None:
        """Where the file declares full transparency, `(H, W)`; None where it declares none."""
        mode, key = self.image.mode, self.image.info.get("transparency")
        if self.samples is not None and self.samples.shape[-1] in (2, 4):
            return self.samples[..., -1] == 0
        if mode in ("LA", "PA", "RGBA"):
            return np.asarray(self.image.getchannel("A")) == 0
        if key is None:
            return None
        if mode == "P":
            return _clear_entries(key)[np.asarray(self.image)]
        values = self.values()
        if mode == "1":
            return values == bool(key)
        return (values == key).all(-1) if values.ndim == 3 else values == key


def open_upright(path: Path) -> Opened:
    """Open an image file's first picture; what is broken besides its pixels does not matter.

    Raises:
        UnreadableImageError: if the file is empty, truncated, too large for Pillow's protection
            against decompression bombs, or no image.
        OSError: if the operating system cannot read the file.
    """
    body = path.read_bytes()
    if not body:
        raise UnreadableImageError("the file is empty (0 bytes)")
    try:
        return _open(body)
    except UnreadableImageError:
        if (pixels_alone := without_metadata(body)) is None:
            raise
        with suppress(UnreadableImageError):
            return _open(pixels_alone)
        raise


def without_metadata(body: bytes) -> bytes | None:
    """A PNG or JPEG file's bytes without what its pixels do not need; None for other formats."""
    if body.startswith(PNG):
        return PNG + b"".join(_needed_chunks(body))
    if body.startswith(b"\xff\xd8"):
        return b"\xff\xd8" + b"".join(_needed_segments(body))
    return None


def _open(body: bytes) -> Opened:
    # Pillow's decoders raise many kinds of error on broken bytes (OSError, SyntaxError, ValueError,
    # struct.error, EOFError, ...): whichever it is, the file is the cause.
    try:
        with Image.open(io.BytesIO(body), formats=FORMATS) as image:
            stored_as = image.tile[0][3] if image.format == "PNG" and image.tile else ""
            image.load()
            turn = UPRIGHT.get(_orientation(image))
            upright = image.copy() if turn is None else image.transpose(turn)
            form = image.format
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"it is not one of {', '.join(FORMATS)}") from error
    except Exception as error:
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
    key = upright.info.get("transparency")
    if key is not None and stored_as in SCALE:
        upright.info["transparency"] = key * SCALE[stored_as]
    samples = _samples(body, turn) if stored_as in WIDE else None
    return Opened(upright, samples, form in LOSSY or (form == "WEBP" and _is_lossy_webp(body)))


def _orientation(image: Image.Image) -> int:
    with suppress(Exception):  # broken EXIF says nothing about the pixels
        return image.getexif().get(274, 1)
    return 1


def _samples(body: bytes, turn: Image.Transpose | None) -> NDArray[np.uint16]:
    import torch
    from torchvision.io import ImageReadMode, decode_png

    data = torch.frombuffer(bytearray(without_metadata(body)), dtype=torch.uint8)
    try:
        channels = decode_png(data, mode=ImageReadMode.UNCHANGED).numpy()
    except RuntimeError as error:
        raise UnreadableImageError(f"{type(error).__name__}: {error}") from error
    if turn is not None:
        channels = [np.asarray(Image.fromarray(one).transpose(turn)) for one in channels]
    return np.stack(list(channels), axis=-1)


def _clear_entries(key: int | bytes) -> NDArray[np.bool_]:
    """Which of a palette's 256 entries are fully transparent."""
    if not isinstance(key, bytes):
        return np.arange(256) == key
    return np.frombuffer(key[:256].ljust(256, b"\xff"), np.uint8) == 0


def _needed_chunks(body: bytes) -> Iterator[bytes]:
    at, ended = len(PNG), False
    while at + 8 <= len(body) and not ended:
        length, kind = int.from_bytes(body[at : at + 4], "big"), body[at + 4 : at + 8]
        chunk = body[at : at + 12 + length]
        whole = zlib.crc32(chunk[4:-4]).to_bytes(4, "big") == chunk[-4:]
        if kind in NEEDED_CHUNKS or (kind == b"eXIf" and whole):
            yield chunk
        elif length > len(body) - at - 12:  # its length is broken: go on where pixels begin
            at = body.find(b"IDAT", at + 8) - 4
            if at < 0:
                break
            continue
        at, ended = at + 12 + length, kind == b"IEND"
    if not ended:
        yield b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")


def _needed_segments(body: bytes) -> Iterator[bytes]:
    at = 2
    while at + 4 <= len(body) and body[at] == 0xFF:
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4], "big")
        if marker == 0xDA:  # the pixels begin
            yield body[at:]
            return
        if at + 2 + length > len(body):  # its length is broken: go on where the tables begin
            at = body.find(b"\xff\xdb", at + 4)
            if at < 0:
                return
            continue
        segment = body[at : at + 2 + length]
        adobe = marker == 0xEE and length >= 14  # it says how colours are stored
        exif = marker == 0xE1 and segment[4:10] == b"Exif\0\0"
        if not (0xE0 <= marker <= 0xEF or marker == 0xFE) or adobe or exif:
            yield segment
        at += 2 + length


def _is_lossy_webp(body: bytes) -> bool:
    at = 12
    while at + 8 <= len(body):
        kind, length = body[at : at + 4], int.from_bytes(body[at + 4 : at + 8], "little")
        if kind in (b"VP8 ", b"VP8L"):
            return kind == b"VP8 "
        at += 8 + 16 if kind == b"ANMF" else 8 + length + length % 2
    return False
