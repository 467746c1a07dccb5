"""Many machines: the page's script shares a grid, and what they record is merged without loss."""

from __future__ import annotations

import collections
import json
import multiprocessing
import os
import re
import subprocess
import sys
from dataclasses import replace
from multiprocessing.connection import Listener
from pathlib import Path

import pytest
from synthetic import BARE

from align import records
from align.cli import main
from alignbook.campaign import grid, runner
from alignbook.campaign.merging import merge
from book.tools import project

FORK = multiprocessing.get_context("fork")
CELLS = project.notebook(project.ROOT / "book" / "train_on_a_gpu.ipynb").cells
PAGE = "\n\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")

STAND_IN = """#!{python} -IS
import os, sys
from multiprocessing.connection import Client

with Client({address!r}) as test:
    test.send((sys.argv, os.getcwd(), dict(os.environ)))
    text, status = test.recv()
print(text)
sys.exit(status)
"""
"""In place of the command: hands what it was given to the test, which has imported all already."""


def few_runs():
    """Eight runs of the grid, on worlds that are rendered in no time."""
    return [replace(one, options={"size": 32, "n": 20}) for one in grid.toy()[:8]]


def _align(argv, folder, environment, output):
    """The command as it is, in a process of its own, on eight runs that take no time."""
    os.chdir(folder)
    os.environ.update(environment)
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), 1)
    sys.stdout = os.fdopen(1, "w")
    sys.argv = argv
    wanted = few_runs()
    grid.GRIDS["toy"] = lambda: wanted
    grid.records_file = lambda name: Path("results") / f"{name}.jsonl"
    runner.run = lambda one, **_: (
        {
            "key": one.key(), "seconds": 1.0, "metrics": {}, "padding": "x" * 20000,
            **one.description(),
        },
        None,
    )  # fmt: skip
    main()


def a_record(number, accuracy=0.5):
    return BARE | {"key": f"{number:012d}", "metrics": {"noon": {"accuracy": accuracy}}}


def keys(path):
    return collections.Counter(record["key"] for record in records.read(path))


def the_script():
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", PAGE, re.DOTALL)
    return script


def test_two_tasks_of_the_slurm_array_make_the_grid_once(tmp_path):
    (tmp_path / "grid.sbatch").write_text(the_script())
    command = tmp_path / ".venv" / "bin" / "align"
    command.parent.mkdir(parents=True)

    def task(number):  # what Slurm tells a task of an array
        told = {"SLURM_ARRAY_TASK_ID": number, "SLURM_ARRAY_TASK_COUNT": 2}
        env = os.environ | {k: str(v) for k, v in told.items()}
        return subprocess.Popen(
            ["bash", "grid.sbatch", "toy"], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
        )

    with Listener() as listener:
        command.write_text(STAND_IN.format(python=sys.executable, address=listener.address))
        command.chmod(0o755)
        tasks = [task(number) for number in (1, 2)]
        asked = [listener.accept() for _ in tasks]
        processes = []
        for number, connection in enumerate(asked):
            arguments = (*connection.recv(), str(tmp_path / f"output-{number}"))
            processes.append(FORK.Process(target=_align, args=arguments))
            processes[-1].start()
        for number, (connection, process) in enumerate(zip(asked, processes, strict=True)):
            process.join(120)
            connection.send(((tmp_path / f"output-{number}").read_text(), process.exitcode))
    said = [one.communicate(timeout=60)[0] for one in tasks]
    assert [one.returncode for one in tasks] == [0, 0]
    assert all(re.search(r"^4 runs recorded now in toy.jsonl, 4 of 4", text, re.M) for text in said)
    assert keys(tmp_path / "results" / "toy.jsonl") == {one.key(): 1 for one in few_runs()}


def test_the_script_asks_slurm_for_what_the_page_says():
    options = re.findall(r"(?m)^#SBATCH --([\w-]+)", the_script())
    assert len(options) == 5 and "adapt the five lines" in PAGE
    assert "array" in options and "requeue" in options


def _write(path, numbers):
    for number in numbers:
        records.append(path, a_record(number) | {"padding": "x" * 5000})


def test_two_writers_and_a_merge_at_once_lose_nothing(tmp_path):
    path, other = tmp_path / "toy.jsonl", tmp_path / "other.jsonl"
    _write(other, range(100, 140))
    writers = [
        FORK.Process(target=_write, args=(path, range(start, start + 40))) for start in (0, 40)
    ]
    writers.append(FORK.Process(target=merge, args=(path, [other])))
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    numbers = [*range(80), *range(100, 140)]
    assert keys(path) == {a_record(number)["key"]: 1 for number in numbers}


def test_a_merge_adds_each_run_once_and_names_what_differs(tmp_path):
    path, first, second = (tmp_path / f"{name}.jsonl" for name in ("toy", "first", "second"))
    _write(path, [0, 1])
    _write(first, [1, 2])
    records.append(first, a_record(0, accuracy=0.6))
    _write(second, [2, 3])
    with second.open("a") as file:
        file.write(json.dumps(a_record(4))[:20])  # a machine died here
    kept = first.read_bytes(), second.read_bytes()
    merged = merge(path, [first, second])
    assert (merged.added, merged.known) == (2, 3)
    assert merged.other == (a_record(0)["key"],)
    assert keys(path) == {a_record(n)["key"]: 1 for n in range(4)}
    assert records.read(path)[0]["metrics"]["noon"]["accuracy"] == 0.5  # the first stays
    assert (first.read_bytes(), second.read_bytes()) == kept
    assert merge(path, [first, second]).added == 0


def test_what_is_no_file_of_runs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file of records at"):
        merge(tmp_path / "toy.jsonl", [tmp_path / "absent.jsonl"])
    (tmp_path / "other.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(ValueError, match="is JSON and no record"):
        merge(tmp_path / "toy.jsonl", [tmp_path / "other.jsonl"])


def test_the_page_names_commands_that_exist():
    from typer.main import get_command

    from align.cli import app

    words = re.findall(r"(?m)align benchmark (\w+)", PAGE)
    known = get_command(app).commands["benchmark"].commands
    assert set(words) <= set(known) and {"run", "status", "merge"} <= set(words)
