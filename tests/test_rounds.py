"""A second round: the classifier begins anew, guided by the masker of the first."""

import itertools
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from synthetic import weights

import align
from align import Config
from align.data.batches import Batches
from align.methods.align import Align
from align.training import start
from alignbook.campaign.recipes import DEFAULT

TWICE = Config(epochs=3, batch_size=32, warmup=1, head_start=1, alignment="swap+energy")
ONCE = replace(TWICE, rounds=1)


@pytest.fixture(scope="module")
def runs(domain):
    """The first round, and the run of two rounds."""
    first = replace(ONCE, alignment="energy")
    return [align.train("align", domain, config=one, progress=False) for one in (first, TWICE)]


def test_the_masker_is_that_of_the_first_round_and_the_classifier_another(runs):
    once, twice = runs
    assert torch.equal(weights(twice.masker), weights(once.masker))
    assert not torch.equal(weights(twice.classifier), weights(once.classifier))


def test_only_the_first_round_waits_and_only_there_the_masker_learns(runs):
    once, twice = runs
    assert ["alignment" in row for row in once.history] == [False, False, True]
    assert ["mask" in row for row in once.history] == [False, True, True]
    for row in twice.history:
        assert {"alignment", "swap"} <= row.keys() and "mask" not in row


@pytest.mark.parametrize("form", ["energy", "bce", "swap"])
def test_the_first_round_exchanges_nothing_and_keeps_a_form_of_evidence(form, domain):
    first = "energy" if form == "swap" else form
    once, twice = (
        align.train("align", domain, config=replace(config, alignment=name), progress=False)
        for config, name in ((ONCE, first), (TWICE, form))
    )
    assert torch.equal(weights(once.masker), weights(twice.masker))
    assert ("swap" in twice.history[0]) == (form == "swap")


def test_every_round_counts_as_images_and_as_time(runs, domain, monkeypatch):
    once, twice = runs
    assert twice.images == 2 * once.images
    assert [row["epoch"] for row in twice.history] == [0, 1, 2]
    ticks = itertools.count()  # a clock by which each epoch takes a second
    monkeypatch.setattr(align.training.loop.time, "perf_counter", lambda: next(ticks))
    again = align.train("align", domain, config=TWICE, progress=False)
    assert again.seconds == 2 * ONCE.epochs


def test_the_classifier_begins_with_the_seeds_first_weights(runs, domain):
    once, twice = runs
    again = start("align", domain, TWICE, masker=once.masker)
    assert torch.equal(weights(again.classifier), weights(start("align", domain, ONCE).classifier))
    batches = Batches(domain, TWICE.batch_size, TWICE.seed, TWICE.augment)
    for epoch in range(TWICE.epochs):
        align.training.train_epoch(again, batches, epoch)
    assert torch.equal(weights(again.classifier), weights(twice.classifier))


@pytest.mark.parametrize("rounds_whole", [1, 0])
def test_a_run_broken_off_in_either_round_goes_on_to_the_same_end(
    rounds_whole, runs, domain, tmp_path, monkeypatch
):
    class BrokenError(Exception):
        pass

    steps, write = [], align.training.loop.checkpoints.write

    def breaking(path, *rest):
        write(path, *rest)
        steps.append(path.parent)
        if len(steps) == 3 * rounds_whole + 2:
            raise BrokenError

    monkeypatch.setattr(align.training.loop.checkpoints, "write", breaking)
    options = {"config": TWICE, "checkpoint": tmp_path, "progress": False}
    with pytest.raises(BrokenError):
        align.train("align", domain, **options)
    resumed = align.train("align", domain, **options)
    _, twice = runs
    assert len(steps) == 2 * 3  # no epoch was trained twice
    assert {path.name for path in steps} == {"round-1", tmp_path.name}
    assert torch.equal(weights(resumed.classifier), weights(twice.classifier))
    assert resumed.images == twice.images


