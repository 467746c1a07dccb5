"""The command as it is called, and the tables of what devices wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from align.cli import app
from alignbook.gpu import command, device, tables
from alignbook.gpu import plan as plans
from alignbook.gpu.anchors import COUNT, LOOP, METRICS, RATE
from book.tools import project

INFERENCE = "of pure inference"
ERM = {"benchmark": "toy-vlcs", "method": "erm", "form": "erm", "setting": "a1"}
BIRDS = {"benchmark": "waterbirds", "method": "align", "form": "align, swap", "setting": "b2"}
CARD = {
    "device": {"kind": "cuda", "name": "NVIDIA H100", "memory": 79.2, "torch": "2.11.0"},
    "sessions": [{"seconds": 480.0, "revision": "0" * 12}],
    "units": {
        "checks/outputs": {"value": 1e-6, "limit": 1e-3, "holds": True, "what": "distance"},
        "checks/memory": {"value": 3.0, "limit": 2.5, "holds": False, "what": "peak memory"},
        "speed/rates-resnet50": {"batch": 512, "erm": 3100.0, "align": 1200.0, "rows": []},
        "speed/steps-resnet50": {
            "batch": 512,
            "rows": {"align": {"ratio to erm": 2.6, "with its own parts": 2.5}},
        },
        "speed/loop-resnet50": {"batch": 512, "erm": 0.97, "align": 0.93, "data": 31000.0},
        "speed/metrics-resnet50": {
            "rows": {"insertion": {INFERENCE: 0.95}, "sufficiency": {INFERENCE: 0.91}},
        },
        "speed/peers-resnet50": {"jpeg": 7.0, "captum": None},
        "training/toy-vlcs-erm-0": ERM | {"seed": 0, "out": 0.7},
        "training/toy-vlcs-erm-1": ERM | {"seed": 1, "out": 0.8},
        "training/birds-0": BIRDS
        | {"seed": 0, "out": 0.8, "worst group": 0.6, "mean of groups": 0.75},
        "training/birds-1": BIRDS | {"seed": 0, "setting": "c3", "worst group": 0.4},
        "speed/options-resnet50": {"batch": 512, "rows": {"erm": {"search": 1.0, "compiled": 1.2}}},
    },
}


@pytest.fixture
def card():
    units = {k: {"state": "done", "seconds": 1.0, "result": v} for k, v in CARD["units"].items()}
    units["speed/profile-resnet50"] = {"state": "failed", "seconds": 1.0, "reason": "a|b"}
    return CARD | {"units": units}


def test_a_device_is_a_column_and_a_rehearsal_is_none(card, tmp_path):
    assert tables.devices(tmp_path) == tables.NOT_RUN
    for name, content in (
        ("h100", card),
        ("cpu", card | {"device": {"kind": "cpu", "name": "cpu"}}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(content))
    table = tables.devices(tmp_path)
    assert list(table.columns) == ["NVIDIA H100"]
    column = table["NVIDIA H100"]
    assert column[RATE] == "3,100" and column["checks that hold"] == "1 of 2"
    assert column[COUNT] == "1.04" and column[LOOP] == "0.93" and column[METRICS] == "0.91"
    assert column["toy-vlcs, erm, accuracy out"] == "0.750 (2 runs)"
    assert column["waterbirds, align, swap, accuracy out"] == "0.800 (1 run)"
    assert column["waterbirds, align, swap, accuracy mean of groups"] == "0.750 (1 run)"
    worst = {
        setting: column[f"waterbirds, align, swap [{setting}], accuracy worst group"]
        for setting in ("b2", "c3")
    }
    assert worst == {"b2": "0.600 (1 run)", "c3": "0.400 (1 run)"}  # of two settings no mean
    assert "captum's map, its step over ours" not in column  # not installed there
    assert column["minutes of all sessions"] == "8.0"


def test_goals_are_reached_or_not_or_not_measured(card):
    said = {line.partition(":")[0]: line for line in tables.goals(card)}
    assert said[RATE.partition(":")[0]].endswith(": reached, 3,100.00")
    assert said[LOOP].endswith("not reached, 0.93") and said[COUNT].endswith(": reached, 1.04")
    other = card | {"device": card["device"] | {"name": "Tesla T4"}}
    assert not any(line.startswith(RATE) for line in tables.goals(other))
    bare = tables.goals(card | {"units": {}})
    assert len(bare) == len(said) and all(line.endswith("not measured") for line in bare)


def test_the_page_of_a_device_shows_each_unit_on_one_row(card):
    page = tables.page(card)
    rows = [line for line in page.splitlines() if line.startswith(("| checks/", "| speed/"))]
    assert len(rows) == 9 and all(line.count("|") == 5 for line in rows)
    assert "**does not hold**" in page and "a/b" in page
    assert "FFCV, ResNet-50, one A100: 3,040 images/s; here 3,100, 1.02 times it" in page
    assert "align: ratio to erm 2.6, with its own parts 2.5" in page
    assert "erm: search 1, compiled 1.2 times as fast as the default: compiled is faster" in page


def test_here_says_in_one_sentence_that_there_is_no_gpu(capsys):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert command.here(8) == 0
    assert capsys.readouterr().out.startswith("Not run here: no GPU is visible to PyTorch.")


@pytest.mark.parametrize("words", [[], ["--device", "cuda"]])
def test_a_plan_alone_needs_no_gpu_and_writes_nothing(words, tmp_path, monkeypatch):
    """The plan of the chapter, for the minutes given; a rehearsal's where that is asked for."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ALIGN_DATA", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    done = CliRunner().invoke(app, ["gpu", "--plan", "--minutes", "6", *words])
    first, *plan = done.stdout.splitlines()
    assert done.exit_code == 0 and first.startswith("No GPU is visible to PyTorch.")
    assert "\n".join(plan) == plans.text(command.preview(6), 6)
    assert "of 6 minutes" in plan[-1] and not list(tmp_path.iterdir())
    rehearsal = CliRunner().invoke(app, ["gpu", "--plan", "--device", "cpu", "--out", "here"])
    assert rehearsal.exit_code == 0 and rehearsal.stdout.startswith("cpu, torch ")
    assert CliRunner().invoke(app, ["gpu", "--plan", "--device", "tpu"]).exit_code != 0


