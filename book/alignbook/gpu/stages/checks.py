"""Stage 1: what must hold before any other number of this device means something."""

from __future__ import annotations

from alignbook.gpu.checks import CHECKS
from alignbook.gpu.device import Device
from alignbook.gpu.plan import Unit
from alignbook.gpu.sizes import Sizes

LATE = ("compiled",)
"""Checks that take long and that nothing else rests on."""


def units(device: Device, sizes: Sizes) -> list[Unit]:
    """One unit a check.

    Args:
        device: the device.
        sizes: its sizes.
    """
    return [
        Unit(
            "checks",
            name,
            rank=3 if name in LATE else 0,
            seconds=seconds,
            what=check.__doc__.splitlines()[0].rstrip("."),
            work=lambda check=check: check(device.torch, sizes).told(),
        )
        for name, (check, seconds) in CHECKS.items()
    ]
