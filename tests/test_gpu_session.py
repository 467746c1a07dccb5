"""A session on a device: what fits is done, what was done stays, whatever is killed when."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch
from waiting import wait_for

from align import records
from alignbook.gpu import plan as plans
from alignbook.gpu import report as reports
from alignbook.gpu import session
from alignbook.gpu.device import Device, find
from alignbook.gpu.plan import NotHereError, Unit, plan
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import REHEARSAL
from alignbook.gpu.stages import everything

FORK = multiprocessing.get_context("fork")
CPU = find("cpu")


@pytest.fixture(autouse=True)
def no_questions_to_git(monkeypatch):
    """Each session asks for the code's revision, which takes longer than these units."""
    monkeypatch.setattr(records, "provenance", lambda device: {"revision": "0" * 12})


def unit(name, seconds=1.0, rank=0, stage="speed", work=lambda: {"value": 1}):
    return Unit(stage, name, rank, seconds, f"what {name} does", work)


def states(steps):
    return {step.unit.name: step.state for step in steps}


def do(units, folder, seconds=60.0, **options):
    report = Report(folder, CPU, "rehearsal")
    report.begin(seconds / 60)
    bad = session.run(units, report, seconds, time.monotonic(), say=lambda line: None, **options)
    return bad, report


def test_the_most_valuable_comes_first_and_a_short_one_still_fits():
    units = [unit("late", 5, rank=2), unit("first", 10), unit("long", 100, rank=1)]
    steps = plan(units, 20 + plans.RESERVE)
    assert [step.unit.name for step in steps] == ["first", "long", "late"]
    assert states(steps) == {"first": "planned", "long": "left out", "late": "planned"}
    steps = plan(units, 20 + plans.RESERVE, done={"speed/first"}, pace=0.15)
    assert states(steps) == {"first": "done", "long": "planned", "late": "planned"}
    assert states(plan(units, 0)) == {n: "left out" for n in ("first", "long", "late")}
    text = plans.text(plan(units, 20 + plans.RESERVE), 8)
    assert "2 units, about 0.2 of 8 minutes; 1 do not fit" in text


def test_a_fault_a_reason_and_a_verdict_are_written_and_the_rest_goes_on(tmp_path):
    def fail():
        time.sleep(0.1)  # the session's seconds are kept to a tenth
        raise ValueError("no luck\nmore")

    def absent():
        raise NotHereError("no such thing here")

    units = [
        unit("bad", stage="checks", work=fail),
        unit("absent", stage="checks", work=absent),
        unit(
            "false",
            stage="checks",
            work=lambda: {"holds": False, "value": 2.0, "limit": 1.0, "what": "it"},
        ),
        unit(
            "good",
            stage="checks",
            work=lambda: {"holds": True, "value": 0.0, "limit": 1.0, "what": "it"},
        ),
    ]
    bad, _ = do(units, tmp_path)
    assert bad == ["checks/bad", "checks/false"]
    found = reports.read(tmp_path)
    assert {key: entry["state"] for key, entry in found["units"].items()} == {
        "checks/bad": "failed",
        "checks/absent": "not here",
        "checks/false": "done",
        "checks/good": "done",
    }
    assert found["units"]["checks/bad"]["reason"].startswith("ValueError: no luck (test_gpu_se")
    assert found["sessions"][0]["ended"] == "all done" and found["sessions"][0]["seconds"] > 0
    page = (tmp_path / "report.md").read_text()
    assert "no such thing here" in page and "**does not hold**" in page


def test_what_takes_too_long_is_cut_off_and_done_next_time(tmp_path, monkeypatch):
    monkeypatch.setattr(plans, "RESERVE", 0.2)

    def sleep():
        try:
            time.sleep(30)
        except Exception:  # what libraries do with errors must not keep the session
            time.sleep(30)

    began = time.monotonic()
    _, report = do([unit("long", 0.1, work=sleep)], tmp_path, plans.RESERVE + 1)
    assert time.monotonic() - began < 20
    assert report.content["units"]["speed/long"]["state"] == "interrupted"
    assert report.content["sessions"][0]["ended"] == "minutes used"
    bad, report = do([unit("long")], tmp_path)
    assert not bad and report.done() == {"speed/long"} and len(report.content["sessions"]) == 2


def test_no_alarm_is_left_behind():
    before = signal.getsignal(signal.SIGALRM)
    with session.time_limit(100):
        pass
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) == before
    with pytest.raises(session.TimeUpError), session.time_limit(0.05):
        time.sleep(5)


def test_the_pace_that_a_device_shows_corrects_the_guesses(tmp_path):
    slow = [unit(str(i), 0.001, rank=i, work=lambda: time.sleep(0.02) or {}) for i in range(3)]
    last = unit("last", 10.0, rank=9)
    _, report = do([*slow, last], tmp_path, plans.RESERVE + 30)
    assert report.done() == {"speed/0", "speed/1", "speed/2"}  # eight times ten do not fit
    _, report = do([*slow, last], tmp_path, plans.RESERVE + 30)
    assert "speed/last" in report.done()


def _ended(process):
    process.join(120)
    return process.exitcode


def _many(folder, log, allowed):
    def work(number):
        while number >= allowed.value:  # the kill comes, however slow the machine
            time.sleep(0.001)
        with log.open("a") as file:
            file.write(f"{number}\n")
        return {"value": number, "padding": "x" * 5000}

    units = [unit(f"{i:02}", 0.01, work=lambda i=i: work(i)) for i in range(25)]
    do(units, folder, 300)


