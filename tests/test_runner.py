"""Making the runs of a grid: parts of it, several processes, kills, protocols, Ray."""

import collections
import json
import multiprocessing
import os
import signal
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic import BARE
from waiting import wait_for

from align import experiment, records
from align.config import Config
from align.experiment import Experiment, run
from alignbook.campaign import grid, runner
from alignbook.campaign.runner import choose, claim, missing, run_all
from alignbook.results import frame

TINY = Config(method="erm", epochs=1, batch_size=32, warmup=0, head_start=0)
SMALL = {"n": 40, "size": 16}
FORK = multiprocessing.get_context("fork")  # children that do nothing but wait, started at once


def tiny(seed=0, **changes):
    values = {"benchmark": "toy-vlcs", "source": "noon", "options": SMALL, "explained": 0}
    return Experiment(config=replace(TINY, seed=seed), **(values | changes))


def test_a_run_that_could_be_made_before_keeps_its_key():
    newer = ("target", "controls", "mask_source", "mask_area", "localisation_only")
    every = (*grid.rho(), *grid.noisy_masks(), *grid.pacs())
    older = [one for one in every if not any(getattr(one, name) for name in newer)]
    assert len(older) == len(grid.rho()) + len(grid.noisy_masks()) + 9  # 3 ways, 3 seeds
    for one in older:
        before = {
            "benchmark": one.benchmark,
            "source": one.source,
            "config": one.config.used(),
            "options": one.options,
            "explained": one.explained,
            "human_masks": one.human_masks,
            "missed": one.missed,
            "leaked": one.leaked,
        }
        text = json.dumps({k: v for k, v in before.items() if v}, sort_keys=True)
        assert one.key() == experiment.hashlib.sha256(text.encode()).hexdigest()[:12]
    assert len({tiny().key(), tiny(source="", target="noon").key(), tiny(controls=True).key()}) == 3


def test_leaving_one_out_trains_on_the_others_and_tests_on_their_held_out_parts():
    one = tiny(source="", target="film")
    benchmark = one.data()
    training, tests = one.split(benchmark)
    assert list(tests) == ["noon", "dusk", "fog", "film"]
    assert [len(d) for d in tests.values()] == [8, 8, 8, 40]
    assert len(training) == 96 and training.environments.bincount().tolist() == [32, 32, 32]
    seen = {image.numpy().tobytes() for image in training.images}
    assert len(seen) == 96
    for domain in tests.values():
        assert not seen & {image.numpy().tobytes() for image in domain.images}
    record, _ = run(one, progress=False)
    assert record["protocol"] == "leave-one-out"
    assert record["trained_on"] == ["noon", "dusk", "fog"]
    table = frame([record]).set_index("domain")
    assert table["shift"].to_dict() == {"noon": "in", "dusk": "in", "fog": "in", "film": "out"}


def test_a_seed_draws_its_own_world_and_its_own_split():
    worlds = [tiny(seed).data()["noon"].fingerprint() for seed in (0, 1, 0)]
    assert worlds[0] == worlds[2] != worlds[1]
    one = tiny().data()
    held_out = [tiny(seed).split(one)[1]["noon"].fingerprint() for seed in (0, 1, 0)]
    assert held_out[0] == held_out[2] != held_out[1]


def test_training_masks_are_spoilt_by_either_share_alone_and_tests_are_not():
    benchmark = tiny().data()
    clean, tests = tiny().split(benchmark)
    for changes, sign in (({"missed": 0.5}, -1), ({"leaked": 0.5}, 1)):
        spoilt, same = tiny(**changes).split(benchmark)
        assert sign * (spoilt.masks.mean() - clean.masks.mean()) > 0.02
        assert {n: d.fingerprint() for n, d in same.items()} == {
            n: d.fingerprint() for n, d in tests.items()
        }


def test_a_run_keeps_its_configuration_as_asked_for_without_this_machines_paths(monkeypatch):
    def trained(method, training, *, config, **options):
        result = real(method, training, config=replace(config, weights=None), **options)
        result.config = config
        return result

    real = experiment.train
    monkeypatch.setattr(experiment, "train", trained)
    here = replace(tiny().config, weights="/here/weights.safetensors")
    monkeypatch.setattr(Experiment, "resolved", lambda one, root: here)
    assert run(tiny(), progress=False)[1].config == tiny().config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "fog"}, "expected one of them"),
        ({"source": ""}, "expected one of them"),
        ({"source": "mars"}, "has no domain 'mars'; it has noon, dusk"),
        ({"source": "", "target": "mars"}, "has no domain 'mars'"),
    ],
)
def test_a_protocol_that_cannot_be_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        one = tiny(**changes)
        one.split(one.data())


