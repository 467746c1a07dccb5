"""Predictions in batches and the shares of them that are right."""

import pytest
import torch
from torch import nn

from align.metrics import accuracy, accuracy_per_class, correct, predict
from align.metrics.inputs import images_at_once


class Small(nn.Module):
    """A convolution, BatchNorm, pooling and a linear head."""

    def __init__(self, seed=0, classes=4):
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv2d(3, 8, 3, stride=2)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8, classes)

    def forward(self, x):
        return self.head(self.norm(self.convolution(x)).relu().mean((2, 3)))


def some_images(count=11, size=12, seed=1):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def some_labels(count=11, classes=4, seed=2):
    return torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))


def naive_correct(classifier, images, labels):
    classifier.eval()
    right = []
    for image, label in zip(images, labels, strict=True):
        with torch.no_grad():
            logits = classifier(image[None])[0]
        right.append(max(range(len(logits)), key=lambda c: logits[c]) == label)
    return torch.tensor(right)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 256])
def test_correct_is_the_naive_loop(batch_size):
    classifier, images, labels = Small(), some_images(), some_labels()
    expected = naive_correct(Small(), images, labels)
    assert 0 < expected.sum() < len(expected)
    result = correct(classifier, images, labels, batch_size=batch_size)
    assert result.dtype == torch.bool and torch.equal(result, expected)
    assert accuracy(classifier, images, labels, batch_size=batch_size) == pytest.approx(
        expected.sum().item() / len(expected)
    )


def test_predict_gives_plain_logits_in_the_order_of_the_images():
    classifier, images = Small().eval(), some_images()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(3))
    logits = predict(classifier, images, batch_size=4)
    torch.testing.assert_close(logits, classifier(images).detach())
    torch.testing.assert_close(predict(classifier, images[order], batch_size=3), logits[order])
    assert not logits.is_inference() and not logits.requires_grad


def test_uint8_images_count_as_their_255th():
    images = (some_images() * 255).round().to(torch.uint8)
    torch.testing.assert_close(predict(Small(), images), predict(Small(), images.float() / 255))


def test_the_model_and_the_random_state_are_left_as_they_were():
    classifier = Small().train()
    classifier.norm.eval()  # frozen on purpose inside a training model
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    state = torch.get_rng_state()
    correct(classifier, some_images(), some_labels())
    assert classifier.training and classifier.convolution.training
    assert not classifier.norm.training
    assert all(torch.equal(before[name], value) for name, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_the_training_flag_comes_back_when_the_model_fails():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("on purpose")

    classifier = Broken()
    with pytest.raises(RuntimeError, match="on purpose"):
        predict(classifier, some_images())
    assert classifier.training


def test_accuracy_per_class_leaves_out_absent_classes():
    right = torch.tensor([True, False, True, True])
    labels = torch.tensor([0, 0, 2, 2])
    assert accuracy_per_class(right, labels, ("bird", "car", "dog")) == {"bird": 0.5, "dog": 1.0}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.rand(3, 8, 8), r"images\[None\]"),
        (torch.rand(2, 1, 8, 8), r"expected \(N, 3, H, W\)"),
        (torch.rand(0, 3, 8, 8), "at least one"),
        (torch.rand(2, 3, 8, 8) * 255, "before normalisation"),
        (torch.full((2, 3, 8, 8), torch.nan), "nan"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.int64), "torch.int64"),
    ],
)
def test_bad_images_are_named(images, message):
    with pytest.raises(ValueError, match=message):
        predict(Small(), images)


def test_bad_labels_batches_and_outputs_are_named():
    images = some_images(3)
    with pytest.raises(
        ValueError,
        match=r"labels are torch.int64 of shape \(4,\), expected torch.int64 of shape \(3,\)",
    ):
        correct(Small(), images, some_labels(4))
    with pytest.raises(ValueError, match="batch_size is 0"):
        predict(Small(), images, batch_size=0)
    with pytest.raises(ValueError, match="expected logits of shape"):
        predict(lambda x: x, images)
    with pytest.raises(ValueError, match="3 of 3 images"):
        predict(lambda x: x.mean((2, 3)) / 0 * 0, images)


def test_a_batch_holds_what_suits_the_device_unless_told():
    assert images_at_once(None, torch.device("cpu")) < images_at_once(None, torch.device("cuda"))
    assert images_at_once(7, torch.device("cpu")) == 7
    seen = []
    predict(lambda x: seen.append(len(x)) or x.mean((2, 3)), some_images(70))
    assert seen == [32, 32, 6]
