"""Masks from each source: what they mark, how much, and what is said where a source is absent."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import align
from align.data import mask_sources
from align.data.mask_sources import brightness, mask_source, sources
from alignbook import segmenters


@pytest.fixture(scope="module")
def domain():
    return align.load("toy-vlcs", n=20, size=32)["noon"]


@pytest.fixture
def bare(domain):
    return replace(domain, masks=None)


def marked(domain):
    return domain.masks.flatten(1).sum(1)


def test_true_masks_are_the_domains_own(domain):
    assert mask_source("true", domain).masks is domain.masks


def test_another_pictures_mask_is_nobodys_own_and_everybodys_once(domain):
    found, again, other = (mask_source("another", domain, seed=s).masks for s in (0, 0, 1))
    assert torch.equal(found, again) and not torch.equal(found, other)
    given, own = ([m.numpy().tobytes() for m in masks] for masks in (found, domain.masks))
    assert len(set(own)) == 20 and sorted(given) == sorted(own)
    assert all(a != b for a, b in zip(given, own, strict=True))


def test_brightness_by_hand(domain):
    images = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]])
    values = brightness(images.to(torch.uint8).view(4, 3, 1, 1)).flatten().tolist()
    assert values == pytest.approx([0.299, 0.587, 0.114, 1])
    assert torch.equal(mask_source("gray", domain).masks, brightness(domain.images))


@pytest.mark.parametrize("name", ["centre", "random"])
def test_each_image_has_as_much_marked_as_its_true_mask_or_as_asked(name, domain, monkeypatch):
    monkeypatch.setattr(mask_sources, "PART", 7)  # three parts, the last one short
    masks = mask_source(name, domain).masks
    assert set(masks.unique().tolist()) == {0, 1}
    assert torch.equal(masks.flatten(1).sum(1), marked(domain).round())
    for area, count in ((0.0, 0), (0.25, 256), (1.0, 1024)):
        asked = mask_source(name, replace(domain, masks=None), area=area)
        assert marked(asked).tolist() == [count] * 20
        assert torch.equal(asked.images, domain.images)


def test_the_centre_is_a_disc_around_the_middle(bare):
    mask = mask_source("centre", bare, area=0.2).masks[0]
    assert torch.equal(mask, mask_source("centre", bare, area=0.2).masks[1])
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    distance = (rows - 15.5) ** 2 + (columns - 15.5) ** 2
    assert distance[mask == 1].max() <= distance[mask == 0].min()


def test_random_blobs_depend_on_the_seed_alone_and_are_connected_patches(bare):
    first, again, other = (
        mask_source("random", bare, area=0.3, seed=seed).masks for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    changes = (first[:, 1:] != first[:, :-1]).float().mean().item()
    assert changes < 0.3 * 2 * 0.3 * 0.7  # far fewer edges than single random pixels would make


def test_bad_requests_are_refused(bare):
    with pytest.raises(
        ValueError, match=f"the mask source is 'dino', expected one of {', '.join(sources())}$"
    ):
        mask_source("dino", bare)
    with pytest.raises(ValueError, match="'true' needs true masks and domain 'noon' has none"):
        mask_source("true", bare)
    with pytest.raises(ValueError, match="'another' needs true masks .* load the data with masks="):
        mask_source("another", bare)
    alone = replace(bare, masks=torch.ones(20, 32, 32)).subset(torch.tensor([0]))
    with pytest.raises(ValueError, match="the number of images is 1, expected a whole number"):
        mask_source("another", alone)
    with pytest.raises(ValueError, match="'random' needs true masks .* or pass area"):
        mask_source("random", bare)
    with pytest.raises(ValueError, match="area is 1.5, expected a number from 0 to 1"):
        mask_source("centre", bare, area=1.5)


def coloured_square():
    """A red square a little off the centre of a green field, with some noise."""
    image = torch.randint(0, 30, (3, 48, 48), generator=torch.Generator().manual_seed(0))
    image[1] += 150
    image[1, 14:30, 16:36] -= 150
    image[0, 14:30, 16:36] += 200
    truth = torch.zeros(1, 48, 48)
    truth[:, 14:30, 16:36] = 1
    return align.Domain(
        "field", image[None].to(torch.uint8), torch.zeros(1, dtype=torch.int64), ("square",), truth
    )


def test_grabcut_finds_what_differs_from_the_border():
    pytest.importorskip("cv2")
    square = coloured_square()
    masks = mask_source("grabcut", square).masks
    inter, union = (masks * square.masks).sum(), torch.maximum(masks, square.masks).sum()
    assert inter / union > 0.95
    assert torch.equal(masks, mask_source("grabcut", square).masks)
    plain = replace(square, images=torch.full_like(square.images, 7))
    assert mask_source("grabcut", plain).masks.sum() == 0


def test_grabcuts_marks_become_masks(monkeypatch):
    calls = []

    def cut(image, _, inner, *__):
        calls.append((image.shape, image.dtype.name, inner))
        marks = image[..., 0] * 0
        marks[0, :4] = (0, 1, 2, 3)
        return marks, None, None

    stub = SimpleNamespace(grabCut=cut, setRNGSeed=lambda _: None, GC_INIT_WITH_RECT=0)
    monkeypatch.setitem(sys.modules, "cv2", stub)
    masks = mask_source("grabcut", coloured_square()).masks
    assert masks[0, 0, :4].tolist() == [0, 1, 0, 1]
    assert calls == [((48, 48, 3), "uint8", (5, 5, 38, 38))]


@pytest.mark.parametrize(
    ("name", "module", "extra"), [("grabcut", "cv2", "classical"), ("sam", "transformers", "sam")]
)
def test_a_source_whose_package_is_absent_says_what_to_install(
    name, module, extra, bare, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModuleNotFoundError, match=rf"'{name}' needs .*'align-book\[{extra}\]'"):
        mask_source(name, bare)


class Reddish(nn.Module):
    """A segmenter that calls red pixels its class 7, and the rest background."""

    def forward(self, images):
        assert min(images.shape[2:]) == segmenters.SIDE
        logits = torch.zeros(len(images), 21, *images.shape[2:])
        logits[:, 7] = 8 * (images[:, 0] - images[:, 1])
        logits[:, 0] = -logits[:, 7]
        return {"out": logits}


def test_the_segmenter_marks_whatever_is_not_background(monkeypatch):
    monkeypatch.setattr(segmenters, "_segmenter", lambda _: Reddish())
    square = coloured_square()
    masks = mask_source("segmenter", square, device="cpu").masks
    assert ((masks > 0.5) == (square.masks > 0.5)).float().mean() > 0.97
    assert masks.shape == square.masks.shape


@pytest.fixture(scope="module")
def segmenter():
    torch.manual_seed(0)
    return torchvision.models.get_model(
        segmenters.NETWORK, weights=None, weights_backbone=None, num_classes=21, aux_loss=True
    )


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_the_segmenters_weights_are_read_from_a_file(
    suffix, segmenter, bare, tmp_path, monkeypatch
):
    path = tmp_path / f"weights.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(segmenter.state_dict(), path)
    one = bare.subset(torch.arange(1))
    masks = mask_source("segmenter", one, weights=path, device="cpu").masks
    monkeypatch.setattr(segmenters, "_segmenter", lambda _: segmenter)
    assert torch.equal(masks, mask_source("segmenter", one, device="cpu").masks)
    assert masks.shape == (1, 32, 32)
    assert 0 < masks.min() <= masks.max() < 1


def test_a_pickle_that_would_run_code_is_not_read(bare, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"w": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match="holds more than tensors, or is broken, and is not read"):
        mask_source("segmenter", bare, weights=tmp_path / "evil.pth", device="cpu")
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_absent_or_of_another_network_are_refused(bare, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no weights file at '.*none.pth'"):
        mask_source("segmenter", bare, weights=tmp_path / "none.pth")
    save_file({"w": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="other.safetensors' does not fit deeplabv3"):
        mask_source("segmenter", bare, weights=tmp_path / "other.safetensors")

    def offline(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(FileNotFoundError, match=r"no route.*fetch https://.*\.pth .* as weights"):
        mask_source("segmenter", bare)


class Prompted:
    """A stand-in for SamModel: three proposals, of which the second scores best."""

    config = SimpleNamespace(vision_config=SimpleNamespace(image_size=64))

    @classmethod
    def from_pretrained(cls, name):
        if name == "nowhere":
            raise OSError("not found\nand more")
        return cls()

    def to(self, device):
        return self

    def eval(self):
        return self

    def __call__(self, pixel_values, input_points, multimask_output):
        assert pixel_values.shape == (1, 3, 64, 64)
        assert input_points.flatten().tolist() == [32, 32]
        masks = torch.full((1, 1, 3, 16, 16), -1.0)
        masks[0, 0, 1, :, :8] = 1
        return SimpleNamespace(iou_scores=torch.tensor([[[0.2, 0.9, 0.5]]]), pred_masks=masks)


def test_sam_is_prompted_at_the_centre_and_its_best_mask_is_taken(bare, monkeypatch):
    stub = ModuleType("transformers")
    stub.SamModel = Prompted
    monkeypatch.setitem(sys.modules, "transformers", stub)
    masks = mask_source("sam", bare, device="cpu").masks
    assert (masks[:, :, :16] == 1).all() and (masks[:, :, 16:] == 0).all()
    with pytest.raises(
        FileNotFoundError, match=r"weights at 'nowhere' \(not found\); pass weights"
    ):
        mask_source("sam", bare, weights="nowhere")


def test_sam_itself_runs_from_a_folder_of_weights(bare, tmp_path):
    transformers = pytest.importorskip("transformers")
    one = {"hidden_size": 8, "mlp_dim": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    vision = {"image_size": 64, "output_channels": 8, "global_attn_indexes": [0]}
    prompt = {"hidden_size": 8, "image_size": 64, "image_embedding_size": 4}
    config = transformers.SamConfig(
        vision_config=one | vision | {"num_pos_feats": 4, "initializer_range": 0.1},
        prompt_encoder_config=prompt | {"mask_input_channels": 4},
        mask_decoder_config=one | {"iou_head_hidden_dim": 8},
    )
    transformers.SamModel(config).save_pretrained(tmp_path)
    masks = mask_source("sam", bare.subset(torch.arange(2)), weights=tmp_path, device="cpu").masks
    assert masks.shape == (2, 32, 32)
    assert set(masks.unique().tolist()) <= {0, 1}
