"""Same seed, same numbers: bit by bit, whatever interrupts a run and whatever surrounds it."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import align
from align import metrics, records
from align.cli import app
from align.config import Config
from align.data import cache
from align.data.folders import load_folder
from align.experiment import Experiment, run
from align.methods import METHODS
from align.training import Run, checkpoint
from align.training.loop import CHECKPOINT
from alignbook.campaign.rerun import Rerun, experiment_of, find, rerun

TINY = Config(epochs=4, batch_size=32, warmup=1, head_start=1, irm_anneal=1)


def digest(run: Run) -> str:
    """A hash of every bit of the networks and of the history."""
    whole = hashlib.sha256(json.dumps(run.history).encode())
    for network in (run.classifier, run.masker):
        if network is not None:
            for value in network.state_dict().values():
                whole.update(value.numpy().tobytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def straight(domain):
    return {
        method: digest(align.train(method, domain, config=TINY, seed=3, progress=False))
        for method in METHODS
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_bits(method, domain, straight) -> None:
    torch.rand(7)  # what the caller draws does not matter
    again = align.train(method, domain, config=TINY, seed=3, progress=False)
    assert digest(again) == straight[method]
    other = align.train(method, domain, config=TINY, seed=4, progress=False)
    assert digest(other) != straight[method]


SCRIPT = """
import sys, torch, align
from align.config import Config
folder, method, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
domain = align.load("toy-vlcs", n=160, size=32)["noon"]
config = Config(epochs=4, batch_size=32, warmup=1, head_start=1, irm_anneal=1)
print("ready", flush=True)
align.train(method, domain, config=config, seed=3, checkpoint=folder, progress=False)
"""


@pytest.mark.parametrize("method", ["align"])
def test_a_killed_run_goes_on_to_the_same_bits(method, domain, straight, tmp_path) -> None:
    """SIGKILL, at a moment that nobody chose, as a full machine or a time limit does it."""
    threads = str(torch.get_num_threads())
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), method, threads]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 60
    while not (tmp_path / CHECKPOINT).exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    done = len(checkpoint.read(tmp_path / CHECKPOINT)[1]["history"])
    assert 1 <= done
    resumed = align.train(method, domain, config=TINY, seed=3, checkpoint=tmp_path, progress=False)
    assert digest(resumed) == straight[method]


def test_a_broken_checkpoint_is_told_and_not_taken_for_a_new_start(domain, tmp_path) -> None:
    path = tmp_path / CHECKPOINT
    for broken in (b"", b"not a checkpoint at all", b"\x10\x00\x00\x00\x00\x00\x00\x00{}"):
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="broken or no checkpoint .* delete it"):
            align.train("erm", domain, config=TINY, checkpoint=tmp_path, progress=False)
    for other in ([1], {"states": {}}, {"states": {}, "notes": 3}, {"x": torch.zeros(1)}, Path()):
        torch.save(other, path)
        with pytest.raises(ValueError, match="broken or no checkpoint .* delete it"):
            checkpoint.read(path)


class Prank:
    """What a stranger may put into a pickle: opening it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_a_strangers_checkpoint_runs_no_code(tmp_path) -> None:
    path, made = tmp_path / CHECKPOINT, tmp_path / "made"
    torch.save({"states": {}, "notes": {"history": Prank(made)}}, path)
    with pytest.raises(ValueError, match="broken or no checkpoint"):
        checkpoint.read(path)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the control: so it would have been made
    assert made.exists()


WITHOUT_SUMS = '{"config": {}, "classes": 2, "history": [], "seconds": 1, "images": 1, "sha256": 3}'


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"config": {"method": "x"}}', '{"config": 3}', WITHOUT_SUMS]
)
def test_a_broken_run_is_told(text, tmp_path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match="broken or of another version"):
        Run.load(tmp_path)


SURROUNDED = """
import sys, align
from align.data.folders import load_folder
sys.path.insert(0, sys.argv[2])
from test_reproducibility import TINY, digest
found = load_folder(sys.argv[1], size=8, progress=False, cache=sys.argv[3])
print([d.fingerprint() for d in found], found.classes, [d.files for d in found])
domain = align.load("toy-vlcs", n=96, size=32)["noon"]
print(domain.fingerprint(), [part.fingerprint() for part in domain.split(0.7, 5)])
print(digest(align.train("align", domain, config=TINY, progress=False)))
"""


