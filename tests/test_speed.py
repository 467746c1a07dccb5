"""What the speed report measures: the right work, counted right. How fast it is, no test asks."""

import sys

import pandas as pd
import pytest
import torch

from align.methods import METHODS
from align.metrics import deletion_curve, insertion_curve
from alignbook import peers, speed, timing

CPU = torch.device("cpu")
SMALL = {"size": 32, "batch_size": 8, "device": "cpu"}


@pytest.fixture(scope="module")
def images():
    return timing.images(32, 24)


def align(images):
    return timing.ready({"method": "align", "alignment": "bce"}, "small-cnn", images, CPU)


def test_each_step_is_measured_beside_its_count():
    table = speed.step_times(steps=2, **SMALL)
    on_maps = ["align, on features", "align, on frozen features"]
    assert list(table.index) == [*METHODS, "align, L_reg", *on_maps]
    assert (table["ms"] > 0).all() and table.loc["erm", "ratio to erm"] == 1
    counts = {name: 1.0 for name in ("erm", "mixup", "irm", "groupdro", "guided")}
    counts |= {"sgt": 7 / 3, "dre": 2, "cgc": 2, "align": 7 / 3, "align, L_reg": 10 / 3}
    counts |= dict.fromkeys(on_maps, 7 / 3)
    assert {name: table.loc[name, "by forward passes"] for name in counts} == pytest.approx(counts)
    own = table["with its own parts"] > table["by forward passes"]
    assert set(own.index[own]) == {"align", "align, L_reg", *on_maps, "sgt"}
    assert len({speed.OWN.get(name, "masker") for name in on_maps} - {"masker"}) == 2


@pytest.mark.parametrize("name", speed.kinds_of_step())
def test_a_measured_step_asks_of_the_classifier_what_was_counted(name, images):
    method, changes, passes = speed.kinds_of_step()[name]
    step = timing.ready({"method": method, **changes}, "small-cnn", images, CPU)
    there, back = [], []

    def shown(_, given, features):
        there.append(len(given[0]))
        features.register_hook(lambda _: back.append(len(given[0])))

    step.classifier.trunk.register_forward_hook(shown)
    timing.step(step, timing.first_batch(images, 8, CPU))()
    assert sum(there) == 8 * passes.forward
    assert sum(back) == 8 * (passes.to_weights + passes.to_pixels)


def test_the_masker_alone_is_one_step_and_one_target(images):
    method = align(images)
    seen = []
    method.masker.register_forward_hook(lambda *_: seen.append(1))
    method.classifier.trunk.register_forward_hook(lambda *_: pytest.fail("a classifier's pass"))
    before = method.masker.paint.bias.clone()
    speed._masker_alone(method, timing.first_batch(images, 8, CPU))()
    assert len(seen) == 2
    assert not torch.equal(before, method.masker.paint.bias)


@pytest.mark.parametrize("changes", [speed.ON_FEATURES, speed.ON_FROZEN])
def test_on_feature_maps_the_masker_alone_makes_those_that_it_reads(changes, images):
    method = timing.ready({"method": "align", **changes}, "small-cnn", images, CPU)
    seen = []
    trunks = {"classifier": method.classifier.trunk, "copy": method.masker.trunk}
    for name, trunk in trunks.items():
        if trunk is not None:
            trunk[0].register_forward_hook(lambda *_, name=name: seen.append(name))
    speed._masker_alone(method, timing.first_batch(images, 8, CPU))()
    assert seen == 2 * ["copy" if changes == speed.ON_FROZEN else "classifier"]


