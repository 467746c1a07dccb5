"""The classifier and the masker: shapes, strides, weights, frozen BatchNorm, bad input."""

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch.nn.functional import avg_pool2d, interpolate

from align import Classifier, Masker


@pytest.mark.parametrize(
    ("backbone", "stride", "channels"),
    [
        ("small-cnn", 4, 64),
        ("small-cnn", 8, 64),
        ("small-cnn", 16, 64),
        ("resnet18", 32, 512),
        ("resnet18", 16, 512),
        ("resnet18", 8, 512),
        ("resnet50", 16, 2048),
        ("mobilenet_v2", 32, 1280),
        ("mobilenet_v2", 16, 1280),
        ("mobilenet_v2", 8, 1280),
    ],
)
def test_feature_maps_have_the_stride_asked_for(backbone, stride, channels):
    classifier = Classifier(backbone, 3, output_stride=stride).eval()
    with torch.no_grad():
        features = classifier.features(torch.rand(1, 3, 64, 64))
        assert features.shape == (1, channels, 64 // stride, 64 // stride)
        assert classifier.head(features).shape == (1, 3)


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v2"])
def test_untouched_strides_give_torchvisions_own_logits(backbone):
    torch.manual_seed(0)
    model = getattr(torchvision.models, backbone)(num_classes=4).eval()
    ours = Classifier(backbone, 4).eval()
    parts = (
        model.features
        if backbone == "mobilenet_v2"
        else torch.nn.Sequential(*list(model.children())[:-2])
    )
    head = model.classifier[1] if backbone == "mobilenet_v2" else model.fc
    ours.trunk.load_state_dict(parts.state_dict())
    ours.linear.load_state_dict(head.state_dict())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = model((images - ours.mean) / ours.std)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_local_weights_are_loaded_and_batchnorm_then_stays_frozen(tmp_path, suffix):
    torch.manual_seed(0)
    state = torchvision.models.resnet18(num_classes=10).state_dict()
    path = tmp_path / f"weights{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    classifier = Classifier("resnet18", 7, path)
    torch.testing.assert_close(classifier.trunk[0].weight.detach(), state["conv1.weight"])
    before = classifier.trunk[1].running_mean.clone()
    classifier.train()(torch.rand(4, 3, 64, 64))
    assert torch.equal(classifier.trunk[1].running_mean, before)
    moving = Classifier("resnet18", 7, path, freeze_batchnorm=False).train()
    moving(torch.rand(4, 3, 64, 64))
    assert not torch.equal(moving.trunk[1].running_mean, before)


def test_a_pickle_that_would_run_code_is_not_read(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({"conv1.weight": _Trap(tmp_path / "ran")}, path)
    with pytest.raises(ValueError, match="holds more than tensors, or is broken, and is not read"):
        Classifier("resnet18", 2, path)
    assert not (tmp_path / "ran").exists()


class _Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_weights_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "half.safetensors"
    state = torchvision.models.resnet18().state_dict()
    save_file({k: v for k, v in state.items() if "layer4" not in k}, path)
    with pytest.raises(ValueError, match="does not fit the backbone: .* tensors differ"):
        Classifier("resnet18", 2, path)
    with pytest.raises(FileNotFoundError, match="no weights file at"):
        Classifier("resnet18", 2, tmp_path / "absent.safetensors")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("vgg", 2), {}, "backbone is 'vgg', expected one of small-cnn"),
        (("small-cnn", 1), {}, "num_classes is 1, expected a whole number, at least 2"),
        (("small-cnn", 2), {"output_stride": 32}, "output_stride is 32, expected one of 4, 8, 16"),
        (("resnet18", 2), {"output_stride": 4}, "output_stride is 4, expected one of 8, 16, 32"),
        (("small-cnn", 2, "x.pt"), {}, "no published weights"),
    ],
)
def test_bad_arguments_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        Classifier(*arguments, **options)


@pytest.mark.parametrize("network", [Classifier("small-cnn", 2), Masker()])
@pytest.mark.parametrize(
    "images",
    [torch.rand(3, 32, 32), torch.rand(1, 1, 32, 32), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)],
)
def test_bad_images_are_refused(network, images):
    with pytest.raises(ValueError, match=r"expected floating point of shape \(N, 3, H, W\)"):
        network(images)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (8, 8)])
def test_masks_are_soft_and_of_the_images_size(size):
    torch.manual_seed(0)
    masks = Masker()(torch.rand(2, 3, *size))
    assert masks.shape == (2, 1, *size)
    assert 0 < masks.min()
    assert masks.max() < 1


@pytest.mark.parametrize(("stride", "size"), [(4, (32, 32)), (8, (32, 64)), (16, (64, 32))])
def test_a_coarse_mask_is_the_fine_ones_logits_averaged_and_enlarged(stride, size):
    torch.manual_seed(0)
    masker = Masker(stride=stride)
    painted = []
    masker.paint.register_forward_hook(lambda _, __, output: painted.append(output))
    logits = masker.logits(torch.rand(2, 3, *size))
    assert painted[0].shape[2:] == (size[0] // 2, size[1] // 2)
    cells = avg_pool2d(painted[0], stride // 2)
    assert cells.shape[2:] == (size[0] // stride, size[1] // stride)
    torch.testing.assert_close(logits, interpolate(cells, size, mode="bilinear"))
    assert not torch.equal(logits, interpolate(painted[0], size, mode="bilinear"))


def test_a_masker_coarser_than_the_image_paints_one_value():
    torch.manual_seed(0)
    masks = Masker(stride=32)(torch.rand(2, 3, 20, 11))
    assert masks.shape == (2, 1, 20, 11)
    assert (masks.flatten(1).std(1) < 1e-6).all()
    with pytest.raises(ValueError, match="stride is 1, expected a whole number, at least 2"):
        Masker(stride=1)


def test_a_masker_starts_near_the_mean_asked_for():
    torch.manual_seed(0)
    images = torch.rand(4, 3, 32, 32)
    low, high = (Masker(start=s)(images).mean().item() for s in (0.1, 0.9))
    assert low < 0.35
    assert high > 0.65
    with pytest.raises(ValueError, match="start is 1.5"):
        Masker(start=1.5)


def test_a_grey_picture_gets_the_mask_that_training_starts_from():
    """Grey is the middle of the masker's scale: no channel has anything to see there."""
    grey = torch.full((1, 3, 24, 32), 0.5)
    for masker, start in ((Masker(), 0.5), (Masker(start=0.2, stride=8), 0.2)):
        found = masker(grey)
        torch.testing.assert_close(found, torch.full_like(found, start))


def test_the_masker_halves_three_times_and_paints_at_half_the_size():
    masker, sides = Masker(), []
    for block in (*masker.encoder, masker.bottom, *masker.decoder, masker.paint):
        block.register_forward_hook(lambda _, __, out: sides.append(tuple(out.shape[2:])))
    assert masker(torch.rand(1, 3, 48, 64)).shape == (1, 1, 48, 64)
    assert sides == [(24, 32), (12, 16), (6, 8), (6, 8), (12, 16), (24, 32), (24, 32)]
