"""Training: losses fall, phases keep to their networks, seeds and checkpoints reproduce."""

import dataclasses
import json
from dataclasses import asdict, replace

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from synthetic import untrained, weights

import align
from align import Config
from align.config import ALIGNMENTS, COMMON, LATER
from align.data.batches import Batch, Batches, mirror_and_shift
from align.methods import ERM, METHODS
from align.methods.align import keep_and_remove
from align.methods.mixing import same_class_partners
from align.training import start
from align.training.loop import EpochTerms

ONCE = {"alignment": "energy", "rounds": 1}
TINY = Config(epochs=4, batch_size=32, warmup=1, head_start=1, irm_anneal=1, **ONCE)


@pytest.mark.parametrize("method", ["erm", "guided", "align"])
def test_the_loss_falls_and_the_same_seed_gives_the_same_weights(method, domain):
    config = replace(TINY, method=method)
    first, again = (
        align.train(config.method, domain, config=config, progress=False) for _ in range(2)
    )
    assert torch.equal(weights(first.classifier), weights(again.classifier))
    other = align.train(method, domain, config=config, seed=1, progress=False)
    assert not torch.equal(weights(first.classifier), weights(other.classifier))
    assert (
        first.history[-1]["ce"] < first.history[0]["ce"]
        if method != "erm"
        else (first.history[-1]["loss"] < first.history[0]["loss"])
    )
    assert (first.masker is not None) == (method == "align")
    assert not first.classifier.training
    assert first.images == 4 * 160


def test_the_seed_fixes_the_first_weights_of_both_networks(domain):
    runs = [start("align", domain, Config(seed=seed)) for seed in (0, 0, 1)]
    for name in ("classifier", "masker"):
        first, again, other = (weights(getattr(run, name)) for run in runs)
        assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(
    ("method", "anneal"), [*((name, 1) for name in METHODS), ("irm", 2), ("irm", 3)]
)
def test_a_resumed_run_equals_an_uninterrupted_one(method, anneal, joined, tmp_path, monkeypatch):
    """IRM's optimiser starts anew before, at or after the break."""
    config = replace(TINY, method=method, irm_anneal=anneal)
    straight = align.train(config.method, joined, config=config, progress=False)
    epochs = iter([None, None])
    original = align.training.loop.train_epoch

    def breaks_after_two(*arguments):
        if next(epochs, "stop") == "stop":
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(align.training.loop, "train_epoch", breaks_after_two)
    with pytest.raises(KeyboardInterrupt):
        align.train(config.method, joined, config=config, checkpoint=tmp_path, progress=False)
    monkeypatch.setattr(align.training.loop, "train_epoch", original)
    resumed = align.train(config.method, joined, config=config, checkpoint=tmp_path, progress=False)
    assert torch.equal(weights(straight.classifier), weights(resumed.classifier))
    if METHODS[method].learns_masks:
        assert torch.equal(weights(straight.masker), weights(resumed.masker))
    assert [row["epoch"] for row in resumed.history] == [0, 1, 2, 3]
    assert resumed.images == straight.images
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_checkpoint_from_before_a_value_was_added_resumes(domain, tmp_path, monkeypatch):
    config = replace(TINY, method="erm", epochs=1)
    whole = align.Run.notes

    def older(run):
        notes = whole(run)
        del notes["config"]["groupdro_eta"]
        return notes

    monkeypatch.setattr(align.Run, "notes", older)
    for _ in range(2):
        run = align.train("erm", domain, config=config, checkpoint=tmp_path, progress=False)
    assert len(run.history) == 1 and run.images == 160
    assert run.seconds == whole(run)["seconds"] > 0


def test_a_run_from_before_there_were_rounds_had_one(domain, tmp_path):
    run = align.train("align", domain, config=TINY, progress=False)
    run.save(tmp_path)
    saved = json.loads((tmp_path / "run.json").read_text())
    assert saved["config"].pop("rounds") == 1
    (tmp_path / "run.json").write_text(json.dumps(saved))
    assert align.Run.load(tmp_path).config == run.config


def test_a_checkpoint_of_another_run_is_refused(domain, tmp_path):
    config = replace(TINY, method="erm", epochs=1)
    align.train(config.method, domain, config=config, checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match=r"checkpoint of another run \(differs in lr, seed\)"):
        align.train(
            "erm",
            domain,
            config=replace(config, lr=1.0),
            seed=3,
            checkpoint=tmp_path,
            progress=False,
        )


