"""The four stages, one file each; `everything` lists their units."""

from __future__ import annotations

from pathlib import Path

from alignbook.gpu.device import Device
from alignbook.gpu.plan import Unit
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import sizes
from alignbook.gpu.stages import checks, grids, speed, training


def everything(
    device: Device, report: Report, packed: Path | None, root: Path | None, work: Path
) -> list[Unit]:
    """All units that could be done on a device.

    Args:
        device: the device.
        report: where its numbers go.
        packed: folder of packed pictures, or None.
        root: folder with the benchmarks' data, or None for `$ALIGN_DATA`.
        work: folder for the checkpoints of unfinished trainings.
    """
    chosen = sizes(device)
    return [
        *checks.units(device, chosen),
        *speed.units(device, chosen, report),
        *training.units(device, chosen, report, packed, work),
        *grids.units(device, chosen, report, root, work),
    ]
