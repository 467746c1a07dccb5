"""A frozen network as the masker's judge: what it takes as common, and what it teaches."""

from dataclasses import replace

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

import align
from align import Config
from align.data import Domain
from align.networks import judge as judges
from align.networks.feature_masker import start_path
from align.networks.judge import SHARE, Judge
from align.networks.masker import Masker
from align.training import Run, judged, loop, start
from align.training.judged import learn_from_judge

RED, REST = torch.tensor([0.9, 0.1, 0.1]), 0.5
CHOICES = {"method": "align", "backbone": "mobilenet_v2", "weights": "any", "epochs": 1}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_file(torchvision.models.mobilenet_v2().state_dict(), path)
    return path


class SeesRed(nn.Module):
    """Class 3 of five grows with the share of the picture that is red; the others stay."""

    def forward(self, normalised: torch.Tensor) -> torch.Tensor:
        mean, std = (
            torch.tensor(v).view(3, 1, 1) for v in (judges.IMAGENET_MEAN, judges.IMAGENET_STD)
        )
        red, green, _ = (normalised * std + mean).unbind(1)
        amount = (red - green).clamp_min(0).mean((1, 2))
        logits = torch.zeros(len(normalised), 5)
        logits[:, 3] = 100 * (amount - 0.05)
        return logits


@pytest.fixture
def sees_red(monkeypatch):
    monkeypatch.setattr(judges, "published", lambda *_, **__: SeesRed())


