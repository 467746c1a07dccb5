"""Odd image and mask files: every PNG mode, broken metadata, masks that tools have changed."""

import io
import struct
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from align.data.decoding import UnreadableImageError, open_mask, open_rgb
from align.data.opening import PNG

GREY, COLOUR, PALETTE, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, PALETTE: 1, GREY_ALPHA: 2, COLOUR_ALPHA: 4}
KINDS = [
    *product([GREY], [1, 2, 4, 8, 16]),
    *product([COLOUR, GREY_ALPHA, COLOUR_ALPHA], [8, 16]),
    *product([PALETTE], [1, 2, 4, 8]),
]
"""Every colour type that PNG has, with every depth."""


def chunk(kind, data, whole=True):
    total = zlib.crc32(kind + data) ^ (not whole)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", total)


def png(values, kind, depth, *before, after=b""):
    """The bytes of a PNG file, `values` `(H, W, channels)`, written without a library."""
    height, width, _ = values.shape
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    rows = b"".join(b"\0" + _row(row.ravel(), depth) for row in values)
    parts = [chunk(b"IHDR", head), *before, chunk(b"IDAT", zlib.compress(rows)), after]
    return PNG + b"".join(parts) + chunk(b"IEND", b"")


def _row(samples, depth):
    if depth == 16:
        return samples.astype(">u2").tobytes()
    if depth == 8:
        return samples.astype(np.uint8).tobytes()
    bits = (samples[:, None] >> np.arange(depth)[::-1]) & 1
    return np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def read(reader, body, *options):
    path = Path(read.folder) / "a.png"
    path.write_bytes(body)
    return np.asarray(reader(path, *options))


@pytest.fixture(autouse=True, scope="module")
def folder(tmp_path_factory):
    read.folder = tmp_path_factory.mktemp("odd")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from(KINDS), st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9))
def test_what_is_declared_transparent_is_no_object_in_any_mode(stored, seed, height, width):
    kind, depth = stored
    rng, top = np.random.default_rng(seed), 2**depth - 1
    levels = np.unique([0, 1, top // 2, top - 1, top])
    values = rng.choice(levels, (height, width, CHANNELS[kind]))
    before = []
    if kind == PALETTE:
        before.append(chunk(b"PLTE", rng.bytes(3 * min(top + 1, 256))))
        alphas = rng.choice([0, 1, 255], rng.integers(1, top + 2)).astype(np.uint8)
        before.append(chunk(b"tRNS", alphas.tobytes()))
        clear = np.append(alphas, np.full(256, 255))[values[..., 0]] == 0
        colours = values
    elif kind in (GREY_ALPHA, COLOUR_ALPHA):
        clear, colours = values[..., -1] == 0, values[..., :-1]
    else:
        key = rng.choice(levels, CHANNELS[kind])
        before.append(chunk(b"tRNS", key.astype(">u2").tobytes()))
        clear, colours = (values == key).all(-1), values
    body = png(values, kind, depth, *before)
    expected = (colours > 0).any(-1) & ~clear
    np.testing.assert_array_equal(read(open_mask, body, 0) > 0, expected)
    assert (read(open_rgb, body)[clear] == 255).all()
    assert read(open_rgb, body).shape == (height, width, 3)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_masks_of_16_bits_a_channel_keep_small_labels_and_turn_upright(orientation):
    values = np.zeros((4, 6, 3), np.int64)
    values[:2, :3, 1] = 1  # of 65,535: nothing is left of it in 8 bits
    exif = Image.Exif()
    exif[274] = orientation
    body = png(values, COLOUR, 16, chunk(b"eXIf", exif.tobytes()[6:]))
    turned = np.rot90(values[..., 1], {1: 0, 3: 2, 6: -1}[orientation])
    np.testing.assert_array_equal(read(open_mask, body) > 0, turned > 0)


ANCILLARY = [b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"pHYs", b"gAMA", b"sRGB", b"cHRM"]
ANCILLARY += [b"tIME", b"acTL", b"bKGD", b"xxXx"]
junk = st.binary(max_size=40) | st.just(b"a\0\0" + zlib.compress(b"x" * 2**21))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(ANCILLARY), junk, st.booleans()), max_size=3), st.data())
def test_broken_metadata_of_png_do_not_matter(parts, data):
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    broken = [chunk(kind, content, whole) for kind, content, whole in parts]
    cut = data.draw(st.integers(0, 30))
    after = b"\0\0\x10\0tEXt" + b"x" * cut if data.draw(st.booleans()) else b""
    body = png(values, COLOUR, 8, *broken, after=after)
    if after:
        body = body[: len(body) - data.draw(st.integers(0, 12))]
    np.testing.assert_array_equal(read(open_rgb, body), values)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.sampled_from([*range(0xE0, 0xF0), 0xFE]), st.binary(max_size=40), st.data())
