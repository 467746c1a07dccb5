"""`align gpu`: find the device, print the plan, do it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch

from align.records import RESULTS, ROOT
from alignbook.gpu import device as devices
from alignbook.gpu import plan as plans
from alignbook.gpu import session
from alignbook.gpu.report import Report, alone
from alignbook.gpu.sizes import sizes
from alignbook.gpu.stages import everything
from alignbook.gpu.tables import goals
from alignbook.tiers import tier

LEAST = 4.0
"""Minutes below which nothing would be worth its start."""

PACKED = Path("runs/packed")
WORK = Path("runs/gpu")


def run(
    minutes: float = 8.0,
    device: str | None = None,
    out: Path | None = None,
    *,
    packed: Path | None = None,
    root: Path | None = None,
    only_plan: bool = False,
) -> int:
    """Do on a device what fits the minutes, most valuable first.

    Args:
        minutes: length of the session, at least `LEAST`.
        device: "cuda", "cpu" for a rehearsal, or None for the GPU.
        out: the folder that everything is written to; None takes `results/gpu/DEVICE/`, for a
            rehearsal `runs/gpu/rehearsal/`.
        packed: folder of packed pictures; None looks in `runs/packed/`.
        root: folder with the benchmarks' data; None takes `$ALIGN_DATA`.
        only_plan: print the plan and do nothing; for a GPU, this needs none.

    Returns:
        0, or 1 where a unit failed or a check does not hold.

    Raises:
        ValueError: if there is no such device, or the minutes are too few.
        BlockingIOError: if another process writes into the folder.
    """
    began = time.monotonic()
    if not minutes >= LEAST:
        raise ValueError(f"minutes is {minutes:g}, expected at least {LEAST:g}")
    if only_plan and device in (None, "", "cuda") and not torch.cuda.is_available():
        print("No GPU is visible to PyTorch. On one of which nothing is known, this is the plan:")
        print(plans.text(_foreseen(minutes, packed or PACKED, root), minutes))
        return 0
    found = devices.find(device)
    folder = out or default_folder(found)
    work = WORK / f"work-{found.slug}"
    if packed is None and not found.is_rehearsal:
        packed = PACKED
    with alone(folder):
        chosen = sizes(found)
        report = Report(folder, found, chosen.tier)
        units = everything(found, report, packed, root, work)
        memory = "" if found.memory is None else f", {found.memory:g} GiB"
        print(f"{found.name}{memory}, torch {found.described()['torch']}; writing into {folder}")
        left = began + 60 * minutes - time.monotonic()
        steps = plans.plan(units, left, report.done(), chosen.pace)
        print(plans.text(steps, minutes), flush=True)
        if only_plan:
            return 0
        report.begin(minutes)
        bad = session.run(units, report, 60 * minutes, began, chosen.pace, _say)
    if not found.is_rehearsal:
        print("\n".join(f"  goal: {line}" for line in goals(report.content)))
    done = len(report.done() & {unit.key for unit in units})
    print(f"{done} of {len(units)} units done; {folder / 'report.md'} says what came out")
    if bad:
        print(f"not as it should be: {', '.join(bad)}")
    return 1 if bad else 0


def here(minutes: float = 8.0) -> int:
    """`run` where there is a GPU; elsewhere say so in one sentence and print what it would do.

    Args:
        minutes: length of the session.

    Returns:
        0, or 1 where a unit failed or a check does not hold.
    """
    if torch.cuda.is_available() and tier() == "gpu":
        return run(minutes)
    print("Not run here: no GPU is visible to PyTorch. On one, this is the plan:")
    print(plans.text(preview(minutes), minutes))
    return 0


def preview(minutes: float) -> list[plans.Step]:
    """The plan for a GPU that nothing is known of, with no pictures at hand.

    Args:
        minutes: length of the session.
    """
    with tempfile.TemporaryDirectory() as empty:
        return _foreseen(minutes, None, Path(empty))


def _foreseen(minutes: float, packed: Path | None, root: Path | None) -> list[plans.Step]:
    """The plan for a GPU that nothing is known of; packed pictures and data as `run` takes them."""
    unknown = devices.Device("cuda", "a GPU", None, "", 1)
    with tempfile.TemporaryDirectory() as folder:
        report = Report(Path(folder), unknown, sizes(unknown).tier)
        units = everything(unknown, report, packed, root, Path(folder))
        return plans.plan(units, 60 * minutes)


def _say(line: str) -> None:
    print(line, flush=True)


def default_folder(device: devices.Device) -> Path:
    """Where a device's numbers go: beside the records, or, for a rehearsal, out of their way."""
    if device.is_rehearsal:
        return WORK / "rehearsal"
    # Installed, as in Colab, the records lie inside the package: the working folder is better.
    return (
        (RESULTS if (ROOT / "pyproject.toml").is_file() else Path("results")) / "gpu" / device.slug
    )