def test_the_seed_of_pythons_hashes_does_not_matter(tmp_path) -> None:
    # Eight domains and eight classes: a set of them has one order in both only by a rare chance.
    for number in range(8):
        path = tmp_path / "data" / f"d{number}" / f"c{7 - number}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 30 * number, 9)).save(path)
    here = os.path.dirname(__file__)
    outputs, packs = set(), set()
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SURROUNDED, str(tmp_path / "data"), here, str(tmp_path / seed)],
            env=os.environ | {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    for seed, process in zip(("1", "2"), running, strict=True):
        outputs.add(process.communicate(timeout=120)[0])
        assert process.returncode == 0
        packs.add(tuple(sorted(p.name for p in (tmp_path / seed).glob("*.pack"))))
    assert len(outputs) == 1 and len(packs) == 1
    assert len(outputs.pop().splitlines()) == 3


def test_the_number_of_workers_does_not_matter(tmp_path, monkeypatch) -> None:
    for number in range(40):
        path = tmp_path / "data" / "d" / f"c{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 5 * number, 9)).save(path)
    prints = set()
    for workers in (1, 2, 7):
        monkeypatch.setattr(cache, "_threads", lambda workers=workers: workers)
        found = load_folder(
            tmp_path / "data", size=8, progress=False, cache=tmp_path / str(workers)
        )
        prints.add(found["d"].fingerprint())
    assert len(prints) == 1


def test_the_order_and_size_of_batches_do_not_matter(domain) -> None:
    classifier = align.Classifier("small-cnn", 5).eval()
    part = domain.subset(torch.arange(60))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    whole = metrics.predict(classifier, part.images)
    for size in (1, 7, 60):
        shuffled = metrics.predict(classifier, part.images[order], batch_size=size)
        torch.testing.assert_close(shuffled, whole[order], rtol=1e-5, atol=1e-6)
        maps = align.grad_cam(classifier, part.images[order] / 255, part.labels[order])
        torch.testing.assert_close(
            maps, align.grad_cam(classifier, part.images / 255, part.labels)[order]
        )
    results = [
        align.evaluate(classifier, part, max_explained=16, batch_size=size) for size in (5, 60)
    ]
    for name, value in results[0].items():
        assert results[1][name] == pytest.approx(value, abs=1e-4), name


@pytest.fixture(scope="module")
def record():
    wanted = Experiment(
        "toy-vlcs", "noon", replace(TINY, method="guided"), {"n": 100, "size": 32}, 8, missed=0.2
    )
    return json.loads(json.dumps(run(wanted, progress=False)[0]))


def test_a_run_is_made_again_from_its_record_alone(record, tmp_path) -> None:
    again = rerun(record, progress=False)
    assert again.differences() == {} and again.place() == {} and again.largest() == 0
    path = tmp_path / "r.jsonl"
    records.append(path, record)
    done = CliRunner().invoke(app, ["benchmark", "rerun", f"{path}:{record['key'][:6]}"])
    assert done.exit_code == 0 and "0 numbers differ" in done.stdout
    changed = json.loads(json.dumps(record))
    changed["metrics"]["dusk"]["accuracy"] += 0.25
    (tmp_path / "record.json").write_text(json.dumps(changed))
    done = CliRunner().invoke(app, ["benchmark", "rerun", str(tmp_path / "record.json")])
    assert done.exit_code == 1
    assert "metrics/dusk/accuracy" in done.stdout and "1 numbers differ" in done.stdout


def test_differences_are_found_wherever_they_are(record) -> None:
    other = json.loads(json.dumps(record))
    other["data"]["noon"] = "another"
    other["history"][0]["loss"] += 0.5
    other["human"] = {"pennfudan_person": {"iou": 0.5}}
    other["torch"] = "0.1"
    del other["metrics"]["fog"]["accuracy"]
    found = Rerun(record, other)
    assert set(found.differences()) == {
        "data/noon",
        "history/0/loss",
        "human/pennfudan_person",
        "metrics/fog/accuracy",
    }
    assert found.largest() == float("inf") and set(found.place()) == {"torch"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"method": "erm", "masker_epochs": 1}}, "made at revision"),
        ({"config": 3}, "does not describe a run"),
        ({"source": "dusk"}, "it was changed"),
        ({"key": None}, "it was changed"),
    ],
)
def test_a_record_that_does_not_describe_its_run_is_refused(record, change, message) -> None:
    assert experiment_of(record).key() == record["key"]
    with pytest.raises(ValueError, match=message):
        experiment_of(record | change)
    for other in ({}, [], None, 3):
        with pytest.raises(ValueError, match="does not describe a run"):
            experiment_of(other)


def test_every_recorded_run_can_be_made_again() -> None:
    """Whatever the defaults are by now: a record says nothing of choices that came after it."""
    files = sorted(records.RESULTS.glob("*.jsonl"))
    assert files
    for file in files:
        for record in records.read(file):
            assert experiment_of(record).key() == record["key"], file.name


def test_a_record_is_found_by_its_key_or_refused(record, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(records, "RESULTS", tmp_path)
    for key in ("abc1", "abc2"):
        records.append(tmp_path / "a.jsonl", record | {"key": key})
    assert find("abc2")["key"] == "abc2"
    for name, count in (("abc", 2), ("zzz", 0), (f"{tmp_path}/a.jsonl:", 2)):
        with pytest.raises(ValueError, match=f"{count} records have a key that begins with"):
            find(name)
    with pytest.raises(FileNotFoundError):
        find(str(tmp_path / "absent.json"))
    with pytest.raises(FileNotFoundError, match="there is no file"):
        find("absent.jsonl:abc")
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(ValueError, match="holds no record"):
        find(str(tmp_path / "b.json"))
