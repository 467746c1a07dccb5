"""Bad input: every public function takes what it says it takes, and refuses the rest in words.

The first part gives every argument of every public function things that it is not. The second is
the list of what a course of two hundred students feeds a library.
"""

from __future__ import annotations

import inspect
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from synthetic import BARE, untrained

import align
from align import files, losses, metrics, records, saliency
from align.data import Benchmark, Domain, batches, cache
from align.data.boxes import box_mask
from align.data.decoding import open_rgb
from align.data.duplicates import near_duplicates
from align.data.folders import load_folder, load_terra, load_vlcs
from align.data.mask_sources import brightness, mask_source
from align.data.masks import corrupt
from align.experiment import Experiment
from align.networks import weights
from align.theory import alignment, gap, information, masker
from align.training import checkpoint, loop
from alignbook.campaign import rerun, runner, statistics
from alignbook.getting.manifest import Manifest
from alignbook.worlds.composite import load_composite
from alignbook.worlds.toy import load_toy

TINY = align.Config(method="erm", epochs=1, batch_size=4)
CLASSIFIER = align.Classifier("small-cnn", 3).eval()
IMAGES = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
MASKS = torch.zeros(4, 16, 16)
MASKS[:, 4:9, 4:9] = 1
MAPS = torch.rand(4, 4, 4, generator=torch.Generator().manual_seed(1))
LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
JOINT = np.full((2, 2, 2), 1 / 8)

GOOD: dict[str, Any] = {
    "classifier": CLASSIFIER,
    "images": IMAGES,
    "saliency": MAPS,
    "maps": MAPS,
    "labels": torch.tensor([0, 1, 2, 0]),
    "masks": MASKS,
    "correct": torch.tensor([True] * 4),
    "classes": ["a", "b", "c"],
    "threshold": 0.5,
    "marked": MASKS > 0,
    "counts": torch.tensor([1, 2, 3, 4]),
    "curve": torch.rand(4, 5),
    "empty": torch.full((4,), 0.1),
    "whole": torch.full((4,), 0.9),
    "count": 2,
    "height": 8,
    "width": 8,
    "kept": LOGITS,
    "removed": LOGITS,
    "logits": LOGITS,
    "low": 0.1,
    "high": 0.3,
    "evidence": MAPS,
    "features": torch.rand(4, 6, 2, 2),
    "weight": torch.rand(3, 6),
    "head": lambda features: features.mean((2, 3))[:, :3],
    "mixed": MAPS,
    "first": MAPS,
    "second": MAPS,
    "share": torch.rand(4),
    "cells": (2, 2),
    "missed": 0.1,
    "leaked": 0.1,
    "generator": torch.Generator(),
}
WATCHED = IMAGES.clone().requires_grad_()
OTHER: dict[Callable, dict[str, Any]] = {
    losses.alignment_bce: {"masks": MAPS},
    losses.alignment_l1: {"masks": MAPS},
    losses.alignment_energy: {"evidence": torch.rand(4, 3, 4, 4), "masks": MAPS},
    losses.alignment_rrr: {"gradients": IMAGES},
    saliency.input_gradient: {"images": WATCHED, "outputs": WATCHED.square().sum((1, 2, 3))},
    metrics.group_accuracies: {"groups": torch.tensor([0, 1, 1, 0]), "names": ["a", "b"]},
    statistics.interval: {"values": [1.0, 2.0]},
    statistics.paired: {"first": [1.0, 2.0], "second": [2.0, 2.5]},
    alignment.pooled_logits: {"weight": np.ones((3, 6)), "bias": np.ones(3)},
    alignment.contrastive_evidence: {"weight": np.ones((3, 6))},
    gap.best_coupling: {"joint_source": JOINT, "joint_target": JOINT, "distance": 1 - np.eye(2)},
    gap.mse_gap: {"prediction_source": [0.5], "prediction_target": [0.2], "label": [1.0]},
    information.bit_world: {"agreement": [0.8, 0.7]},
    information.bayes_risk: {"joint": JOINT, "features": [True, False]},
    masker.evidence: {"weights": [1.0, 2.0], "means": [0.5, 0.1]},
}
DOMAIN = align.load("toy-vlcs", n=10, size=16)["noon"]
FACES = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
OTHER |= {
    align.load: {"name": "toy-vlcs"},
    align.data.join: {"domains": [DOMAIN, DOMAIN]},
    align.evaluate: {"run_or_classifier": align.Classifier("small-cnn", 5), "domain": DOMAIN},
    mask_source: {"name": "gray", "domain": DOMAIN},
    brightness: {"images": FACES},
    near_duplicates: {"images": FACES},
    box_mask: {"boxes": [(0.1, 0.2, 0.3, 0.4)], "size": 8},
    load_composite: {
        "size": 16,
        "foregrounds": [DOMAIN, replace(DOMAIN, name="other")],
        "backgrounds": [DOMAIN, DOMAIN],
    },
    Domain: {
        "name": "d",
        "images": FACES,
        "labels": torch.zeros(4, dtype=torch.int64),
        "classes": ("a",),
    },
    Benchmark: {"name": "b", "classes": ("a",), "loaders": {}},
    batches.Batches: {"domain": DOMAIN, "batch_size": 4},
    DOMAIN.subset: {"indices": torch.tensor([1, 2])},
    DOMAIN.split: {"fraction": 0.5},
    load_folder: {},
    load_vlcs: {},
    load_terra: {},
    load_toy: {"name": "toy-vlcs"},
    align.Config: {},
    align.Classifier: {"backbone": "small-cnn", "num_classes": 3},
    align.Masker: {"width": 8},
    align.train: {
        "method": "erm",
        "benchmark": DOMAIN,
        "config": align.Config(epochs=1, batch_size=8),
        "device": "cpu",
        "progress": False,
    },
    Experiment: {"benchmark": "toy-vlcs", "source": "noon", "config": align.Config()},
}
READERS = (load_folder, load_vlcs, load_terra)
FUNCTIONS = [
    *(getattr(metrics, name) for name in metrics.__all__),
    *(
        function
        for module in (losses, saliency)
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and not name.startswith("_")
        and function.__module__ == module.__name__
    ),
    *(function for function in OTHER if function.__module__ not in ("align.losses",)),
    corrupt,
    batches.mirror_and_shift,
]
FUNCTIONS = [f for f in dict.fromkeys(FUNCTIONS) if not isinstance(f, type(align))]

