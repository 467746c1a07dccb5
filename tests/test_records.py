"""Records: whole or absent, safe with several writers; statistics against textbook values."""

import json
import multiprocessing
import subprocess
import threading

import numpy as np
import pytest
import torch
from filelock import FileLock
from synthetic import BARE

from align import records
from alignbook.campaign.statistics import interval, paired


def _write(arguments):
    path, writer = arguments
    for number in range(50):
        records.append(path, BARE | {"writer": writer, "number": number, "padding": "x" * 3000})


def test_several_writers_lose_and_double_nothing(tmp_path):
    path = tmp_path / "r.jsonl"
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        pool.map(_write, [(path, writer) for writer in range(3)])
    found = [(r["writer"], r["number"]) for r in records.read(path)]
    assert sorted(found) == [(w, n) for w in range(3) for n in range(50)]


def test_a_writer_waits_for_another_that_has_the_file(tmp_path):
    path = tmp_path / "r.jsonl"
    second = threading.Thread(target=records.append, args=(path, BARE | {"a": 1}))
    with FileLock(records.lock_of(path)):
        second.start()
        second.join(0.3)
        assert second.is_alive() and records.read(path) == []
    second.join(10)
    assert records.read(path) == [BARE | {"a": 1}]


def test_a_torn_line_costs_only_itself(tmp_path):
    path = tmp_path / "r.jsonl"
    records.append(path, BARE | {"a": 1})
    with path.open("ab") as file:
        file.write(b'{"a": 2, "cut')
    records.append(path, BARE | {"a": 3})
    assert [r["a"] for r in records.read(path)] == [1, 3]
    assert records.read(tmp_path / "absent.jsonl") == []


def test_the_line_of_a_writer_that_was_killed_is_closed_before_the_next(tmp_path):
    path = tmp_path / "deep" / "down" / "r.jsonl"
    records.append(path, {"b": 1, "a": 2})
    assert path.read_text() == '{"a": 2, "b": 1}\n'
    with path.open("ab") as file:
        file.write(b"{")
    records.append(path, {"a": 3})
    records.append(path, {"a": 4})
    assert path.read_text() == '{"a": 2, "b": 1}\n{\n{"a": 3}\n{"a": 4}\n'


def test_a_record_is_on_the_disk_before_its_run_counts_as_made(tmp_path, monkeypatch):
    at_sync = []
    path = tmp_path / "r.jsonl"
    monkeypatch.setattr(records.os, "fsync", lambda _: at_sync.append(path.read_text()))
    records.append(path, {"a": 1})
    assert at_sync == ['{"a": 1}\n']


def test_a_revision_is_that_of_the_code_and_says_if_it_was_changed(tmp_path, monkeypatch):
    def git(*words):
        run = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(run, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.setattr(records, "ROOT", tmp_path)
    assert records.provenance("cpu")["revision"] == "unknown"
    git("init", "-q")
    (tmp_path / "align").mkdir()
    (tmp_path / "align" / "code.py").write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    revision = git("rev-parse", "HEAD")[:12]
    (tmp_path / "notes.txt").write_text("not the library")
    assert records.provenance("cpu")["revision"] == revision
    (tmp_path / "align" / "code.py").write_text("2")
    assert records.provenance("cpu")["revision"] == revision + "+"


def test_what_is_not_a_finite_number_is_refused_and_nothing_is_written(tmp_path):
    path = tmp_path / "r.jsonl"
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="[Oo]ut of range float"):
            records.append(path, {"a": value})
    assert not path.exists()


def test_provenance_says_where_a_run_was_made():
    found = records.provenance("cpu")
    assert found["device"] == "cpu"
    wanted = {"device", "processor", "python", "torch", "torchvision", "revision"}
    assert set(found) == wanted and all(found.values())
    assert found["processor"].endswith(", " + torch.backends.cpu.get_cpu_capability())
    assert json.dumps(found)


def test_interval_equals_the_textbook():
    # Mean 3, s = 1.5811, t(4, .975) = 2.776: half width 2.776 * 1.5811 / sqrt(5) = 1.963.
    found = interval([1, 2, 3, 4, 5])
    assert found.mean == 3
    assert found.high - 3 == pytest.approx(1.963, abs=5e-4)
    assert found.low + found.high == pytest.approx(6)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = [
        low <= 0.3 <= high
        for _, low, high in (interval(rng.normal(0.3, 2, 5)) for _ in range(2000))
    ]
    # Binomial(2000, .95): standard deviation .0049; 4 of them.
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)


def test_pairing_removes_what_the_seeds_share():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 10, 5)
    gain = paired(shared + 1 + rng.normal(0, 0.01, 5), shared)
    assert gain.excludes_zero
    assert gain.mean == pytest.approx(1, abs=0.05)
    assert not paired([1, 2, 3], [2, 2, 2]).excludes_zero


@pytest.mark.parametrize("values", [[1.0], [1.0, float("nan")], []])
def test_too_little_for_an_interval_is_refused(values):
    with pytest.raises(ValueError, match="at least 2 finite values"):
        interval(values)
    with pytest.raises(ValueError, match="pair them by seed"):
        paired([1.0, 2.0], [1.0])
