"""A masker that reads feature maps, its start, and what it leaves alone."""

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import align
from align import Config
from align.methods.align import Align
from align.networks.classifier import Classifier
from align.networks.feature_masker import STARTS, FeatureMasker, masker_for, start_path
from align.networks.weights import profile, write_tensors
from align.training import Run, objectness, start
from align.training.objectness import dice, learn_objectness

ONCE = {"alignment": "energy", "rounds": 1}


def pictures(count: int = 4, size: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def classifier(name: str = "small-cnn", **choices) -> Classifier:
    torch.manual_seed(0)
    return Classifier(name, 2, **choices)


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("small-cnn", {}),
        ("mobilenet_v2", {"output_stride": 16}),
        ("resnet18", {"output_stride": 16}),
        ("resnet18", {}),
    ],
)
def test_masks_have_the_pictures_size_on_every_backbone(name, choices):
    f = classifier(name, **choices)
    masks = FeatureMasker(f)(pictures(2, 96))
    assert masks.shape == (2, 1, 96, 96) and masks.dtype == torch.float32
    assert 0 < masks.min() and masks.max() < 1


def test_the_copy_stands_still_and_the_lent_trunk_is_read_as_it_learns():
    f = classifier().train()
    own, lent = FeatureMasker(f), FeatureMasker(f, own=False)
    lent.decoder.load_state_dict(own.decoder.state_dict())
    x = pictures()
    before = own(x)
    torch.testing.assert_close(before, lent(x))
    statistics = f.trunk[1].running_mean.clone()
    with torch.no_grad():
        f.trunk[0].weight.mul_(3)
    assert torch.equal(own(x), before)
    assert (lent(x) - before).abs().max() > 1e-4
    # A look moves neither BatchNorm's statistics nor the mode.
    assert torch.equal(f.trunk[1].running_mean, statistics) and f.training
    assert not [name for name in lent.state_dict() if name.startswith(("trunk", "lent"))]


def test_only_the_decoder_learns():
    f = classifier()
    masker = FeatureMasker(f)
    masker(pictures()).sum().backward()
    assert all(p.grad is not None for p in masker.decoder.parameters())
    assert all(p.grad is None for p in masker.trunk.parameters())
    assert all(p.grad is None for p in f.parameters())
    assert not masker.train().trunk.training


@pytest.mark.parametrize("reads", ["pretrained", "classifier"])
def test_align_with_a_feature_masker_trains_saves_and_reads_back(tmp_path, reads):
    world = align.load("toy-vlcs", n=64, seed=0)["noon"]
    config = Config(epochs=2, warmup=0, head_start=1, rounds=1, masker_reads=reads)
    run = align.train("align", world, config=config, progress=False)
    run.save(tmp_path)
    back = Run.load(tmp_path)
    x = pictures()
    assert torch.equal(run.masker(x), back.masker(x))
    assert torch.equal(run.classifier.eval()(x), back.classifier(x))


def test_a_start_is_read_pulls_and_fades(tmp_path):
    world = align.load("toy-vlcs", n=64, seed=0)["noon"]
    f = classifier()
    torch.manual_seed(5)
    first = FeatureMasker(f)
    path = tmp_path / "start.safetensors"
    save_file(first.decoder.state_dict(), path)
    choices = {"masker_reads": "pretrained", "masker_start": str(path)}
    config = Config(**choices)
    masker = masker_for(config, f)
    assert torch.equal(masker(pictures()), first(pictures()))
    method = Align(f, config, masker=masker)
    masks, pull = method.masks(pictures())
    entropy = torch.nn.functional.binary_cross_entropy(masks, masks)
    torch.testing.assert_close(pull, entropy)  # at its least, on the start itself
    # A strong pull keeps the masks where they started; none lets them go.
    far = {}
    for weight in (0.0, 100.0):
        config = Config(epochs=3, warmup=0, start_weight=weight, masker_lr=1e-3, **choices)
        run = align.train("align", world, config=config, progress=False)
        copy = masker_for(config, run.classifier)
        copy.trunk.load_state_dict(run.masker.trunk.state_dict())
        x = world.images[:16].float() / 255
        far[weight] = (copy(x) - run.masker(x)).abs().mean().item()
    assert far[100.0] < far[0.0] / 3