BAD: dict[str, Any] = {
    "None": None,
    "a list": [1, "two"],
    "a text": "x",
    "a number": 3,
    "a negative number": -1.5,
    "not a number": float("nan"),
    "classes": torch.zeros(4, dtype=torch.int64),
    "a scalar": torch.tensor(1.0),
    "no images": torch.zeros(0, 3, 16, 16),
    "NaN images": torch.full((4, 3, 16, 16), float("nan")),
    "NaN maps": torch.full((4, 16, 16), float("nan")),
    "images not divided by 255": torch.full((4, 3, 16, 16), 200.0),
    "grey images": torch.rand(4, 1, 16, 16),
    "complex images": torch.zeros(4, 3, 16, 16, dtype=torch.complex64),
    "true and false": torch.zeros(4, 3, 16, 16, dtype=torch.bool),
    "an array": np.zeros((4, 3, 16, 16), np.float32),
}
WORDS = ("expected", "needs at least", "pair them by seed", "must", "leave out", "choose a")


def arguments(function: Callable) -> tuple[dict[str, Any], list[str]]:
    parameters = inspect.signature(function).parameters
    good = GOOD | OTHER.get(function, {})
    required = {
        n for n, p in parameters.items() if p.default is p.empty and p.kind != p.VAR_KEYWORD
    }
    needed = {n: good[n] for n in parameters if n in required or n in OTHER.get(function, {})}
    return needed, list(parameters)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A tree that is read as a folder, and as a small part of VLCS and of Terra Incognita."""
    root = tmp_path_factory.mktemp("photographs") / "data"
    for place in ("SUN09/bird", "SUN09/car", "location_38/bird"):
        save(root / place / "a.png", Image.new("RGB", (4, 4)))
    return root


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f"{f.__module__}.{f.__name__}")
def test_an_argument_is_taken_or_refused_in_words(
    function: Callable, photographs, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a cache in a folder named "x" is taken
    needed, every = arguments(function)
    if function in READERS:
        needed = {"root": photographs, "cache": photographs.parent / "cache", "progress": False}
    function(**needed)  # what is right is taken
    refused = 0
    for name in set(every) - {"options"}:
        for what, value in BAD.items():
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    function(**(needed | {name: value}))
            except ValueError as error:
                refused += 1
                assert any(word in str(error) for word in WORDS), f"{name} = {what}: {error}"
                if "align.data" in function.__module__:
                    assert "\n" not in str(error), f"{name} = {what}: {error}"
            except FileNotFoundError:
                assert function in READERS and name in ("root", "masks")
            except Exception as error:
                pytest.fail(f"{name} = {what}: {type(error).__name__}: {error}")
    assert refused >= 5


def domain(count: int = 8, classes: tuple[str, ...] = ("a", "b"), **changes: Any) -> Domain:
    values = {
        "images": torch.zeros(count, 3, 16, 16, dtype=torch.uint8),
        "labels": torch.arange(count) % len(classes),
    }
    return Domain("d", classes=classes, **(values | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": torch.zeros(8, 3, 16, 16)}, "images are torch.float32 .* expected torch.uint8"),
        ({"images": torch.zeros(8, 1, 16, 16, dtype=torch.uint8)}, r"shape \(N, 3, H, W\)"),
        ({"images": np.zeros((8, 3, 16, 16), np.uint8)}, "ndarray, expected a torch.Tensor"),
        ({"labels": torch.zeros(8)}, "labels are torch.float32 .* expected torch.int64"),
        ({"labels": torch.zeros(7, dtype=torch.int64)}, r"expected torch.int64 of shape \(8,\)"),
        ({"labels": torch.full((8,), 2)}, "labels run from 2 to 2, expected 0 to 1"),
        ({"labels": torch.full((8,), -1)}, "labels run from -1 to -1"),
        ({"labels": [0] * 8}, "labels is of type list, expected a torch.Tensor"),
        ({"masks": torch.zeros(8, 8, 8)}, r"masks are .* expected torch.float32 of shape \(8, 16"),
        ({"masks": torch.zeros(8, 16, 16).double()}, "masks are torch.float64 .* torch.float32"),
        ({"masks": torch.full((8, 16, 16), float("nan"))}, r"expected \[0, 1\]"),
        ({"masks": torch.full((8, 16, 16), 2.0)}, "mask values run from 2 to 2"),
        ({"groups": torch.zeros(8)}, "groups are torch.float32"),
        ({"groups": torch.zeros(7, dtype=torch.int64)}, r"groups are .* of shape \(8,\)"),
        ({"environments": torch.zeros(7, dtype=torch.int64)}, r"environments are .* shape \(8,\)"),
        ({"files": ("a",)}, "1 file names for 8 images"),
        ({"files": ["a"] * 8}, "files is of type list, expected a tuple of texts"),
        ({"classes": ["a", "b"]}, "classes is of type list, expected a tuple of texts"),
        ({"classes": ("a", "a")}, "classes are a, a, expected different names"),
        ({"split_by": "scene"}, "split_by is 'scene', expected 'image' or 'group'"),
        ({"split_by": "group"}, "has no groups and split_by is 'group'"),
    ],
)
def test_a_domain_that_does_not_fit_together(changes, message) -> None:
    assert len(domain()) == 8
    with pytest.raises(ValueError, match=message):
        domain(**changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: domain().split(0), "split fraction is 0, expected a number strictly between"),
        (lambda: domain().split("half"), "split fraction is 'half'"),
        (lambda: domain().split(0.5, seed=-1), "seed is -1, expected a whole number from 0"),
        (lambda: domain(1).split(0.5), "leaves one part empty"),
        (lambda: domain().subset([1, 2]), "indices are list, expected torch.int64"),
        (lambda: domain().subset(torch.tensor([9])), "run from 9 to 9, expected 0 to 7"),
        (lambda: domain().subset(torch.ones(8, dtype=torch.bool)), "mask.nonzero"),
        (lambda: replace(domain(), name=3), "a domain's name is 3, expected a text"),
        (lambda: Benchmark(3, ("a",), {}), "a benchmark's name is 3, expected a text"),
        (lambda: Benchmark("b", ("a", "a"), {}), "classes are a, a, expected different names"),
        (lambda: Benchmark("b", ("a",), [1]), "loaders is of type list, expected a dict"),
        (lambda: Benchmark("b", ("a",), {"d": 3}), "loader of 'd' is 3, expected a function"),
        (lambda: next(batches.Batches(domain(), 4).epoch(-1)), "epoch is -1, expected a whole"),
        (lambda: align.Config(epochs=2.5), "epochs is 2.5, expected a whole number"),
        (lambda: align.Config(epochs=True), "epochs is True, expected a whole number"),
        (lambda: align.Config(lr="fast"), "lr is 'fast', expected a number"),
        (lambda: align.Config(lr=float("inf")), "lr is inf, .* not infinite"),
        (lambda: align.Config(augment="no"), "augment is 'no', expected True or False"),
        (lambda: align.Config(seed=10**14), "seed is 100000000000000, expected a whole number"),
        (lambda: align.Config(weights=3), "weights is 3, expected a text, or None"),
        (lambda: align.load("toy-vlcs", colour=3), "'toy-vlcs' has no option colour, expected"),
        (lambda: align.load("vlcs", "x", boxes=True), "'vlcs' has no option boxes, expected"),
        (lambda: align.load("toy-vlcs", pairing=3), "pairing is 3, expected one of noon"),
        (lambda: experiment(config=3), "config is 3, expected an align.Config"),
        (lambda: experiment(benchmark=3), "benchmark is 3, expected a text"),
        (lambda: experiment(options=[1]), "options is of type list, expected a dict"),
        (
            lambda: experiment(explained=-1),
            "explained is -1, expected a number that is not negative",
        ),
        (lambda: experiment(human_masks="x"), "human_masks is 'x', expected a tuple of texts"),
        (lambda: experiment(missed=1.5), "missed is 1.5, expected a number from 0 to 1"),
        (lambda: experiment(leaked="x"), "leaked is 'x', expected a number"),
        (
            lambda: experiment(mask_area=0.2, mask_source="gray"),
            "the mask source of an area is 'gray', expected 'centre' or 'random'",
        ),
        (lambda: experiment(controls=1), "controls is 1, expected True or False"),
        (lambda: load_composite(seed=-1), "seed is -1, expected a whole number from 0"),
        (lambda: load_folder("x", progress=3), "progress is 3, expected True or False"),
        (lambda: align.Run.load(None), "folder is None, expected a path"),
        (lambda: align.Run.load("x", device="tpu"), "device is 'tpu', expected 'cpu'"),
        (lambda: train(domain()).save(3), "folder is 3, expected a path"),
        (lambda: align.Classifier("resnet18", 3, "IMAGENET"), "expected one of IMAGENET1K_V1"),
        (lambda: align.Classifier("resnet18", 3, 3.5), "weights is 3.5, expected a path, or None"),
        (
            lambda: align.Classifier("small-cnn", 3, freeze_batchnorm="no"),
            "freeze_batchnorm is 'no'",
        ),
        (lambda: align.Classifier("small-cnn", float("nan")), "num_classes is nan, expected"),
        (lambda: align.Classifier("small-cnn", 3, output_stride=8.0), "output_stride is 8.0"),
        (lambda: align.Masker(6), "width is 6, expected a multiple of 4"),
        (lambda: CLASSIFIER(None), "images is of type NoneType, expected a torch.Tensor"),
        (lambda: CLASSIFIER.head(torch.rand(2, 3, 4, 4)), r"expected floating .* \(N, 64, h, w\)"),
        (lambda: align.evaluate(CLASSIFIER, domain(), masker=3), "masker is 3, expected a func"),
        (lambda: align.evaluate(CLASSIFIER, domain(), saliency=3), "saliency is 3, expected a f"),
        (lambda: rerun.find(3), "name is 3, expected a .json file"),
        (lambda: runner.choose([], shard=3), "shard is 3, expected i/n"),
        (lambda: runner.choose([], only=3), "only is 3, expected a tuple of texts"),
        (lambda: mask_source("random", DOMAIN, seed=-1), "seed is -1, expected a whole number"),
        (lambda: mask_source("gray", DOMAIN, weights=3), "weights is 3, expected a path, or None"),
        (lambda: corrupt(MASKS * 2, 0, 0), r"mask values run from 0 to 2, expected \[0, 1\]"),
        (lambda: mask_source("gray", DOMAIN, device="tpu"), "device is 'tpu', expected 'cpu'"),
        (lambda: batches.Batches(domain(), 4, seed=-1), "seed is -1, expected a whole number"),
        (lambda: batches.Batches(domain(), 4, augment="no"), "augment is 'no', expected True"),
        (lambda: batches.Batches(domain(), 4, device="tpu"), "device is 'tpu', expected 'cpu'"),
        (lambda: batches.Batches(domain(), 9), "batch_size is 9 and domain 'd' has 8 images"),
        (lambda: batches.Batches(domain(), 2.5), "batch_size is 2.5, expected a whole number"),
        (lambda: train(domain(), batch_size=64), "batch_size is 64 and domain 'd' has 8 images"),
        (
            lambda: train(domain(classes=("a",))),
            "num_classes is 1, expected a whole number, at least 2",
        ),
        (lambda: train(domain(0)), "batch_size is 4 and domain 'd' has 0 images"),
        (lambda: align.evaluate(CLASSIFIER, domain(classes=("a", "b"))), "3 outputs and domain"),
        (lambda: align.load("vlsc"), "benchmark is 'vlsc', expected one of"),
        (lambda: align.Masker(start=2), "start is 2, expected a mean mask value"),
        (lambda: align.Classifier("vgg", 3), "backbone is 'vgg', expected one of"),
        (lambda: align.Classifier("small-cnn", 1), "num_classes is 1, expected"),
        (lambda: CLASSIFIER(torch.zeros(2, 3, 16, 16, dtype=torch.uint8)), "divide bytes by 255"),
        (
            lambda: align.grad_cam(CLASSIFIER, IMAGES * float("nan"), GOOD["labels"]),
            "images hold values that are not finite",
        ),
        (
            lambda: metrics.accuracy(CLASSIFIER, IMAGES * float("nan"), GOOD["labels"]),
            "image values run from nan",
        ),
    ],
)
def test_misuse_is_one_sentence(call, message) -> None:
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


def train(data: Domain, checkpoint: Any = None, **options: Any) -> align.Run:
    config = replace(TINY, **options)
    return align.train(config.method, data, config=config, checkpoint=checkpoint, progress=False)


def experiment(**changes: Any) -> Experiment:
    return Experiment(**({"benchmark": "toy-vlcs", "source": "noon", "config": TINY} | changes))


def save(path, image: Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def test_a_pixel_and_ten_thousand_pixels(tmp_path) -> None:
    for name, size in (("1", (1, 1)), ("thin", (1, 300)), ("wide", (10_000, 2))):
        save(tmp_path / "d" / "c" / f"{name}.png", Image.new("RGB", size, (9, 99, 199)))
    found = load_folder(tmp_path, size=8, progress=False)["d"]
    assert found.images.float().mean((0, 2, 3)).tolist() == [9, 99, 199]


def test_ten_thousand_pixels_square_are_read(tmp_path) -> None:
    save(tmp_path / "a.png", Image.new("1", (10_000, 10_000), 1), optimize=False)
    with pytest.warns(Image.DecompressionBombWarning):
        assert open_rgb(tmp_path / "a.png").size == (10_000, 10_000)


def test_animated_images_give_their_first_frame(tmp_path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((255, 0, 0), (0, 255, 0))]
    for form in ("GIF", "WEBP", "PNG"):
        path = tmp_path / form / "d" / "c" / "a.png"
        save(path, frames[0], format=form, save_all=True, append_images=frames[1:])
        image = load_folder(tmp_path / form, size=4, progress=False)["d"].images[0]
        assert image[0].min() > 240 and image[1].max() < 15


def test_ctrl_c_while_packing_leaves_nothing_half_written(tmp_path, monkeypatch) -> None:
    for number in range(5):
        save(tmp_path / "data" / "d" / "c" / f"{number}.png", Image.new("RGB", (4, 4)))
    folder = tmp_path / "cache"
    options = {"size": 4, "progress": False, "cache": folder}
    done = iter([False, False, True])

    def interrupted(*arguments: Any):
        if next(done, True):
            raise KeyboardInterrupt
        return decode(*arguments)

    from align.data import trees

    decode = trees.decode
    monkeypatch.setattr(trees, "decode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_folder(tmp_path / "data", **options)
    assert not list(folder.glob("*.pack")) and not list(folder.glob("*.tmp"))
    monkeypatch.setattr(trees, "decode", decode)
    assert len(load_folder(tmp_path / "data", **options)["d"]) == 5


def test_a_disk_that_fills_while_packing_keeps_the_images_in_memory(tmp_path) -> None:
    import resource

    for number in range(20):
        save(tmp_path / "data" / "d" / "c" / f"{number}.png", Image.new("RGB", (4, 4)))
    folder = tmp_path / "cache"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))
    try:
        with pytest.warns(RuntimeWarning, match="cannot be written .* free space"):
            found = load_folder(tmp_path / "data", size=128, progress=False, cache=folder)["d"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(found) == 20
    assert not list(folder.glob("*.pack")) and not list(folder.glob("*.tmp"))


def test_a_pack_of_another_version_or_a_broken_one_is_made_again(tmp_path, monkeypatch) -> None:
    save(tmp_path / "data" / "d" / "c" / "a.png", Image.new("RGB", (4, 4), (7, 7, 7)))
    folder = tmp_path / "cache"
    options = {"size": 4, "progress": False, "cache": folder}
    load_folder(tmp_path / "data", **options)
    (pack,) = folder.glob("*.pack")
    whole = pack.read_bytes()
    for broken in (b"", whole[:10], whole[:-1], whole[1:], whole + b"x", b"\xff" * len(whole)):
        pack.write_bytes(broken)
        found = load_folder(tmp_path / "data", **options)["d"]
        assert found.images.unique().tolist() == [7]
        assert pack.read_bytes() == whole
    monkeypatch.setattr(cache, "FORMAT_VERSION", cache.FORMAT_VERSION + 1)
    load_folder(tmp_path / "data", **options)
    assert len(list(folder.glob("*.pack"))) == 2


def test_a_full_disk_while_a_run_is_saved_is_told_and_leaves_the_older_checkpoint(tmp_path) -> None:
    import resource

    path = tmp_path / "c.pt"
    checkpoint.write(path, {"f": CLASSIFIER}, {"epoch": 1})
    whole = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match=f"{tmp_path} cannot be written to; free some space"):
            checkpoint.write(path, {"f": CLASSIFIER}, {"epoch": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def stopped(monkeypatch, module: Any, name: str, call: int, error: BaseException) -> None:
    """Let a function do half of its work, and then stop, at one of its calls."""
    calls, real = iter(range(1, 99)), getattr(module, name)

    def half(*arguments: Any, **options: Any) -> Any:
        if next(calls) != call:
            return real(*arguments, **options)
        if name != "replace":
            real(*arguments, **options)
        raise error

    monkeypatch.setattr(module, name, half)


STOPS = (KeyboardInterrupt(), OSError(28, "No space left on device"))


@pytest.mark.parametrize("error", STOPS, ids=("ctrl-c", "full"))
@pytest.mark.parametrize("name", ["save", "replace"])
def test_a_checkpoint_that_cannot_be_finished_leaves_the_older_one(
    name, error, tmp_path, monkeypatch
) -> None:
    path = tmp_path / "c.pt"
    checkpoint.write(path, {"f": CLASSIFIER}, {"epoch": 1})
    module = torch if name == "save" else files.os
    stopped(monkeypatch, module, name, 1, error)
    with pytest.raises(type(error)):
        checkpoint.write(path, {"f": CLASSIFIER}, {"epoch": 2})
    assert checkpoint.read(path)[1] == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("error", STOPS, ids=("ctrl-c", "full"))
@pytest.mark.parametrize(("name", "call"), [("save_file", 1), ("save_file", 2), ("replace", 1)])
def test_a_run_that_cannot_be_saved_whole_leaves_the_earlier_one(
    name, call, error, tmp_path, monkeypatch
) -> None:
    before, after = (untrained(align.Config(seed=seed), domain()) for seed in (1, 2))
    before.save(tmp_path)
    module = weights if name == "save_file" else files.os
    stopped(monkeypatch, module, name, call, error)
    with pytest.raises(type(error)):
        after.save(tmp_path)
    monkeypatch.undo()
    found = align.Run.load(tmp_path)
    assert found.config.seed == 1
    assert torch.equal(found.classifier.linear.weight, before.classifier.linear.weight)
    assert torch.equal(found.masker.paint.weight, before.masker.paint.weight)
    names = ["classifier.safetensors", "masker.safetensors", "run.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == names


@pytest.mark.parametrize("error", STOPS, ids=("ctrl-c", "full"))
def test_a_manifest_that_cannot_be_finished_leaves_the_older_one(
    error, tmp_path, monkeypatch
) -> None:
    path, older = tmp_path / "m.json", Manifest("vlcs", "", {}, "a")
    older.write(path)
    stopped(monkeypatch, type(path), "write_text", 1, error)
    with pytest.raises(type(error)):
        Manifest("vlcs", "", {}, "b").write(path)
    assert Manifest.read(path) == older and [p.name for p in tmp_path.iterdir()] == ["m.json"]


def test_a_full_disk_while_a_record_is_written_costs_that_record_alone(tmp_path) -> None:
    import resource

    path = tmp_path / "r.jsonl"
    records.append(path, BARE | {"key": "a"})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            records.append(path, BARE | {"key": "b", "padding": "x" * 2000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    records.append(path, BARE | {"key": "c"})
    assert [record["key"] for record in records.read(path)] == ["a", "c"]


@pytest.mark.parametrize("spoilt", ["classifier.safetensors", "masker.safetensors"])
def test_a_run_of_broken_absent_or_other_weights_is_told(spoilt, tmp_path) -> None:
    one = untrained(align.Config(), domain())
    untrained(align.Config(seed=1), domain()).save(tmp_path / "other")
    path = tmp_path / spoilt
    for damage in (
        lambda: path.write_bytes(path.read_bytes()[:-9]),
        path.unlink,
        lambda: weights.write_tensors(path, {"x": torch.zeros(1)}),
        # Of the same shapes, as a kill between the renames of two files would leave it.
        lambda: shutil.copy(tmp_path / "other" / spoilt, path),
    ):
        one.save(tmp_path)
        align.Run.load(tmp_path)
        damage()
        with pytest.raises(ValueError, match=f"{spoilt}' is not there, broken or of another run"):
            align.Run.load(tmp_path)


@pytest.mark.parametrize(
    ("notes", "message"),
    [
        ({}, "of another version of the library .* delete it to start anew"),
        ({"config": {"colour": "red"}}, "of another version of the library"),
        ({"config": {"method": "erm"}}, "of another version of the library"),
        (None, "does not fit the networks of this run .* delete it to start anew"),
    ],
)
def test_a_checkpoint_of_another_version_is_told(notes, message, tmp_path, monkeypatch) -> None:
    train(domain(), checkpoint=tmp_path)
    path = tmp_path / loop.CHECKPOINT
    whole = checkpoint.read(path)[1] if notes is None else notes
    checkpoint.write(path, {"classifier": torch.nn.Linear(2, 2)}, whole)
    with pytest.raises(ValueError, match=message) as error:
        train(domain(), checkpoint=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_broken_weights_are_told(name, tmp_path) -> None:
    path = tmp_path / name
    for body in (b"", b"not weights", b"\x80\x02junk"):
        path.write_bytes(body)
        with pytest.raises(ValueError, match="holds more than tensors, or is broken"):
            align.Classifier("resnet18", 2, path)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="other things than tensors by name"):
        align.Classifier("resnet18", 2, tmp_path / "list.pt")


def test_a_group_split_needs_more_than_one_group() -> None:
    one = domain(groups=torch.zeros(8, dtype=torch.int64), split_by="group")
    with pytest.raises(ValueError, match="by group leaves one part empty"):
        one.split(0.5)
    assert len(replace(one, split_by="image").split(0.5)[0]) == 4