def red_squares(count: int = 64, size: int = 32) -> Domain:
    """Grey noise with a red square of a quarter of the side somewhere about the middle."""
    draw = torch.Generator().manual_seed(0)
    images = REST + 0.1 * torch.randn(count, 1, size, size, generator=draw).expand(-1, 3, -1, -1)
    images, masks = images.clone(), torch.zeros(count, size, size)
    for place, (down, right) in enumerate(
        torch.randint(size // 4, size // 2, (count, 2), generator=draw)
    ):
        inside = (slice(down, down + size // 4), slice(right, right + size // 4))
        images[place][:, *inside] = RED[:, None, None]
        masks[place][inside] = 1
    labels = torch.arange(count) % 2
    return Domain("red", images.clamp(0, 1).mul(255).byte(), labels, ("a", "b"), masks)


@pytest.fixture
def of_forty_classes(monkeypatch):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 40, 9), nn.BatchNorm2d(40), nn.AdaptiveMaxPool2d(1), nn.Flatten()
    monkeypatch.setattr(judges, "published", lambda *_, **__: nn.Sequential(*layers))


def test_common_are_the_fewest_classes_that_hold_half_of_the_answers(of_forty_classes):
    """Of those that a likely place makes likelier than the picture without it."""
    pictures = torch.rand(40, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    likely = torch.zeros(40, 64, 64)
    likely[:, 16:48, 16:48] = 1
    judge = Judge("mobilenet_v2", "any", pictures, likely)
    grey = judge.mean.expand_as(pictures)
    with torch.no_grad():
        answers = judge.answers(pictures)
        logits = judge(pictures)
        inside, outside = (
            judge.answers(torch.where(seen[:, None] > 0, pictures, grey)).softmax(1).mean(0)
            for seen in (likely, 1 - likely)
        )
    shares = answers.softmax(1).mean(0) * (inside > outside)
    assert 0.2 < (inside > outside).float().mean() < 0.8
    shares = shares / shares.sum()
    inside, count = shares[judge.common], int(judge.common.sum())
    assert inside.sum() >= SHARE > inside.sum() - inside.min()
    assert torch.equal(shares.topk(count).indices.sort().values, judge.common.nonzero()[:, 0])
    probability = answers.softmax(1)[:, judge.common].sum(1)
    torch.testing.assert_close(logits.softmax(1)[:, 1], probability)


def test_a_judge_is_frozen_and_never_in_training_mode(of_forty_classes):
    judge = Judge("mobilenet_v2", "any", torch.rand(4, 3, 64, 64), torch.ones(4, 64, 64)).train()
    assert list(judge.parameters())
    assert not any(module.training for module in judge.modules())
    assert not any(parameter.requires_grad for parameter in judge.parameters())


def test_what_is_no_judge_is_refused(weights, tmp_path):
    pictures = torch.rand(4, 3, 64, 64), torch.ones(4, 64, 64)
    for backbone, given in (("small-cnn", str(weights)), ("mobilenet_v2", None)):
        with pytest.raises(ValueError, match=f"backbone is '{backbone}' .* pretrained weights of"):
            Judge(backbone, given, *pictures)
    state = torchvision.models.mobilenet_v2(num_classes=7).state_dict()
    save_file(state, tmp_path / "seven.safetensors")
    align.Classifier("mobilenet_v2", 2, tmp_path / "seven.safetensors")  # needs no head
    with pytest.raises(ValueError, match="does not fit the backbone: 2 tensors"):
        Judge("mobilenet_v2", tmp_path / "seven.safetensors", *pictures)
    with pytest.raises(ValueError, match="likely"):
        Judge("mobilenet_v2", weights, pictures[0], torch.ones(4, 32, 64))
    with pytest.raises(ValueError, match="names no class more often"):  # it tells nothing apart
        Judge("mobilenet_v2", weights, torch.full((4, 3, 64, 64), 0.4), pictures[1])
    with pytest.raises(ValueError, match="the judge is that network"):
        start("align", red_squares(), Config(judge_epochs=1))


def test_a_masker_learns_to_mark_what_the_judge_must_see(sees_red):
    domain = red_squares()
    torch.manual_seed(0)
    masker = Masker(stride=2)
    config = Config(
        **CHOICES | {"judge_epochs": 40, "lambda1": 4.0, "lambda2": 0.05, "batch_size": 16}
    )
    losses = learn_from_judge(masker, domain, config)
    with torch.no_grad():
        marked = masker(domain.images.float() / 255)[:, 0] > 0.5
    truth = domain.masks > 0.5
    assert losses[-1] < losses[0] / 1.5 and not masker.training
    assert (marked & truth).sum() / (marked | truth).sum() > 0.6


def test_neither_labels_nor_masks_of_the_pictures_are_read(sees_red):
    domain = red_squares()
    other = replace(domain, labels=1 - domain.labels, masks=None)
    found = []
    for one in (domain, other):
        torch.manual_seed(0)
        masker = Masker()
        learn_from_judge(masker, one, Config(**CHOICES, judge_epochs=1))
        found.append(masker(pictures_of(one)))
    assert torch.equal(*found)


@pytest.mark.parametrize(("origin", "rate"), [({}, 1e-3), ({"looked_at_masks": 4}, 3e-4)])
def test_a_start_is_taught_more_slowly_and_few_pictures_are_asked_about(
    sees_red, monkeypatch, origin, rate
):
    asked = {}
    monkeypatch.setattr(judged, "LOOKS", 10)
    monkeypatch.setattr(judged, "Judge", lambda *given: asked.update(images=given[2]) or SeesRed())
    monkeypatch.setattr(judged, "teach", lambda *_, **choices: asked.update(choices) or [])
    learn_from_judge(Masker(), red_squares(), Config(**CHOICES, judge_epochs=3, **origin))
    assert (asked["lr"], asked["epochs"], len(asked["images"])) == (rate, 3, 10)


def pictures_of(domain: Domain) -> torch.Tensor:
    return domain.images[:8].float() / 255


def test_what_a_judge_taught_is_where_the_masker_starts(weights, sees_red):
    domain = red_squares()
    choices = CHOICES | {"weights": str(weights), "masker_lr": 0.0}
    taught, blank = (
        start("align", domain, Config(**choices, judge_epochs=count)) for count in (1, 0)
    )
    x = pictures_of(domain)
    assert not torch.equal(taught.masker(x), blank.masker(x))
    assert torch.equal(taught.classifier.linear.weight, blank.classifier.linear.weight)
    assert torch.equal(start("align", domain, taught.config).masker(x), taught.masker(x))
    assert taught.masks(x)[1] is not None and blank.masks(x)[1] is None


@pytest.mark.parametrize("origin", ["judge_epochs", "masker_start"])
def test_a_run_with_a_held_start_is_read_back_without_it(
    weights, sees_red, monkeypatch, tmp_path, origin
):
    given = {"judge_epochs": 1, "masker_start": str(tmp_path / "start.safetensors")}[origin]
    tensors = load_file(start_path("objectness", "mobilenet_v2"))
    save_file(tensors, tmp_path / "start.safetensors")  # without the weights that it is for
    choices = CHOICES | {"weights": str(weights), "output_stride": 16, "masker_reads": "pretrained"}
    config = Config(
        **choices | {"warmup": 0, "head_start": 0, "hold": 1, "epochs": 2, origin: given}
    )
    run = align.train("align", red_squares(), config=config, progress=False)
    run.save(tmp_path)

    def gone(*_, **__):
        raise AssertionError("a run that is read back asked a judge, or for weights")

    monkeypatch.setattr(judges, "published", gone)
    monkeypatch.setattr(loop, "learn_from_judge", gone)
    back = Run.load(tmp_path)
    x = pictures_of(red_squares())
    assert back.config == config and torch.equal(back.masker(x), run.masker(x))