def test_a_masker_that_is_not_to_learn_stays_as_it_is():
    world = align.load("toy-vlcs", n=64, seed=0)["noon"]
    config = Config(epochs=2, warmup=0, head_start=0, masker_lr=0.0, masker_reads="pretrained")
    run = align.train("align", world, config=config, progress=False)
    assert "distinction" not in run.history[-1] and "swap" in run.history[-1]


@pytest.mark.parametrize(("hold", "learns"), [(0, [0, 1, 1, 1]), (1, [0, 0, 0, 1]), (2, [0] * 4)])
def test_a_masker_is_held_until_it_has_guided_for_so_many_epochs(hold, learns):
    """Guidance begins in the third epoch whatever the masker does; hold counts from there."""
    world = align.load("toy-vlcs", n=64, seed=0)["noon"]
    config = Config(epochs=4, warmup=1, head_start=1, looked_at_masks=8, hold=hold, **ONCE)
    short = pytest.warns(UserWarning, match="the masker would learn after 4; .* lower hold")
    with short if hold == 2 else nullcontext():
        run = align.train("align", world, config=config, progress=False)
    assert ["distinction" in row for row in run.history] == [bool(one) for one in learns]
    assert ["alignment" in row for row in run.history] == [False, False, True, True]
    first = start("align", world, config).masker.state_dict().values()
    now = run.masker.state_dict().values()
    assert all(map(torch.equal, first, now)) == (hold == 2)


@pytest.mark.parametrize("name", ["objectness", "birds"])
def test_an_embedded_start_is_small_and_fits_its_backbone(name):
    path = start_path(name, "mobilenet_v2")
    assert path.parent == STARTS and path.stat().st_size < 2**20
    tensors = load_file(path)
    masker = FeatureMasker(classifier("mobilenet_v2", output_stride=16))
    masker.decoder.load_state_dict(tensors)


def test_starts_that_do_not_fit_say_so(tmp_path):
    f = classifier()
    with pytest.raises(FileNotFoundError, match="embedded are birds-mobilenet_v2, objectness-mob"):
        masker_for(Config(masker_reads="pretrained", masker_start="objectness"), f)
    path = tmp_path / "other.safetensors"
    save_file(load_file(start_path("objectness", "mobilenet_v2")), path)
    with pytest.raises(ValueError, match="another backbone"):
        masker_for(Config(masker_reads="pretrained", masker_start=str(path)), f)
    with pytest.raises(ValueError, match="masker_reads is 'pixels'"):
        Config(masker_start="objectness")


def test_a_start_is_for_the_weights_that_it_was_learned_on(tmp_path):
    trained, other = classifier(), classifier()
    with torch.no_grad():
        other.trunk[0].weight.mul_(1.03)
    path = tmp_path / "start.safetensors"
    tensors = FeatureMasker(trained).decoder.state_dict()
    write_tensors(path, tensors, {"profile": json.dumps(profile(trained.trunk))})
    config = Config(masker_reads="pretrained", masker_start=str(path))
    trained.trunk.half().float()  # as a half precision that came along
    taught = masker_for(config, trained).decoder.state_dict()
    assert all(torch.equal(taught[name], tensors[name]) for name in tensors)
    with pytest.raises(ValueError, match="learned on feature maps of other weights than these"):
        masker_for(config, other)
    write_tensors(path, tensors)  # one that does not say is taken at its word
    masker_for(config, other)


@pytest.mark.parametrize("name", ["objectness", "birds"])
def test_an_embedded_start_refuses_a_network_that_never_learned(name):
    f = classifier("mobilenet_v2", output_stride=16)
    config = Config(backbone="mobilenet_v2", masker_reads="pretrained", masker_start=name)
    with pytest.raises(ValueError, match="other weights"):
        masker_for(config, f)