def test_more_minutes_plan_no_less():
    few, many = (
        {step.unit.key for step in command.preview(minutes) if step.state == "planned"}
        for minutes in (4, 60)
    )
    assert few < many and "checks/outputs" in few
    assert not any(step.unit.stage == "grids" for step in command.preview(60))  # no data there


def test_a_device_that_is_not_there_or_no_device_is_refused():
    with pytest.raises(ValueError, match="device is 'tpu', expected cuda, or cpu"):
        device.find("tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="no GPU is visible to PyTorch"):
            device.find()
    for minutes in (3.9, float("nan")):
        with pytest.raises(ValueError, match="expected at least 4"):
            command.run(minutes, "cpu")
    card = device.Device("cuda", "NVIDIA H100 80GB HBM3", 79.2, "9.0", 16)
    assert card.slug == "nvidia-h100-80gb-hbm3" and not card.is_rehearsal
    assert command.default_folder(card).parts[-3:] == ("results", "gpu", card.slug)
    assert "results" not in command.default_folder(device.find("cpu")).parts


def test_make_passes_on_what_it_is_given_and_installs_nothing(tmp_path):
    words = ["gpu", f"PYTHON={sys.executable}", "DEVICE=cpu", "MINUTES=5"]
    done = subprocess.run(
        ["make", "-n", *words],
        cwd=project.ROOT,
        env=os.environ | {"OUT": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=True,
    )
    said = done.stdout.replace('"', "")
    assert "-m align gpu" in said and "pip install" not in said
    assert f"--minutes 5 --device cpu --out {tmp_path / 'out'}" in said


def test_the_command_line_hands_on_its_options_and_the_status(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(command, "run", lambda *words, **more: seen.append((words, more)) or 1)
    done = CliRunner().invoke(app, ["gpu", "--minutes", "5", "--device", "cpu"], env={"OUT": "x"})
    assert done.exit_code == 1
    assert seen == [((5.0, "cpu", Path("x")), {"packed": None, "root": None, "only_plan": False})]
