"""A session: the planned units one after the other, each written down before the next begins."""

from __future__ import annotations

import gc
import signal
import statistics
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from alignbook.gpu.plan import NotHereError, Step, Unit, plan
from alignbook.gpu.report import Report

PACES = (0.2, 8.0)
"""The least and the greatest pace that the guesses are corrected by."""


class TimeUpError(BaseException):
    """The session's minutes are over; no `except Exception` in between may keep it."""


def run(
    units: Sequence[Unit],
    report: Report,
    seconds: float,
    began: float,
    pace: float = 1.0,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Do what fits, most valuable first.

    Args:
        units: all units.
        report: where everything is written.
        seconds: length of the session.
        began: when it began, on the clock of `time.monotonic`.
        pace: how many times as long as guessed units take, until the device has shown it.
        say: prints a line.

    Returns:
        The keys of units that failed, or whose check does not hold.
    """
    bad, tried, paces = [], set(), []
    how = "all done"
    while True:
        left = began + seconds - time.monotonic()
        shown = statistics.median(paces) if paces else pace
        steps = plan(units, left, report.done() | tried, shown)
        step = next((step for step in steps if step.state == "planned"), None)
        if step is None:
            how = "minutes used" if any(s.state == "left out" for s in steps) else how
            break
        tried.add(step.unit.key)
        entry = _attempt(step, left)
        report.add(step.unit.key, entry)
        say(f"  {step.unit.key}: {_said(entry)}")
        if entry["state"] == "done":
            low, high = PACES
            paces.append(min(max(entry["seconds"] / step.unit.seconds, low), high))
        if entry["state"] == "failed" or entry.get("result", {}).get("holds") is False:
            bad.append(step.unit.key)
        if entry["state"] == "interrupted":
            how = "minutes used"
            break
        if not _is_usable():
            how = "device lost"
            say("  the GPU no longer answers: start again, what is done is kept")
            break
    report.end(time.monotonic() - began, how)
    return bad


def _attempt(step: Step, left: float) -> dict:
    """What came of a unit: its state, seconds, and result or reason."""
    began = time.monotonic()
    try:
        with time_limit(left):
            outcome = {"state": "done", "result": step.unit.work()}
    except NotHereError as error:
        outcome = {"state": "not here", "reason": str(error)}
    except TimeUpError:
        outcome = {"state": "interrupted", "reason": "the minutes were over"}
    except Exception as error:  # one unit's fault must not cost the others
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = (str(error).strip() or "no message").splitlines()[0][:500]
        place = f"{where.filename.rpartition('/')[2]}:{where.lineno}"
        outcome = {"state": "failed", "reason": f"{type(error).__name__}: {text} ({place})"}
    if torch.cuda.is_available() and _is_usable():
        gc.collect()
        torch.cuda.empty_cache()
    return outcome | {"seconds": round(time.monotonic() - began, 2)}


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeUpError` in a block that takes longer.

    Where no signal arrives, outside of the main thread or on Windows, it is not cut off.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    active = [True]

    def up(*_: object) -> None:
        if active:
            raise TimeUpError

    before = signal.signal(signal.SIGALRM, up)
    # Again and again: code in between may swallow the first.
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01), 0.5)
    try:
        yield
    finally:
        active.clear()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_usable() -> bool:
    """Whether the GPU still answers; some errors take its whole process along."""
    if not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True


def _said(entry: dict) -> str:
    if entry["state"] != "done":
        return f"{entry['state']}: {entry['reason']}"
    holds = entry["result"].get("holds")
    verdict = "" if holds is None else ", holds" if holds else ", DOES NOT HOLD"
    return f"{entry['seconds']:.1f} s{verdict}"