def test_a_kill_at_any_moment_loses_nothing_that_was_done(tmp_path):
    folder, log, allowed = tmp_path / "out", tmp_path / "log", FORK.Value("i", 0)
    log.touch()
    rng, before = np.random.default_rng(0), set()
    for begun in range(0, 24, 4):
        allowed.value = begun + 4
        process = FORK.Process(target=_many, args=(folder, log, allowed))
        process.start()
        wait_for(lambda begun=begun: f"{begun}\n" in log.read_text().splitlines(keepends=True))
        time.sleep(0.03 * rng.random())  # somewhere in the next four units, or in writing one down
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        now = {int(key.split("/")[1]) for key in reports.read(folder)["units"]} if begun else set()
        assert before | set(range(begun)) <= now
        before = now
        assert len(list(tmp_path.glob("out/*"))) <= 8
    allowed.value = 25
    process = FORK.Process(target=_many, args=(folder, log, allowed))
    process.start()
    assert _ended(process) == 0
    units = reports.read(folder)["units"]
    assert {int(key.split("/")[1]): entry["result"]["value"] for key, entry in units.items()} == {
        i: i for i in range(25)
    }
    assert len(log.read_text().split()) <= 25 + 6  # a kill costs the unit it came in
    left = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))
    assert left == ["report.json", "report.md"]


STAGES = {
    "checks": ("outputs", "gradients"),
    "speed": ("rates-small-cnn", "steps-small-cnn"),
    "training": ("toy-vlcs-erm-0-", "toy-vlcs-align-0-"),
    "grids": None,
}


def _two_units(stage, folder, work):
    """The first two units of a stage, as the command lists them, and the report."""
    report = Report(folder, CPU, "rehearsal")
    units = [u for u in everything(CPU, report, None, None, work) if u.stage == stage]
    if STAGES[stage]:
        units = [u for u in units if u.name.startswith(STAGES[stage])]
    assert len(units) == 2
    return units, report


def _killed_in_the_second(stage, folder, work, reached):
    torch.set_num_threads(1)  # OpenMP's other threads stay behind in a fork, which would wait
    (first, second), report = _two_units(stage, folder, work)

    def slowly():
        reached.set()
        result = second.work()
        time.sleep(60)  # done, but not yet written down: the worst moment
        return result

    report.begin(4)
    held = Unit(second.stage, second.name, second.rank, second.seconds, second.what, slowly)
    session.run([first, held], report, 240, time.monotonic(), 0.1, lambda line: None)


@pytest.mark.parametrize("stage", STAGES)
def test_a_kill_in_each_stage_keeps_what_is_done_and_the_next_start_goes_on(stage, tmp_path):
    folder, work = tmp_path / "out", tmp_path / "work"
    reached = FORK.Event()
    process = FORK.Process(target=_killed_in_the_second, args=(stage, folder, work, reached))
    process.start()
    assert reached.wait(60)
    if stage in ("training", "grids"):  # let it train, and record or nearly so
        wait_for(lambda: any(work.rglob("checkpoint*")) or _recorded(folder) == 2)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL

    (first, second), report = _two_units(stage, folder, work)
    assert report.done() == {first.key}
    kept = json.dumps(report.content["units"][first.key])
    report.begin(4)
    assert session.run([first, second], report, 240, time.monotonic(), 0.1, lambda _: None) == []
    found = reports.read(folder)
    assert json.dumps(found["units"][first.key]) == kept  # not done again
    assert found["units"][second.key]["state"] == "done"
    assert [s["ended"] for s in found["sessions"]] == ["cut off", "all done"]
    if stage in ("training", "grids"):
        keys = [record["key"] for record in records.read(report.records)]
        assert len(keys) == len(set(keys)) == 2
        assert not list(work.rglob("checkpoint*"))  # they have done their service


def _recorded(folder):
    return len(records.read(folder / reports.RECORDS))


def test_a_folder_belongs_to_one_device_and_one_tier(tmp_path):
    do([unit("a")], tmp_path)
    with pytest.raises(ValueError, match="holds the numbers of cpu .rehearsal., expected Tesla T4"):
        Report(tmp_path, Device("cuda", "Tesla T4", 15.0, "7.5", 2), "gpu")
    with pytest.raises(ValueError, match="choose another folder"):
        Report(tmp_path, CPU, "gpu")
    (tmp_path / "report.json").write_text('{"device": {}')
    with pytest.raises(ValueError, match="broken or no report"):
        Report(tmp_path, CPU, "rehearsal")


def test_two_processes_do_not_write_into_one_folder(tmp_path):
    with reports.alone(tmp_path):
        with pytest.raises(BlockingIOError, match="another `make gpu`"), reports.alone(tmp_path):
            pass
    with reports.alone(tmp_path):
        pass


def test_a_full_file_of_records_takes_no_more(tmp_path, monkeypatch):
    report = Report(tmp_path, CPU, "rehearsal")
    assert report.has_room()
    report.records.write_bytes(b"x" * 100)
    monkeypatch.setattr(reports, "LARGEST", reports.ROOM + 99)
    assert not report.has_room()
    units = [u for u in everything(CPU, report, None, None, tmp_path / "w") if u.stage == "grids"]
    with pytest.raises(NotHereError, match="records.jsonl' is full"):
        units[0].work()


def test_every_unit_has_its_own_name_fit_for_a_folder(tmp_path):
    report = Report(tmp_path, CPU, "rehearsal")
    keys = [unit.key for unit in everything(CPU, report, None, None, tmp_path / "work")]
    assert len(keys) == len(set(keys)) > 15
    assert {key.split("/")[0] for key in keys} == set(plans.STAGES)
    assert REHEARSAL.tier == "rehearsal"
