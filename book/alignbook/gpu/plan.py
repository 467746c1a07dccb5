"""What fits the minutes: units of work, most valuable first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

STAGES = {"checks": 1, "speed": 2, "training": 3, "grids": 4}
"""The stages' numbers, as the plan prints them."""

RESERVE = 4.0
"""Seconds kept back for the last report."""


class NotHereError(Exception):
    """A unit cannot be done on this device or with what is installed; its text says why."""


@dataclass(frozen=True)
class Unit:
    """The least piece of work: it is done whole, or not at all.

    Args:
        stage: one of `STAGES`.
        name: its name in the stage, of letters, digits and hyphens.
        rank: its value, 0 first; units of one rank follow in the order given.
        seconds: a first guess, until this device has shown its pace.
        what: what it does, for the plan.
        work: does it and returns what came out, JSON-ready; raises `NotHereError` where it cannot.
    """

    stage: str
    name: str
    rank: int
    seconds: float
    what: str
    work: Callable[[], dict]

    @property
    def key(self) -> str:
        """Its name among all units."""
        return f"{self.stage}/{self.name}"


@dataclass(frozen=True)
class Step:
    """A unit with what the plan does with it.

    Args:
        unit: the unit.
        seconds: how long it should take on this device.
        state: "done" earlier, "planned", or "left out" because it does not fit.
    """

    unit: Unit
    seconds: float
    state: str


def plan(
    units: Sequence[Unit], seconds: float, done: Collection[str] = (), pace: float = 1.0
) -> list[Step]:
    """Choose what fits.

    Args:
        units: all units.
        seconds: the time that is left.
        done: keys of units that need not be done again.
        pace: how many times as long as guessed units take on this device.

    Returns:
        Every unit, the most valuable first. One that does not fit any more is left out; a shorter
        one of less value may still fit.
    """
    left, steps = seconds - RESERVE, []
    for unit in sorted(units, key=lambda unit: unit.rank):
        expected = unit.seconds * pace
        if unit.key in done:
            steps.append(Step(unit, 0.0, "done"))
        elif expected <= left:
            left -= expected
            steps.append(Step(unit, expected, "planned"))
        else:
            steps.append(Step(unit, expected, "left out"))
    return steps


def text(steps: Sequence[Step], minutes: float) -> str:
    """The plan as it is printed, one line a unit and a sum."""
    lines = []
    for step in steps:
        took = "" if step.state == "done" else f"{step.seconds:6.0f} s"
        stage = f"{STAGES[step.unit.stage]} {step.unit.stage}"
        lines.append(f"  {stage:11s}{took:>9s}  {step.state:9s} {step.unit.what}")
    planned = [step for step in steps if step.state == "planned"]
    total = sum(step.seconds for step in planned) / 60
    rest = sum(step.state == "left out" for step in steps)
    lines.append(
        f"  {len(planned)} units, about {total:.1f} of {minutes:g} minutes"
        + (f"; {rest} do not fit: start again, or give more minutes" if rest else "")
    )
    return "\n".join(lines)
