"""Grad-CAM: closed form, autograd path and captum agree; edge cases stay finite."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from align import Classifier, grad_cam
from align.saliency import class_evidence, contrastive_evidence, evidence_by_gradient, finish
from align.theory import alignment


class Headed(nn.Module):
    """A classifier whose head the closed form does not cover: pooling, then two layers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1))
        self.after = nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 4))

    def features(self, images):
        return self.body(images)

    def head(self, features):
        return self.after(features.amax((2, 3)) + features.mean((2, 3)))

    def forward(self, images):
        return self.head(self.features(images))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def example(backbone="small-cnn", size=32):
    classifier = Classifier(backbone, 4, output_stride=8).eval()
    return classifier, torch.rand(5, 3, size, size), torch.tensor([0, 1, 2, 3, 0])


@pytest.mark.parametrize("backbone", ["small-cnn", "resnet18", "mobilenet_v2"])
def test_closed_form_equals_the_gradient_path_in_value_and_parameter_gradient(backbone):
    classifier, images, labels = example(backbone)
    results = []
    for path in ("closed", "gradient"):
        classifier.zero_grad()
        features = classifier.features(images)
        if path == "closed":
            evidence = class_evidence(features, classifier.linear.weight, labels)
        else:
            evidence = evidence_by_gradient(classifier.head, features, labels, create_graph=True)
        probe = torch.linspace(-1, 1, evidence.numel()).view_as(evidence)
        (evidence * probe).sum().backward()
        results.append((evidence.detach(), [p.grad for p in classifier.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=1e-5, atol=1e-6)
    compared = 0
    for a, b in zip(results[0][1], results[1][1], strict=True):
        if a is not None and b is not None:
            scale = b.abs().max().clamp_min(1e-3)
            assert ((a - b).abs().max() / scale) < 1e-4
            compared += 1
    assert compared >= 5


@pytest.mark.parametrize("relu", [False, True])
def test_values_equal_captums(relu):
    classifier, images, labels = example()
    reference = LayerGradCam(classifier, classifier.trunk).attribute(
        images, labels, relu_attributions=relu
    )[:, 0]
    ours = grad_cam(classifier, images, labels, normalize=None, relu=relu)
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-6)


def test_general_heads_equal_captums_too():
    classifier, images, labels = (
        Headed().eval(),
        torch.rand(5, 3, 32, 32),
        torch.tensor([0, 1, 2, 3, 0]),
    )
    reference = LayerGradCam(classifier, classifier.body).attribute(images, labels)[:, 0]
    ours = grad_cam(classifier, images, labels, normalize=None)
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", ["pooled", "headed"])
def test_a_loss_on_the_map_reaches_the_parameters_only_when_asked(model):
    classifier = Headed() if model == "headed" else Classifier("small-cnn", 4)
    images, labels = torch.rand(3, 3, 32, 32), torch.tensor([0, 1, 2])
    assert not grad_cam(classifier, images, labels).requires_grad
    grad_cam(
        classifier, images, labels, normalize=None, create_graph=True
    ).square().sum().backward()
    assert (
        sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in classifier.parameters())
        > 2
    )


def test_nothing_is_left_behind():
    classifier, images, labels = example()
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    grad_cam(classifier, images, labels)
    assert all(p.grad is None for p in classifier.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in classifier.modules())
    assert all(torch.equal(v, classifier.state_dict()[k]) for k, v in before.items())


def test_evidence_adds_up_to_the_logit_and_the_margin():
    classifier, images, labels = example()
    features = classifier.features(images)
    logits = classifier.head(features) - classifier.linear.bias
    weight = classifier.linear.weight
    chosen = logits.gather(1, labels[:, None])[:, 0]
    torch.testing.assert_close(class_evidence(features, weight, labels).sum((1, 2)), chosen)
    evidence = contrastive_evidence(features, weight, labels)
    torch.testing.assert_close(evidence.sum((2, 3)), chosen[:, None] - logits, rtol=1e-4, atol=1e-5)
    assert (evidence[torch.arange(len(labels)), labels] == 0).all()
    named = alignment.contrastive_evidence(
        features.detach().numpy(), weight.detach().numpy(), labels.numpy()
    )
    np.testing.assert_allclose(evidence.detach().numpy(), named, atol=1e-5)


@pytest.mark.parametrize("normalize", ["minmax", "max"])
def test_constant_maps_become_zeros_or_stay_finite(normalize):
    for value in (0.0, -3.0, 5.0):
        result = finish(torch.full((2, 4, 4), value), normalize=normalize)
        assert torch.isfinite(result).all()
        if normalize == "minmax":
            assert (result == 0).all()
    assert (finish(torch.full((2, 4, 4), -1.0), normalize=normalize, relu=True) == 0).all()


def test_minmax_covers_zero_to_one_and_upsampling_gives_the_images_size():
    classifier, images, labels = example()
    maps = grad_cam(classifier, images, labels, upsample=True)
    assert maps.shape == (5, 32, 32)
    torch.testing.assert_close(maps.amin((1, 2)), torch.zeros(5))
    torch.testing.assert_close(maps.amax((1, 2)), torch.ones(5), rtol=1e-4, atol=1e-4)
    raw = grad_cam(classifier, images, labels, normalize=None, relu=True)
    assert raw.shape == (5, 4, 4)
    assert raw.min() >= 0


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (torch.tensor([0, 1, 2, 3, 4]), {}, "labels run from 0 to 4, expected 0 to 3"),
        (torch.tensor([0, 1, 2, 3, -1]), {}, "labels run from -1 to 3"),
        (torch.zeros(5), {}, "expected torch.int64"),
        (torch.zeros(4, dtype=torch.int64), {}, r"expected torch.int64 of shape \(5,\)"),
        (
            torch.zeros(5, dtype=torch.int64),
            {"normalize": "sum"},
            "expected 'minmax', 'max' or None",
        ),
    ],
)
def test_bad_labels_and_options_are_refused(labels, options, message):
    classifier, images, _ = example()
    with pytest.raises(ValueError, match=message):
        grad_cam(classifier, images, labels, **options)
