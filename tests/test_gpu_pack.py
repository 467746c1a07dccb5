"""Packed pictures: what goes in comes out, under the size, and what is left out is named."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
import torch
from safetensors.torch import load_file, save_file

import align
from align.networks.feature_masker import FeatureMasker
from align.networks.weights import profile, write_tensors
from align.training.run import first_networks
from alignbook.gpu import pack as packing
from alignbook.gpu import packed, session
from alignbook.gpu.device import find
from alignbook.gpu.pack import MIB, pack
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import FULL, REHEARSAL
from alignbook.gpu.stages import training


@pytest.fixture(scope="module")
def world():
    return align.load("toy-vlcs", n=60, size=32)


@pytest.fixture
def folder(tmp_path, world):
    pack(world, tmp_path, domains=["noon", "dusk"], quality=95)
    packed.unpack.cache_clear()
    return tmp_path


def test_what_goes_in_comes_out(folder, world):
    back = packed.unpack(folder, "toy-vlcs")
    assert back.classes == world.classes and back.domains == ("noon", "dusk")
    for name in back.domains:
        ours, theirs = back[name], world[name]
        assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.groups, theirs.groups)
        assert ours.files == theirs.files and ours.split_by == theirs.split_by
        assert ours.masks.dtype == torch.float32
        assert (ours.masks - theirs.masks).abs().max() <= 0.5 / 255 + 1e-6
        assert ours.images.dtype == torch.uint8 and ours.images.shape == theirs.images.shape
        # JPEG changes pixels, and each picture stays nearest to itself by far.
        gaps = torch.cdist(ours.images.flatten(1).float(), theirs.images.flatten(1).float())
        assert torch.equal(gaps.argmin(1), torch.arange(60))
        assert gaps.diag().mean() < gaps.mean() / 4


def test_what_does_not_fit_is_left_out_evenly_and_named(tmp_path, world):
    whole = pack(world, tmp_path / "whole").size / MIB
    done = pack(world, tmp_path / "half", mib=whole / 2)
    assert done.size <= whole / 2 * MIB
    assert len(done.left_out) == 4 and done.left_out[0].startswith("noon: ")
    assert "of 60 pictures left out, the same share of each class and group" in done.left_out[0]
    kind = packed.found(tmp_path / "half")[0]
    packed.unpack.cache_clear()
    back = packed.unpack(tmp_path / "half", "toy-vlcs")
    counts = [len(back[name]) for name in back.domains]
    assert kind.options == {"size": 32, "jpeg": 75, "pictures": sum(counts)}
    assert all(10 <= count <= 30 for count in counts)
    with pytest.raises(ValueError, match="no room for pictures"):
        pack(world, tmp_path / "none", mib=0.001)


@pytest.mark.parametrize(("name", "source"), [("waterbirds", ""), ("folder", "boxes")])
def test_boxes_are_called_boxes_in_the_report(name, source, tmp_path, world):
    noon = dataclasses.replace(world["noon"], mask_source=source)
    benchmark = dataclasses.replace(world, name=name, loaders={"noon": lambda: noon})
    pack(benchmark, tmp_path, domains=["noon"])
    (kind,) = packed.found(tmp_path)
    guided = training.photographs(REHEARSAL, kind, 0, tmp_path)["guided"]
    assert training.form(guided.description()) == "guided by boxes"


def test_shards_are_joined_in_order_and_a_missing_one_is_named(tmp_path, world, monkeypatch):
    monkeypatch.setattr(packing, "SHARD", 20_000)
    done = pack(world, tmp_path, domains=["noon"], quality=95)
    assert len(done.files) > 2
    packed.unpack.cache_clear()
    assert torch.equal(packed.unpack(tmp_path, "toy-vlcs")["noon"].labels, world["noon"].labels)
    done.files[1].unlink()
    with pytest.raises(ValueError, match=f"has {len(done.files) - 1} of {len(done.files)} shards"):
        packed.found(tmp_path)
    done = pack(world, tmp_path, domains=["noon"])  # fewer shards than before: none stays behind
    assert sorted(tmp_path.glob("*")) == sorted(done.files)


def test_a_file_that_is_no_shard_is_refused(tmp_path):
    assert packed.found(tmp_path / "nothing") == []
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="broken or no packed pictures"):
        packed.found(tmp_path)
    with pytest.raises(ValueError, match="no benchmark 'x' is packed"):
        packed.unpack(tmp_path / "nothing", "x")


def test_weights_come_along_in_half_precision(tmp_path, world, monkeypatch):
    state = align.Classifier("mobilenet_v2", 5).trunk.state_dict()
    save_file(
        {f"features.{name}": value for name, value in state.items()}, tmp_path / "w.safetensors"
    )
    out = tmp_path / "out"
    done = pack(
        world, out, domains=["noon"], backbone="mobilenet_v2", weights=tmp_path / "w.safetensors"
    )
    assert done.size == sum(path.stat().st_size for path in out.iterdir())
    kept = load_file(out / packed.WEIGHTS)
    assert kept["features.0.0.weight"].dtype == torch.float16
    (kind,) = packed.found(out)
    assert kind.network == {"backbone": "mobilenet_v2", "weights": packed.WEIGHTS}
    forms = training.photographs(REHEARSAL, kind, 0, out)
    swap = forms["align-swap"].config
    assert (swap.alignment, swap.swap_background) == ("swap", "emptied")
    assert swap.masker_start is None  # the embedded one is for other weights than these
    learned = FeatureMasker(
        align.Classifier("mobilenet_v2", 5, out / packed.WEIGHTS, output_stride=swap.output_stride)
    )
    told = {"profile": json.dumps(profile(learned.trunk))}
    write_tensors(start := tmp_path / "start.safetensors", learned.decoder.state_dict(), told)
    monkeypatch.setitem(training.HELD, "masker_start", str(start))
    for sizes in (REHEARSAL, FULL):  # this one is for them
        swapping = training.photographs(sizes, kind, 0, out)["align-swap"]
        config = swapping.config
        assert (config.masker_reads, config.masker_start) == ("pretrained", str(start))
        assert config.masker_lr == 0
        first_networks(swapping.resolved(out), 5, "cpu")
    wanted = forms["erm"]
    loaded = align.Classifier("mobilenet_v2", 5, wanted.resolved(out).weights)
    assert torch.allclose(loaded.trunk[0][0].weight, state["0.0.weight"], atol=1e-3)
    with pytest.raises(ValueError, match="weights and backbone go together"):
        pack(world, out, backbone="mobilenet_v2")


def test_a_training_on_packed_pictures_is_a_unit_like_any_other(folder, tmp_path):
    cpu, out = find("cpu"), tmp_path / "out"
    report = Report(out, cpu, "rehearsal")
    units = training.units(cpu, REHEARSAL, report, folder, tmp_path / "work")
    assert len({u.key for u in units}) == len(units) == 8  # four forms, rendered and packed
    # The most telling first: on photographs the second version beside ERM and given masks.
    ranked = sorted(units, key=lambda unit: unit.rank)
    names = [u.name.removeprefix("toy-vlcs-").rsplit("-", 2)[0] for u in ranked]
    rendered, packed_ones = (
        ["erm", "align", "guided", "align-swap"],
        ["erm", "align-swap", "guided"],
    )
    assert names == [*rendered, *packed_ones, "align"]
    report.begin(4)
    assert session.run(ranked[5:6], report, 60, time.monotonic(), 0.1, lambda line: None) == []
    (entry,) = report.content["units"].values()
    assert entry["state"] == "done" and 0 <= entry["result"]["out"] <= 1
    assert entry["result"]["form"] == "align, swap"


def test_the_test_split_of_official_ones_is_what_counts():
    """Records sort their domains, so that `test` comes before `val`."""
    splits = {
        "test": {"accuracy": 0.8, "worst_group": 0.5, "mean_group": 0.7},
        "val": {"accuracy": 0.9, "worst_group": 0.6, "mean_group": 0.8},
    }
    config = {"method": "guided", "alignment": "energy", "seed": 3}
    record = {
        "key": "k", "benchmark": "waterbirds", "source": "train", "trained_on": ["train"],
        "config": config, "options": {"masks": "boxes"}, "metrics": splits,
        "seconds": 1.0, "images_per_second": 1.0,
    }  # fmt: skip
    told = training.summary(record)
    assert (told["out"], told["worst group"], told["mean of groups"]) == (0.8, 0.5, 0.7)
    assert told["form"] == "guided by boxes"
    other = record | {"config": config | {"seed": 4}}
    assert training.summary(other)["setting"] == told["setting"]
    other = record | {"config": config | {"lr": 1e-4}}
    assert training.summary(other)["setting"] != told["setting"]


def test_the_command_says_what_it_left_out(tmp_path, capsys, monkeypatch, world):
    monkeypatch.setattr(packing, "load", lambda name, root, size: world)
    packing.main("toy-vlcs", size=32, mib=0.05, domain=["noon"], out=tmp_path)
    said = capsys.readouterr().out
    assert "MiB, in" in said and "noon: " in said and "pictures left out" in said