def test_objectness_is_learned_and_holds_on_classes_never_seen():
    world = align.load("toy-vlcs", n=200, seed=0)["noon"]
    seen = world.subset((world.labels < 3).nonzero()[:, 0])
    unseen = world.subset((world.labels >= 3).nonzero()[:, 0])
    masker = FeatureMasker(classifier())
    losses = learn_objectness(masker, seen, epochs=8, lr=5e-3)
    assert losses[-1] < losses[0] / 1.5 and not masker.training
    with torch.no_grad():
        marked = masker(unseen.images.float() / 255)[:, 0] > 0.5
    truth = unseen.masks > 0.5
    share = truth.float().mean()
    precision = (marked & truth).sum() / marked.sum()
    assert precision > 2 * share
    with pytest.raises(ValueError, match="has no masks"):
        learn_objectness(masker, align.data.Domain("a", seen.images, seen.labels, seen.classes))


def test_dice_by_hand():
    truth = torch.tensor([[[1.0, 1.0], [0.0, 0.0]]])
    assert dice(truth, truth).item() == 0
    masks = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    assert dice(masks, truth).item() == pytest.approx(1 - 3 / 5)


@pytest.mark.parametrize("reads", ["pixels", "pretrained"])
def test_masks_that_were_looked_at_are_where_the_masker_starts(reads):
    world = align.load("toy-vlcs", n=200, seed=0)["noon"]
    config = Config(method="align", masker_reads=reads, looked_at_masks=100)
    method, blank = start("align", world, config), start("align", world, Config(masker_reads=reads))
    other = world.images[100:140].float() / 255
    truth = world.masks[100:140]
    with torch.no_grad():
        fits = [dice(m.masker(other)[:, 0], truth).item() for m in (method, blank)]
    assert fits[0] < fits[1] - 0.08
    # The classifier begins as it would without; what was learned is what the pull holds to.
    assert torch.equal(method.classifier.linear.weight, blank.classifier.linear.weight)
    masks, pull = method.masks(other)
    torch.testing.assert_close(pull, torch.nn.functional.binary_cross_entropy(masks, masks))
    assert blank.masks(other)[1] is None
    again = start("align", world, config).masker(other)
    assert torch.equal(again, method.masker(other))
    elsewhere = start("align", world, replace(config, seed=1)).masker(other)
    assert not torch.equal(again, elsewhere)


@pytest.mark.parametrize("seed", [0, 1])
def test_only_so_many_masks_are_looked_at_and_the_seed_draws_them(seed):
    """Were the others' masks read, spoiling them would show."""
    world = align.load("toy-vlcs", n=64, seed=0)["noon"]
    config = Config(looked_at_masks=10, seed=seed)
    seen = torch.randperm(64, generator=torch.Generator().manual_seed(seed))[:10]
    spoilt = torch.rand_like(world.masks)
    spoilt[seen] = world.masks[seen]
    x = pictures()
    first, second = (
        start("align", one, config).masker(x) for one in (world, replace(world, masks=spoilt))
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize("augment", [False, True])
def test_masks_are_looked_at_as_they_are_where_nothing_is_augmented(augment, monkeypatch):
    world, shown = align.load("toy-vlcs", n=64, seed=0)["noon"], []
    monkeypatch.setattr(
        objectness, "teach", lambda masker, batches, loss, **_: shown.extend(batches.epoch(0))
    )
    start("align", world, Config(looked_at_masks=16, augment=augment))
    masks = torch.cat([batch.masks for batch in shown])
    as_drawn = [bool((mask == world.masks).all((1, 2)).any()) for mask in masks]
    assert len(masks) == 16 and all(as_drawn) is not augment


def test_more_masks_than_there_are_cannot_be_looked_at():
    world = align.load("toy-vlcs", n=64, seed=0)["noon"]
    for domain, count, has in (
        (world, 65, "64 images"),
        (replace(world, masks=None), 3, "no mask"),
    ):
        with pytest.raises(ValueError, match=f"looked_at_masks is {count} and .* has {has}"):
            start("align", domain, Config(looked_at_masks=count))