def test_broken_metadata_of_jpeg_do_not_matter(marker, content, data):
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG")
    body = file.getvalue()
    start = {
        0xE0: [b"JFIF"],
        0xE1: [b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"],
        0xE2: [b"ICC_PROFILE\0", b"MPF\0"],
        0xED: [b"Photoshop 3.0\0"],
        0xEE: [b"Adobe"],
    }
    content = data.draw(st.sampled_from([b"", *start.get(marker, [])])) + content
    assume(not (marker == 0xEE and len(content) >= 12))  # that says how colours are stored
    length = data.draw(st.sampled_from([len(content) + 2, 60_000]))
    segment = struct.pack(">BBH", 0xFF, marker, length) + content
    assume(b"\xff\xdb" not in content)
    odd = body[:2] + segment + body[2:]
    np.testing.assert_array_equal(read(open_rgb, odd), read(open_rgb, body))


def test_a_broken_orientation_leaves_a_picture_as_it_is():
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    for content in (b"junk", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03"):
        body = png(values, COLOUR, 8, chunk(b"eXIf", content))
        np.testing.assert_array_equal(read(open_rgb, body), values)


def test_an_orientation_beside_broken_text_is_applied():
    values = np.random.default_rng(0).integers(0, 256, (5, 7, 3))
    exif = Image.Exif()
    exif[274] = 3
    broken = chunk(b"tEXt", b"a\0b", whole=False)
    body = png(values, COLOUR, 8, broken, chunk(b"eXIf", exif.tobytes()[6:]))
    np.testing.assert_array_equal(read(open_rgb, body), values[::-1, ::-1])


def test_pixels_that_are_cut_off_are_still_refused():
    values = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    body = png(values, COLOUR, 8)
    with pytest.raises(UnreadableImageError):
        read(open_rgb, body[: len(body) // 2])


# Masks that went through tools.


def stored(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def reopened(image, form, **options):
    with Image.open(io.BytesIO(stored(image, form, **options))) as again:
        return again.copy()


def through_jpeg(quality):
    return lambda mask: stored(reopened(mask, "JPEG", quality=quality).convert("L"))


TOOLS = {
    "as it is": stored,
    "two colours": lambda mask: stored(mask.quantize(2)),
    "median cut": lambda mask: stored(mask.convert("RGB").quantize(256, 0)),
    "maximum coverage": lambda mask: stored(mask.convert("RGB").quantize(256, 1)),
    "octree": lambda mask: stored(mask.convert("RGB").quantize(256, 2)),
    "adaptive palette": lambda mask: stored(mask.convert("RGB").convert("P", palette=1)),
    "web palette": lambda mask: stored(mask.convert("RGB").convert("P")),
    "GIF": lambda mask: stored(mask, "GIF"),
    "GIF of colours": lambda mask: stored(mask.convert("RGB"), "GIF"),
    "one bit": lambda mask: stored(mask.convert("1")),
    "JPEG": lambda mask: stored(mask, "JPEG", quality=60),
    "WEBP": lambda mask: stored(mask.convert("RGB"), "WEBP", quality=60),
    "JPEG to PNG": through_jpeg(90),
    "poor JPEG to PNG": through_jpeg(35),
    "JPEG to colours": lambda mask: stored(reopened(mask, "JPEG", quality=60).convert("RGB")),
    "JPEG to 16 colours": lambda mask: stored(
        reopened(mask, "JPEG", quality=60).convert("RGB").quantize(16)
    ),
    "JPEG to GIF": lambda mask: stored(reopened(mask, "JPEG", quality=60).convert("RGB"), "GIF"),
    "video levels": lambda mask: stored(mask.point(lambda value: 16 + value * 219 // 255)),
    "half size and back": lambda mask: stored(
        mask.resize((mask.width // 2, mask.height // 2), Image.Resampling.BILINEAR).resize(
            mask.size, Image.Resampling.BICUBIC
        )
    ),
}
KEPT = set(TOOLS) - {"video levels"}
"""What these tools do can be undone; the rest may be refused."""


@st.composite
def shapes(draw):
    """A black and white mask of 64 x 64 pixels: an ellipse, a rectangle, or both."""
    side, rows, columns = 64, *np.mgrid[:64, :64]
    mask = np.zeros((side, side), bool)
    for kind in draw(st.lists(st.sampled_from("er"), min_size=1, max_size=2)):
        high, wide = draw(st.integers(10, 24)), draw(st.integers(10, 24))
        top, left = draw(st.integers(0, side - high)), draw(st.integers(0, side - wide))
        if kind == "r":
            mask[top : top + high, left : left + wide] = True
        else:
            y, x = (rows - top - high / 2) / high, (columns - left - wide / 2) / wide
            mask |= y**2 + x**2 < 0.25
    return mask


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(mask=shapes())
def test_a_black_and_white_mask_keeps_its_meaning_or_is_refused(tool, mask):
    body = TOOLS[tool](Image.fromarray(mask.astype(np.uint8) * 255))
    try:
        found = read(open_mask, body) > 0
    except UnreadableImageError as error:
        assert tool not in KEPT and "mask_threshold" in str(error)
        return
    assert (found & mask).sum() / (found | mask).sum() > 0.9


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(2, 40), st.booleans(), st.integers(0, 10**6))
def test_labels_keep_their_meaning_with_and_without_a_palette(count, void, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, count, (8, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
    labels[0], labels[63] = 0, 255 if void else 0
    image = Image.fromarray(labels)
    np.testing.assert_array_equal(read(open_mask, stored(image)) > 0, labels > 0)
    colours = rng.integers(60, 256, (256, 3), dtype=np.uint8)
    for first in ((0, 0, 0), (255, 255, 255)):  # as VOC has it, and on white paper
        colours[0] = first
        image = Image.fromarray(labels)
        image.putpalette(colours.tobytes())
        np.testing.assert_array_equal(read(open_mask, stored(image)) > 0, labels > 0)
    assert not read(open_mask, stored(Image.fromarray(labels * 0))).any()


def labelled(table, *numbers):
    image = Image.fromarray(np.array([numbers] * 4, np.uint8))
    image.putpalette([value for colour in table for value in colour])
    return stored(image)


def test_a_palette_that_contradicts_itself_is_refused_by_name():
    yellow, red, black = (200, 200, 0), (255, 0, 0), (0, 0, 0)
    for table in ((yellow, red, black), (black, red, black), (yellow, red, (3, 2, 0))):
        with pytest.raises(UnreadableImageError, match=r"entry 2 is an object.*mask_threshold"):
            read(open_mask, labelled(table, 0, 1, 2))
        assert read(open_mask, labelled(table, 0, 1, 2), 0)[0].tolist() == [0, 255, 255]
        assert read(open_mask, labelled(table, 0, 1))[0].tolist() == [0, 255]


@pytest.mark.parametrize("values", [(0, 1), (0, 60, 120, 180, 240)])
def test_labels_in_a_lossy_file_are_refused(values):
    labels = np.array(values, np.uint8).repeat(16)[None].repeat(32, 0)
    for form, image in (("JPEG", Image.fromarray(labels)),):
        with pytest.raises(UnreadableImageError, match="stored with loss.*store it as PNG"):
            read(open_mask, stored(image, form, quality=90))
    assert not read(open_mask, stored(Image.fromarray(labels * 0), "JPEG")).any()


def test_a_black_silhouette_on_nothing_is_refused_and_a_white_one_read():
    alpha = np.zeros((6, 6), np.uint8)
    alpha[:3] = 255
    for mode, black, white in (("RGBA", (0, 0, 0), (255, 255, 255)), ("LA", 0, 255)):
        for colour in (black, white):
            image = Image.new("L" if mode == "LA" else "RGB", (6, 6), colour)
            image.putalpha(Image.fromarray(alpha))
            if colour == black:
                with pytest.raises(UnreadableImageError, match="black is background"):
                    read(open_mask, stored(image))
            else:
                np.testing.assert_array_equal(read(open_mask, stored(image)), alpha)
    assert not read(open_mask, stored(Image.new("RGBA", (6, 6), (0, 0, 0, 255)))).any()
