"""Random damage to everything that is read from a disk: taken, or refused with the right error.

ALIGN_FUZZ=20000 makes that many tries of each kind instead of a few.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic import BARE, untrained

import align
from align import records
from align.data.decoding import UnreadableImageError, decode
from align.data.terra import NOTES, Notes
from align.networks.weights import read_tensors, write_tensors
from align.training import checkpoint
from alignbook.getting import terra
from alignbook.getting.archives import ArchiveError, Bounds, unpack
from alignbook.getting.manifest import Manifest

TRIES = int(os.environ.get("ALIGN_FUZZ", 120))


def damaged(body: bytes, rng: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled or put in; seldom cut off or replaced altogether."""
    found = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place = rng.randrange(len(found) + 1)
        length = rng.choice((1, 2, 4, 50))
        match rng.randrange(6):
            case 0 | 1:
                for offset in range(place, min(place + length, len(found))):
                    found[offset] = rng.randrange(256)
            case 2:
                del found[place : place + length]
            case 3:
                found[place:place] = rng.randbytes(length)
            case 4:
                found[place:place] = found[place : place + length]
            case 5:
                del found[place:]
    return bytes(found)


def pictures() -> list[bytes]:
    noise = np.random.default_rng(0).integers(0, 256, (24, 31, 3), dtype=np.uint8)
    image, exif = Image.fromarray(noise), Image.Exif()
    exif[274] = 6
    found = []
    for mode, form, options in (
        ("RGB", "JPEG", {"exif": exif}),
        ("L", "JPEG", {"progressive": True}),
        ("CMYK", "JPEG", {}),
        ("RGB", "PNG", {"exif": exif}),
        ("RGBA", "PNG", {}),
        ("P", "PNG", {"transparency": 3}),
        ("1", "PNG", {}),
        ("P", "GIF", {"save_all": True, "append_images": [image.convert("P")] * 2}),
        ("RGB", "BMP", {}),
        ("RGB", "WEBP", {"lossless": True}),
        ("RGB", "WEBP", {"save_all": True, "append_images": [image] * 2}),
    ):
        file = io.BytesIO()
        image.convert(mode).save(file, form, **options)
        found.append(file.getvalue())
    return found


@pytest.fixture(autouse=True)
def quiet():
    """Pillow warns of some damage that it can live with."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_image_bytes(tmp_path) -> None:
    good, rng, read = pictures(), random.Random(1), 0
    for number in range(TRIES):
        body = damaged(good[number % len(good)], rng)
        path = tmp_path / "a.png"
        path.write_bytes(body)
        for mask in (None, path):
            try:
                pixels = decode(path, mask, 8, None)
            except UnreadableImageError as error:
                assert str(error) and str(tmp_path) not in str(error)
                continue
            read += 1
            assert pixels.dtype == np.uint8 and pixels.shape == (3 if mask is None else 4, 8, 8)
    assert 0 < read < 2 * TRIES


def test_record_lines(tmp_path) -> None:
    rng = random.Random(2)
    record = BARE | {"source": "a", "metrics": {"a": {"accuracy": 0.5}}}
    line = json.dumps(record).encode()
    path = tmp_path / "r.jsonl"
    whole = json.dumps(record | {"whole": True}).encode()
    told = 0
    for _ in range(TRIES):
        odd = rng.choice((b"", b"3", b"null", b"\xff\xfe", b"[" * 100_000, b"{}", line, line, line))
        odd = damaged(odd, rng).replace(b"\n", b" ") if odd == line else odd
        path.write_bytes(whole + b"\n" + odd + b"\n" + whole)
        try:
            found = records.read(path)
        except ValueError as error:
            told += 1
            assert "line 2 of" in str(error) and "no record" in str(error)
            continue
        assert len(found) in (2, 3) and all(set(BARE) <= set(entry) for entry in found)
        assert sum("whole" in entry for entry in found) == 2
    assert 0 < told < TRIES


def archive_bytes() -> list[bytes]:
    files = {f"VLCS/a/b{number}.txt": random.Random(number).randbytes(300) for number in range(5)}
    found = []
    for mode in ("w", "w:gz", "w:xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=mode) as file:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return [*found, buffer.getvalue()]


def test_archive_bytes(tmp_path) -> None:
    good, rng = archive_bytes(), random.Random(3)
    refused = 0
    for number in range(TRIES):
        path, folder = tmp_path / "a.archive", tmp_path / "deep" / "er"
        folder.mkdir(parents=True)
        path.write_bytes(damaged(good[number % len(good)], rng))
        try:
            written = unpack(path, folder, bounds=Bounds(files=20, bytes=10_000))
            assert all((folder / name).is_file() for name in written)
        except ArchiveError as error:
            refused += 1
            assert str(error)
        assert {p.name for p in tmp_path.iterdir()} == {"a.archive", "deep"}
        assert [p.name for p in (tmp_path / "deep").iterdir()] == ["er"]
        shutil.rmtree(tmp_path / "deep")
    assert refused


def readers(tmp_path: Path) -> dict:
    """What reads a small file of ours, and a good one of each."""
    manifest, notes = tmp_path / "m.json", tmp_path / NOTES
    Manifest("vlcs", "", {"a": {"b": 3}}, "0f").write(manifest)
    images = {"location_38/dog/a.jpg": {"sequence": "s", "boxes": [[0.1, 0.2, 0.3, 0.4]]}}
    notes.write_text(json.dumps({"version": "v", "images": images}))
    state = tmp_path / "c.pt"
    checkpoint.write(state, {"f": align.Classifier("small-cnn", 2).linear}, {"history": [1]})
    weights, pickled = tmp_path / "w.safetensors", tmp_path / "w.pt"
    write_tensors(weights, {"a": torch.zeros(3), "b": torch.ones(2, 2)})
    torch.save({"a": torch.zeros(3), "b": torch.ones(2, 2)}, pickled)
    domain = align.load("toy-vlcs", n=20, size=32)["noon"]
    untrained(align.Config(method="erm"), domain).save(tmp_path)
    run = tmp_path / align.training.run.RUN
    return {
        manifest: Manifest.read,
        notes: lambda path: Notes.read(path.parent),
        state: checkpoint.read,
        weights: lambda path: read_tensors(path, "another file"),
        pickled: lambda path: read_tensors(path, "another file"),
        run: lambda path: align.Run.load(path.parent),
    }


def test_files_of_ours(tmp_path) -> None:
    rng = random.Random(4)
    for path, read in readers(tmp_path).items():
        read(path)
        body, refused = path.read_bytes(), 0
        for _ in range(TRIES):
            path.write_bytes(damaged(body, rng))
            try:
                read(path)
            except ValueError as error:
                refused += 1
                assert path.name in str(error) and len(str(error).split()) > 5
        assert refused, path
        path.write_bytes(body)


def test_annotations(tmp_path) -> None:
    rng = random.Random(5)
    data = {
        "categories": [{"id": 1, "name": "dog"}],
        "images": [{"id": "i", "file_name": "a.jpg", "location": 38, "width": 10, "height": 10}],
        "annotations": [{"image_id": "i", "category_id": 1, "bbox": [1, 1, 3, 3]}],
    }
    body = json.dumps(data).encode()
    for _ in range(TRIES):
        try:
            terra._add_file({}, damaged(body, rng), "'a.json'")
        except ValueError as error:
            assert "is no annotation file" in str(error)
