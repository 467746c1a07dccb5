"""The gallery: free pictures, small, with maps that the weights still give."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from align.metrics import energy_inside
from alignbook import gallery
from book.tools import project

PHOTOGRAPHS = gallery.photographs()
WEIGHTS = Path("weights") / "mobilenet_v2_imagenet.safetensors"
BESIDE_THE_PROJECT = project.ROOT.parent / "shared" / "data"


def weights() -> Path:
    for folder in (os.environ.get("ALIGN_DATA"), BESIDE_THE_PROJECT):
        if folder and (Path(folder) / WEIGHTS).is_file():
            return Path(folder) / WEIGHTS
    pytest.skip(f"ImageNet weights not found: set ALIGN_DATA to a folder that holds {WEIGHTS}")


def test_every_picture_has_its_source_and_a_free_licence_and_all_are_small():
    files = sorted(path.stem for path in gallery.FOLDER.glob("*.jpg"))
    assert files == sorted(one.name for one in PHOTOGRAPHS) and len(files) >= 12
    assert sum(path.stat().st_size for path in gallery.FOLDER.glob("*.jpg")) < 600 * 1024
    for one in PHOTOGRAPHS:
        assert one.licence in ("public domain", "CC0 1.0"), one.name
        assert one.source.startswith("https://") and one.author and one.through, one.name


def test_every_picture_has_a_map_and_there_are_successes_and_failures():
    verdicts = [one.verdict() for one in PHOTOGRAPHS]
    assert min(map(verdicts.count, ("right", "wrong", "no such class"))) >= 1
    for one in PHOTOGRAPHS:
        assert set(one.classes) <= set(gallery.NAMES) and one.answer in gallery.NAMES
        assert one.evidence.shape == (7, 7) and 0 < one.probability <= 1
        for left, top, right, bottom in one.boxes:
            assert 0 <= left < right <= gallery.GRID and 0 <= top < bottom <= gallery.GRID


def test_the_share_inside_is_that_of_the_library():
    import torch

    one = next(p for p in PHOTOGRAPHS if p.name == "photographer")
    size = torch.from_numpy(np.abs(one.evidence))[None].float()
    mask = torch.from_numpy(one.inside(7, 7))[None].float()
    assert one.share() == pytest.approx(energy_inside(size, mask).item(), abs=1e-5)
    whole = gallery.Photograph("x", "x", (), ((0, 0, 7, 7),), "", "", "", "")
    assert whole.area() == 1 and whole.verdict() == "no such class"
    left = gallery.Photograph("x", "x", (), ((0, 0, 3.5, 7),), "", "", "", "")
    assert left.area() == pytest.approx(0.5)
    np.testing.assert_allclose(left.inside(1, 2), [[1, 0]], atol=1e-6)


def test_the_stored_maps_are_those_of_the_weights():
    network = gallery.imagenet(weights())
    for one in PHOTOGRAPHS[::4]:
        now = gallery.look(network, one)
        assert now.answer == one.answer
        assert now.probability == pytest.approx(one.probability, abs=0.01)
        assert np.abs(now.evidence - one.evidence).max() < 0.02 * np.abs(one.evidence).max()


def test_weights_without_a_last_layer_are_refused(tmp_path):
    from align.networks.weights import read_tensors, write_tensors

    tensors = read_tensors(weights(), "a file in torchvision's layout")
    trunk = {name: value for name, value in tensors.items() if not name.startswith("classifier")}
    write_tensors(tmp_path / "trunk.safetensors", trunk)
    with pytest.raises(ValueError, match="holds no last layer"):
        gallery.imagenet(tmp_path / "trunk.safetensors")


def test_pictures_are_square_and_as_large_as_the_network_wants():
    for one in PHOTOGRAPHS:
        with Image.open(gallery.FOLDER / f"{one.name}.jpg") as image:
            assert image.size == (224, 224) and image.mode == "RGB", one.name