@pytest.mark.parametrize("passes", [1, 6, 29])
def test_pure_inference_shows_as_many_pictures_in_batches_of_the_metrics(passes):
    seen = []
    pictures = torch.zeros(24, 3, 4, 4)
    speed._inference(lambda images: seen.append(len(images)), pictures, passes)()
    assert sum(seen) == 24 * passes
    assert max(seen) <= 32 and len(seen) == -(-24 * passes // 32)


@pytest.mark.parametrize("insertion", [True, False])
def test_the_rise_style_loop_computes_the_same_curve(insertion, images):
    model = align(images).classifier.eval()
    pictures, maps = images.images.float() / 255, torch.rand(24, 32, 32)
    curve = insertion_curve if insertion else deletion_curve
    theirs = peers.rise_curve(model, pictures, maps, insertion=insertion)
    ours = curve(model, pictures, maps)
    torch.testing.assert_close(torch.from_numpy(theirs), ours, rtol=1e-4, atol=1e-5)


def test_captums_step_has_our_loss_and_one_more_pass(images):
    pytest.importorskip("captum")
    method = align(images)
    other = peers.captum_align(method)
    method.classifier.eval()
    batch, seen = timing.first_batch(images, 8, CPU), []
    method.classifier.trunk.register_forward_hook(lambda *_: seen.append(1))
    ours, theirs = (m.loss(batch, 0, torch.Generator()) for m in (method, other))
    assert len(seen) == 3
    for name in ("ce", "alignment", "loss"):
        assert theirs[name].item() == pytest.approx(ours[name].item(), rel=1e-4)
    first = method.classifier.trunk[0].weight
    grounds = torch.autograd.grad(theirs["alignment"], first)[0]
    assert grounds.abs().max() > 0


def test_without_captum_its_row_says_so(monkeypatch, images):
    monkeypatch.setitem(sys.modules, "captum", None)
    monkeypatch.setattr(peers.importlib.util, "find_spec", lambda name: None)
    assert peers.captum_align(align(images)) is None
    for part in ("generator_rate", "step_times", "loop_times", "metric_times"):
        monkeypatch.setattr(speed, part, MADE_UP[part])
    monkeypatch.setattr(speed, "peer_times", lambda **_: {"jpeg": 2.0, "captum": None})
    text = dict(speed.report())["others' time over ours, the same work"]
    assert "captum is not installed: its step is left out" in text
    assert "2.00" in text


def _steps(**_):
    columns = ["ms", "ratio to erm", "with its own parts"]
    return pd.DataFrame(1.0, index=list(speed.kinds_of_step()), columns=columns)


MADE_UP = {
    "generator_rate": lambda: 1000.0,
    "step_times": _steps,
    "loop_times": lambda **_: {"erm": 1.0, "align": 1.0},
    "metric_times": lambda **_: pd.DataFrame({"of pure inference": {"insertion": 0.9}}),
}


def test_jpegs_give_whole_batches_without_end_and_leave_nothing(images, tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "WORKERS", 0)
    monkeypatch.setattr(peers.tempfile, "tempdir", str(tmp_path))
    with peers.jpegs(images, 8) as batches:
        shapes = {
            tuple(pictures.shape) for _, (pictures, _) in zip(range(7), batches, strict=False)
        }
        assert len(list(tmp_path.rglob("*.jpg"))) == 24
    assert shapes == {(8, 3, 32, 32)}
    assert not list(tmp_path.iterdir())


def test_loops_and_peers_are_measured_in_one_call():
    shares = speed.loop_times(rounds=1, **SMALL)
    assert set(shares) == {"erm", "align"} and min(shares.values()) > 0
    table = speed.metric_times(size=32, images=8, rounds=1, device="cpu")
    assert (table["of pure inference"] > 0).all()
    assert table["RISE-style time over ours"].notna().tolist() == [True, True, False, False, False]


def test_tasks_take_turns_and_the_first_rounds_do_not_count():
    told = []
    times = timing.in_turn({"a": lambda: told.append("a"), "b": lambda: told.append("b")}, 3, CPU)
    assert told == ["a", "b"] * 5
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}
    assert timing.ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == 3.0


def test_only_the_metrics_asked_for_are_timed():
    table = speed.metric_times(size=32, images=8, rounds=1, device="cpu", only=["reliance"])
    assert list(table.index) == ["reliance"] and table["of pure inference"].iloc[0] > 0