def test_a_record_says_which_images_were_right_and_how_the_model_was_chosen():
    record, trained = run(tiny(explained=4, controls=True), progress=False)
    _, tests = tiny().split(tiny().data())
    for name, domain in tests.items():
        with torch.no_grad():
            logits = trained.classifier(domain.images.float() / 255)
        right = records.correctness(record, name)
        assert right.tolist() == (logits.argmax(1) == domain.labels).tolist()
        assert right.mean() == pytest.approx(record["metrics"][name]["accuracy"])
    assert record["selection"] == "last epoch"
    assert record["config_hash"] == tiny().config.hash()
    assert set(record["data"]) == set(tests) and len(record["training_data"]) == 16
    assert len(record["metrics"]["fog"]["insertion_curve"]) == 29
    assert "control_true_mask_insertion_auc" in record["metrics"]["fog"]
    json.dumps(record, allow_nan=False)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_packed_correctness_comes_back_whole(count):
    right = torch.rand(count, generator=torch.Generator().manual_seed(count)) < 0.5
    text = records.pack(right)
    assert records.unpack(text, count).tolist() == right.tolist()
    assert len(text) <= -(-count // 8) * 4 / 3 + 4
    with pytest.raises(ValueError, match="not of these images"):
        records.unpack(text, count + 8)


def test_records_of_before_are_still_read():
    old = {"source": "noon", "metrics": {"noon": {"accuracy": 0.9, "count": 8}}}
    assert records.correctness(old, "noon") is None
    assert records.trained_on(old) == ("noon",)


def test_shards_partition_a_grid_and_conditions_choose_from_it():
    wanted = grid.toy()
    parts = [choose(wanted, f"{i}/3") for i in (1, 2, 3)]
    assert sorted(e.key() for part in parts for e in part) == sorted(e.key() for e in wanted)
    assert {e.config.method for e in choose(wanted, only=["align"])} == {"align"}
    chosen = choose(wanted, only=["guided", "seed=3", "alignment=bce"])
    assert [(e.config.seed, e.config.alignment) for e in chosen] == [(3, "bce")]
    assert choose(wanted, only=["protocol=leave-one-out"]) == []
    for shard in ("0/3", "4/3", "2", "x/y"):
        with pytest.raises(ValueError, match="expected i/n"):
            choose(wanted, shard)
    with pytest.raises(ValueError, match="only colour=.*expected one of"):
        choose(wanted, only=["colour=red"])


def _hold(path, held):
    with claim(path) as mine:
        held.put(mine)
        time.sleep(60)


def test_a_claim_is_held_by_one_and_ends_with_its_holder(tmp_path):
    path = tmp_path / "claims" / "a"
    held = FORK.SimpleQueue()
    other = FORK.Process(target=_hold, args=(path, held))
    other.start()
    assert held.get()
    with claim(path) as mine:
        assert not mine
    other.kill()
    other.join()
    with claim(path) as mine:
        assert mine


def test_a_run_that_diverges_does_not_end_the_grid(tmp_path, monkeypatch):
    def fails_for_one(one, **options):
        if one.config.seed == 1:
            raise FloatingPointError("the term 'ce' is no longer a finite number")
        return BARE | {"key": one.key(), "seconds": 1.0}, None

    monkeypatch.setattr(runner, "run", fails_for_one)
    wanted = [tiny(seed) for seed in range(4)]
    with pytest.raises(RuntimeError, match="1 of 4 runs failed: erm, toy-vlcs from noon, seed 1"):
        run_all(wanted, tmp_path / "r.jsonl", progress=False)
    assert [e.config.seed for e in missing(wanted, tmp_path / "r.jsonl")] == [1]


def test_progress_says_what_is_left(tmp_path, monkeypatch, capsys):
    made = BARE | {"seconds": 7.0}
    monkeypatch.setattr(runner, "run", lambda e, **_: (made | {"key": e.key()}, None))
    assert run_all([tiny(s) for s in range(3)], tmp_path / "r.jsonl") == 3
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "[1/3] erm, toy-vlcs from noon, seed 0: 7 s"
    assert said[1] == "    2 to go, about a minute"
    assert said[-1].startswith("[3/3]")
    assert (runner._duration(30), runner._duration(600)) == ("30 minutes", "10.0 hours")


def _slow_runs(path, made, nothing, allowed):
    """Make 40 runs that only wait, so that kills fall in the middle of runs, too."""

    def slow(one, **options):
        time.sleep(0.01 * (1 + one.config.seed % 3))
        while one.config.seed >= allowed.value:  # the kills come, however slow the machine
            time.sleep(0.001)
        with made.open("a") as file:
            file.write(one.key() + "\n")
        time.sleep(0.01)
        return BARE | {"key": one.key(), "seconds": 0.1, "padding": "x" * 20000}, None

    runner.run = slow  # in this process alone
    runner.prepare = lambda *_: nothing
    runner.run_all([tiny(seed) for seed in range(40)], path, progress=False)


def test_killed_processes_lose_nothing_and_double_nothing(tmp_path):
    path, made, allowed = tmp_path / "r.jsonl", tmp_path / "made", FORK.Value("i", 0)
    made.touch()
    wanted = [tiny(seed) for seed in range(40)]
    nothing = experiment.prepare(tiny())

    def start():
        process = FORK.Process(target=_slow_runs, args=(path, made, nothing, allowed))
        process.start()
        return process

    pair, rng = [start(), start()], np.random.default_rng(0)
    for begun in range(0, 32, 4):
        allowed.value = begun + 4
        new = {one.key() for one in wanted[begun : begun + 4]}
        wait_for(lambda new=new: new & set(made.read_text().split()))
        time.sleep(0.05 * rng.random())
        victim = pair.pop(0)
        victim.kill()  # SIGKILL: no handler, no goodbye
        victim.join()
        assert victim.exitcode == -signal.SIGKILL
        pair.append(start())
    allowed.value = 40
    for process in pair:
        process.join(60)
        assert process.exitcode == 0
    found = collections.Counter(record["key"] for record in records.read(path))
    assert found == {one.key(): 1 for one in wanted}
    # A run was made twice only if a kill cut it off before its record.
    assert len(made.read_text().split()) <= 40 + 8


def test_several_jobs_make_each_run_once_and_a_broken_one_is_told(tmp_path):
    path = tmp_path / "r.jsonl"
    wanted = [tiny(seed) for seed in range(4)]
    bad = tiny(benchmark="toy-nowhere")
    with pytest.raises(RuntimeError, match="2 of 2 processes ended before their time"):
        run_all([*wanted, bad], path, work=tmp_path / "work", jobs=2, progress=False)
    found = records.read(path)
    assert sorted(r["key"] for r in found) == sorted(e.key() for e in wanted)
    assert {r["threads"] for r in found} == {max(1, (os.cpu_count() or 1) // 2)}
    assert run_all(wanted, path, jobs=2, progress=False) == 0
    # Checkpoints of finished runs are gone.
    assert [p.name for p in (tmp_path / "work").iterdir()] == ["claims"]


def test_a_ray_cluster_makes_the_same_records(tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed; the extra `ray` brings it")
    from alignbook.campaign import ray_launcher

    wanted = [tiny(seed) for seed in range(2)]
    path = tmp_path / "ray.jsonl"
    assert ray_launcher.run_all(wanted, path, progress=False) == 2
    assert ray_launcher.run_all(wanted, path, progress=False) == 0
    assert run_all(wanted, tmp_path / "here.jsonl", progress=False) == 2
    there, here = (
        {r["key"]: (r["metrics"], r["correct"], r["data"]) for r in records.read(file)}
        for file in (path, tmp_path / "here.jsonl")
    )
    assert there == here


def test_without_ray_a_sentence_says_how_to_get_it(monkeypatch, tmp_path):
    from alignbook.campaign import ray_launcher

    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModuleNotFoundError, match="extra `ray`"):
        ray_launcher.run_all([tiny()], tmp_path / "r.jsonl")