def test_a_benchmark_and_a_source_name_the_training_images(domain):
    benchmark = align.load("toy-vlcs", n=160, size=32)
    config = replace(TINY, epochs=1)
    named = align.train("erm", benchmark, "noon", config=config, seed=4, progress=False)
    given = align.train("erm", domain, config=replace(config, seed=4), progress=False)
    assert torch.equal(weights(named.classifier), weights(given.classifier))
    assert (named.config.method, named.config.seed) == ("erm", 4)
    with pytest.raises(ValueError, match="no source given: name the domain .* one of noon, dusk"):
        align.train("erm", benchmark, config=config)
    with pytest.raises(ValueError, match="source is 'dusk' and the data are domain 'noon' alone"):
        align.train("erm", domain, "dusk", config=config)


def test_a_run_too_short_for_guidance_warns(domain):
    with pytest.warns(UserWarning, match="ends after 2 epochs and guidance would begin after 2"):
        align.train("align", domain, config=replace(TINY, epochs=2), progress=False)
    with pytest.warns(UserWarning, match="ends after 1 epochs and IRM's penalty .* after 1"):
        align.train("irm", domain, config=replace(TINY, epochs=1), progress=False)


def test_a_run_that_goes_bad_stops_with_term_and_step(domain, tmp_path):
    spoilt = replace(TINY, method="align", lr=1e30)
    with pytest.raises(FloatingPointError, match=r"'\w+' is no longer .* epoch 0, step [1-4]"):
        align.train("align", domain, config=spoilt, checkpoint=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_the_guard_names_the_first_bad_step_of_each_term_and_the_mean_is_a_mean():
    terms = EpochTerms(epoch=3, steps=4)
    terms.add({"ce": torch.tensor(1.0)})
    terms.add({"ce": torch.tensor(2.0), "mask": torch.tensor(6.0)})
    assert terms.means() == {"ce": 1.5, "mask": 6.0}  # the mask has a value in one step only
    with pytest.raises(FloatingPointError, match="'mask' is no longer .* epoch 3, step 2"):
        terms.add({"ce": torch.tensor(2.0), "mask": torch.tensor(float("inf"))})


@pytest.mark.parametrize("method", METHODS)
def test_a_configuration_knows_what_its_method_reads(method, domain):
    """Two runs that agree on `read()` are the same run: the other values are never looked at."""
    reads = {*METHODS[method].reads}
    later = {*LATER} & {*reads, *COMMON}  # named only where they differ from the default
    assert reads - later <= set(Config(method=method).used())
    seen = set()

    class Watched(Config):
        def __getattribute__(self, name):
            seen.add(name)
            return super().__getattribute__(name)

    # Both kinds of alignment, so that all that belongs to one of them is looked at.
    both = {"alignment": "swap+energy"} if "alignment" in reads else {}
    config = Watched(**asdict(TINY) | {"method": method, "epochs": 1, "warmup": 0} | both)
    seen.clear()
    start(method, domain, config).update(
        next(Batches(domain, 32).epoch(0)), config.epochs, torch.Generator()
    )
    fields = {field.name for field in dataclasses.fields(Config)}
    used = seen & fields
    # The weight of the pull to a start counts only where there is a start.
    assert reads - {"start_weight"} <= used <= {*config.used()} | later
    other = replace(config, lambda1=9.0)
    assert (config.hash() == other.hash()) == ("lambda1" not in reads)


def test_a_choice_that_came_later_leaves_the_keys_of_older_runs():
    """The hashes below stand in records that were made before these choices existed."""
    recorded = {"erm": "1b6a0afda8ed", "guided": "9af20118a168", "align": "2bbc981f6626"}
    hashes = {method: Config(method=method, **ONCE).hash() for method in recorded}
    assert hashes == recorded
    reads = {"masker_reads": "pretrained"}
    swap = {"swap_weight": 2.0, "swap_background": "blur", "swap_loss": "consistency"}
    changed = {"second_order": False, "balanced": True} | swap
    masker = {"masker_steps": 2.0, "mask_stride": 4, "mask_level": 0.2, "start_weight": 2.0}
    changed |= masker | reads | {"masker_start": "objectness", "looked_at_masks": 30, "hold": 1}
    changed |= {"judge_epochs": 1, "rounds": 2}
    assert set(changed) == set(LATER)
    needs = {"hold": {"looked_at_masks": 3}}
    alone = ({name: value} | needs.get(name, reads) for name, value in changed.items())
    hashes = {Config(**ONCE | choices).hash() for choices in alone}
    assert len(hashes - set(recorded.values())) == len(changed)
    guided = replace(Config(method="guided", **ONCE), **changed)
    named = guided.used().keys() - Config(method="guided").used().keys()
    assert named == {"second_order", "balanced", *swap}


def test_a_loaded_run_needs_no_pretrained_weights_and_keeps_its_choices(domain, tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(torchvision.models.resnet18().state_dict(), path)
    config = Config(method="erm", backbone="resnet18", weights=str(path))
    untrained(config, domain).save(tmp_path)
    path.unlink()
    found = align.Run.load(tmp_path)
    assert found.config == config and found.classifier.freeze_batchnorm
    assert not found.classifier.training
    with pytest.raises(FileNotFoundError, match="no run in .* make one with"):
        align.Run.load(tmp_path / "absent")


def test_each_epoch_and_each_seed_draws_random_numbers_of_its_own(domain, monkeypatch):
    drawn = []
    original = ERM.loss

    def watched(method, batch, epoch, generator):
        drawn.append(torch.rand(1, generator=generator).item())
        return original(method, batch, epoch, generator)

    monkeypatch.setattr(ERM, "loss", watched)
    for seed in (0, 1, 0):
        config = replace(TINY, batch_size=160, epochs=3)
        align.train("erm", domain, config=config, seed=seed, progress=False)
    assert len(set(drawn)) == 6 and drawn[:3] == drawn[6:]


def test_what_all_methods_read_is_all_that_plain_training_reads():
    common = "method backbone weights output_stride epochs batch_size lr weight_decay augment seed"
    assert set(Config(method="erm").used()) == set(common.split()) == set(COMMON) - {"balanced"}
    assert "balanced" in Config(method="erm", balanced=True).used()
    read = set(COMMON).union(*(kind.reads for kind in METHODS.values()))
    assert read == {field.name for field in dataclasses.fields(Config)}


def test_a_method_is_told_of_each_epoch_before_its_first_step(domain, monkeypatch):
    told = []
    monkeypatch.setattr(ERM, "begin", lambda _, epoch: told.append(epoch))
    original = ERM.loss
    monkeypatch.setattr(ERM, "loss", lambda *given: told.append("step") or original(*given))
    align.train("erm", domain, config=replace(TINY, batch_size=80, epochs=2), progress=False)
    assert told == [0, "step", "step", 1, "step", "step"]


def test_training_leaves_the_callers_random_numbers_alone(domain):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    align.train("align", domain, config=replace(TINY, epochs=3), progress=False)
    assert torch.equal(torch.rand(3), expected)


def test_training_leaves_the_processors_handling_of_tiny_numbers_alone(domain):
    tiny = torch.tensor(2.0**-1060, dtype=torch.float64)
    assert tiny * 1.0 > 0
    align.train("erm", domain, config=replace(TINY, epochs=1), progress=False)
    assert tiny * 1.0 > 0
    with align.training.loop.flushed_denormals():
        assert tiny * 1.0 == 0
        with align.training.loop.flushed_denormals():
            pass
        assert tiny * 1.0 == 0


def test_each_phase_of_align_moves_the_networks_it_should(domain):
    config = replace(TINY, method="align")
    method = start(config.method, domain, config)
    batch = next(Batches(domain, 32).epoch(0))
    generator = torch.Generator().manual_seed(0)
    moved = {}
    for epoch, phase in ((0, "warm-up"), (1, "head start"), (2, "joint")):
        f, m = weights(method.classifier), weights(method.masker)
        statistics = method.classifier.trunk[1].running_mean.clone()
        terms = method.update(batch, epoch, generator)
        moved[phase] = (
            not torch.equal(f, weights(method.classifier)),
            not torch.equal(m, weights(method.masker)),
            not torch.equal(statistics, method.classifier.trunk[1].running_mean),
            "alignment" in terms,
        )
    assert moved == {
        "warm-up": (True, False, True, False),
        "head start": (True, True, True, False),
        "joint": (True, True, True, True),
    }
    assert all(p.requires_grad for p in method.classifier.parameters())


def test_a_step_of_the_masker_leaves_the_classifier_with_all_its_statistics(domain):
    method = start("align", domain, TINY)
    before = {name: value.clone() for name, value in method.classifier.state_dict().items()}
    method.update_masker(next(Batches(domain, 32).epoch(0)), torch.Generator().manual_seed(0))
    after = method.classifier.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert method.classifier.training


def test_the_learning_rate_falls_along_half_a_cosine(domain):
    method = start("erm", domain, replace(TINY, lr=0.1))
    for progress, rate in ((0, 0.1), (1 / 3, 0.075), (0.5, 0.05), (1, 0)):
        method.set_progress(progress)
        assert method.optimizer.param_groups[0]["lr"] == pytest.approx(rate)


@pytest.mark.parametrize(
    ("ratio", "steps"),
    [
        (0.25, [1, 0, 0, 0, 1, 0]),
        (0.5, [1, 0, 1, 0, 1, 0]),
        (1.0, [1, 1, 1, 1, 1, 1]),
        (1.5, [2, 1, 2, 1, 2, 1]),
        (2.0, [2, 2, 2, 2, 2, 2]),
        (0.01, [1, 0, 0, 0, 0, 0]),
    ],
)
def test_the_masker_makes_its_share_of_steps_and_each_epoch_counts_anew(ratio, steps, domain):
    method = start("align", domain, replace(TINY, masker_steps=ratio))
    batch = next(Batches(domain, 32).epoch(0))
    generator = torch.Generator().manual_seed(0)
    for epoch in (1, 2):
        method.begin(epoch)
        made = []
        for _ in range(5):
            before = int(method.masker_optimizer.state[method.masker.paint.bias].get("step", 0))
            masker, classifier = weights(method.masker), weights(method.classifier)
            terms = method.update(batch, epoch, generator)
            made.append(
                int(method.masker_optimizer.state[method.masker.paint.bias]["step"]) - before
            )
            assert (not torch.equal(masker, weights(method.masker))) == (made[-1] > 0)
            assert ("mask" in terms) == (made[-1] > 0)
            assert not torch.equal(classifier, weights(method.classifier))
        assert made == steps[:5]


def test_the_warm_up_has_no_masker_steps_however_many_are_asked_for(domain):
    method = start("align", domain, replace(TINY, masker_steps=4.0))
    batch = next(Batches(domain, 32).epoch(0))
    assert "mask" not in method.update(batch, 0, torch.Generator())


def test_the_masker_of_a_run_has_the_resolution_asked_for(domain, tmp_path):
    config = replace(TINY, method="align", epochs=3, mask_stride=8)
    run = align.train("align", domain, config=config, progress=False)
    run.save(tmp_path)
    assert run.masker.stride == align.training.Run.load(tmp_path).masker.stride == 8


@pytest.mark.parametrize("form", ALIGNMENTS)
def test_guidance_moves_evidence_into_the_mask(form, domain):
    """With alignment alone, a few steps on one batch must lower the alignment loss."""
    config = replace(TINY, method="guided", alignment=form, warmup=0, lambda3=5.0)
    method = start(config.method, domain, config)
    batch = next(Batches(domain, 32, augment=False).epoch(0))
    generator = torch.Generator()
    term = "swap" if form == "swap" else "alignment"
    values = [method.update(batch, 0, generator)[term].item() for _ in range(15)]
    assert values[-1] < 0.9 * values[0]


def test_guidance_without_masks_says_what_to_do(domain):
    bare = replace(domain, masks=None)
    with pytest.raises(ValueError, match="'guided' needs masks .* use method 'align'"):
        align.train("guided", bare, config=TINY, progress=False)


@pytest.mark.parametrize("seed", range(5))
def test_partners_for_mixup_are_a_permutation_within_classes(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(4, (23,), generator=generator)
    labels[0] = 4  # alone in its class
    partners = same_class_partners(labels, generator)
    assert sorted(partners.tolist()) == list(range(23))
    assert torch.equal(labels[partners], labels)
    counts = torch.bincount(labels)[labels]
    assert torch.equal(partners == torch.arange(23), counts == 1)


def test_the_regulariser_enters_with_its_weight_and_teaches_the_classifier(domain):
    method = start("align", domain, replace(TINY, lambda4=3.0))
    batch = next(Batches(domain, 32, augment=False).epoch(0))
    method.classifier.eval()
    generator = torch.Generator().manual_seed(0)
    terms = method.loss(batch, 0, generator)
    assert terms["loss"].item() == pytest.approx((terms["ce"] + 3 * terms["mixup"]).item())
    values = [method.loss(batch, 0, torch.Generator().manual_seed(0))["mixup"].item()]
    for _ in range(15):
        method.update(batch, 0, torch.Generator().manual_seed(0))
    values.append(method.loss(batch, 0, torch.Generator().manual_seed(0))["mixup"].item())
    assert values[1] < values[0]


def test_kept_and_removed_parts_add_up():
    torch.manual_seed(0)
    images, masks, filling = torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4), torch.rand(2, 3, 4, 4)
    kept, removed = keep_and_remove(images, masks, filling)
    torch.testing.assert_close(kept, masks * images + (1 - masks) * filling)
    torch.testing.assert_close(kept + removed, images + filling)
    whole, nothing = keep_and_remove(images, torch.ones(2, 1, 4, 4), torch.zeros(3, 1, 1))
    assert torch.equal(whole, images)
    assert (nothing == 0).all()


def test_an_epoch_shows_every_image_once_and_no_epoch_repeats_another(domain):
    batches = Batches(domain, 32, seed=3, augment=False)
    epochs = []
    for number in (0, 1, 0):
        images = torch.cat([b.images for b in batches.epoch(number)])
        epochs.append(images)
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    other = torch.cat([b.images for b in Batches(domain, 32, seed=4, augment=False).epoch(0)])
    assert not torch.equal(epochs[0], other)
    key = epochs[0].flatten(1).double() @ torch.arange(3 * 32 * 32, dtype=torch.float64)
    whole = (
        domain.images.float().div(255).flatten(1).double() @ torch.arange(3 * 32 * 32.0).double()
    )
    torch.testing.assert_close(key.sort().values, whole.sort().values)


def test_augmentation_moves_masks_with_images_and_mirrors_half():
    n, side = 400, 16
    images = torch.zeros(n, 3, side, side)
    images[:, :, 5:9, 2:5] = 1
    moved, masks = mirror_and_shift(images, images[:, 0], torch.Generator().manual_seed(0))
    assert torch.equal(moved[:, 0], masks)
    column = (masks.sum(1) * torch.arange(side)).sum(1) / masks.sum((1, 2))
    mirrored = (column > 7.5).float().mean().item()
    assert mirrored == pytest.approx(0.5, abs=4 * 0.5 / n**0.5)  # binomial, 4 standard deviations
    row = (masks.sum(2) * torch.arange(side)).sum(1) / masks.sum((1, 2)) - 6.5
    assert sorted(set(row.tolist())) == [-2, -1, 0, 1, 2]


def test_a_shift_repeats_the_edge():
    images = torch.arange(4.0).view(1, 1, 1, 4).expand(50, 3, 4, 4).contiguous()
    moved, none = mirror_and_shift(images, None, torch.Generator().manual_seed(1), reach=0.5)
    assert none is None
    rows = {tuple(r.tolist()) for r in moved[:, 0, 0]}
    assert (0.0, 0.0, 1.0, 2.0) in rows
    assert (0.0, 0.0, 0.0, 1.0) in rows


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "sgd"}, "method is 'sgd', expected one of erm"),
        ({"alignment": "dice"}, "alignment is 'dice', expected one of energy, bce, l1"),
        ({"fill": "grey"}, "fill is 'grey'"),
        ({"epochs": 0}, "epochs is 0, expected at least 1"),
        ({"lr": -1.0}, "lr is -1.0, expected a number that is not negative"),
        ({"lambda3": float("nan")}, "lambda3 is nan"),
        ({"mixup_concentration": 0.0}, "mixup_concentration is 0.0, expected a number above 0"),
        ({"cgc_temperature": 0.0}, "cgc_temperature is 0.0, expected a number above 0"),
        ({"sgt_share": 1.5}, "sgt_share is 1.5, expected a share between 0 and 1"),
        ({"masker_steps": 0.0}, "masker_steps is 0.0, expected a number above 0"),
        ({"masker_steps": -1.0}, "masker_steps is -1.0, expected a number that is not negative"),
        (
            {"hold": 1},
            "hold is 1 and the masker has no start to be held at, expected 0; or give it",
        ),
        ({"mask_stride": 3}, "mask_stride is 3, expected one of 2, 4, 8, 16, 32"),
        (
            {"alignment": "rrr", "second_order": False},
            "second_order is False with alignment 'rrr', expected True",
        ),
    ],
)
def test_bad_configurations_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes)


def test_too_few_images_or_classes_are_refused(domain):
    few = domain.subset(torch.arange(10))
    with pytest.raises(ValueError, match="batch_size is 32 and domain 'noon' has 10 images"):
        align.train("erm", few, config=TINY, progress=False)
    only = torch.nonzero(domain.labels == 0)[:, 0]
    single = replace(domain.subset(only), classes=("bird",))
    with pytest.raises(ValueError, match="num_classes is 1, expected a whole number, at least 2"):
        align.train("erm", single, config=TINY, progress=False)


def test_a_batch_is_floats_between_0_and_1(domain):
    batch = next(Batches(domain, 8).epoch(0))
    assert isinstance(batch, Batch)
    assert batch.images.dtype == torch.float32
    assert 0 <= batch.images.min() <= batch.images.max() <= 1
    assert batch.images.max() > 0.5