def test_a_masker_of_frozen_maps_has_rounds_too(domain):
    config = replace(TWICE, masker_reads="pretrained", looked_at_masks=8, alignment="energy")
    once, twice = (
        align.train("align", domain, config=replace(config, rounds=n), progress=False)
        for n in (1, 2)
    )
    assert torch.equal(weights(once.masker.decoder), weights(twice.masker.decoder))
    images = domain.images[:4].float().div(255)
    with torch.no_grad():
        assert torch.equal(once.masker(images), twice.masker(images))


def test_a_run_of_two_rounds_is_saved_and_read_as_any_other(runs, tmp_path):
    runs[1].save(tmp_path)
    found = align.Run.load(tmp_path)
    assert found.config == TWICE
    assert torch.equal(weights(found.classifier), weights(runs[1].classifier))


@pytest.mark.parametrize(
    "changes",
    [
        {"masker_reads": "pretrained", "looked_at_masks": 8, "masker_lr": 0.0},
        {"warmup": 3},  # the run ends before the masker learns
    ],
)
def test_a_masker_that_never_learns_has_one_round(changes, domain):
    once, twice = (replace(TWICE, rounds=n, **changes) for n in (1, 2))
    assert once.hash() == twice.hash() and not twice.has_second_round
    short = (
        pytest.warns(UserWarning, match="guidance would begin after")
        if "warmup" in changes
        else nullcontext()
    )
    with short:
        found = align.train("align", domain, config=twice, progress=False)
    assert found.images == 3 * len(Batches(domain, 32)) * 32
    assert ["swap" in row for row in found.history] == [False, False, "warmup" not in changes]


def test_evidence_is_aligned_after_the_warm_up_where_a_trained_network_has_a_new_head():
    for form in ("energy", "bce", "swap+energy"):
        assert replace(TWICE, alignment=form, weights="file").joint_from == 2
        assert replace(TWICE, alignment=form).joint_from == 0
    assert replace(TWICE, alignment="swap", weights="file").joint_from == 0


def test_a_method_of_ones_own_that_reads_no_rounds_has_one(domain):
    class Once(Align):
        reads = tuple(name for name in Align.reads if name != "rounds")

    once, twice = (replace(TWICE, method=Once, rounds=n) for n in (1, 2))
    assert once.hash() == twice.hash() and not twice.has_second_round


def test_another_run_in_the_folder_is_refused_before_a_first_round(domain, tmp_path, monkeypatch):
    align.train("align", domain, config=TWICE, checkpoint=tmp_path, progress=False)
    monkeypatch.setattr(align.training.loop, "train_epoch", None)  # nothing may be trained
    with pytest.raises(ValueError, match=r"another run \(differs in lr\)"):
        align.train("align", domain, config=replace(TWICE, lr=1.0), checkpoint=tmp_path)


def test_the_default_is_the_swap_in_two_rounds_as_the_grids_name_it():
    assert {name: getattr(Config(), name) for name in DEFAULT} == DEFAULT
    assert DEFAULT == {"alignment": "swap", "rounds": 2}


def test_methods_that_learn_no_masks_have_one_round(domain):
    for method in ("erm", "guided"):
        config = replace(TWICE, method=method)
        assert config.hash() == replace(ONCE, method=method).hash()
        one, two = (
            align.train(method, domain, config=given, progress=False)
            for given in (replace(ONCE, method=method), config)
        )
        assert one.history == two.history and one.images == two.images


def test_rounds_that_cannot_be_are_refused():
    for count in (0, 3):
        with pytest.raises(ValueError, match=f"rounds is {count}, expected 1 or 2"):
            Config(rounds=count)
    with pytest.raises(ValueError, match="rounds is 2 and masker_reads is 'classifier', expected"):
        Config(rounds=2, masker_reads="classifier")
    assert Config(method="erm", masker_reads="classifier").rounds == 2
