"""How an answer is tried: on every case, until one is wrong.

A verdict begins with "Right" or with "Not yet". An exception in the reader's function, a missing
value and a wrong shape are verdicts too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

TOLERANCE = 1e-6
LINE = 160  # so many letters are still read
Case = tuple[str, tuple[Any, ...], Any]  # what it is, the arguments, the expected answer


def is_right(verdict: str) -> bool:
    """Whether a checker's verdict accepts the answer.

    Args:
        verdict: what one of the checkers returned.
    """
    return verdict.startswith("Right")


def verdict(
    candidate: Callable[..., Any],
    cases: Sequence[Case],
    fault: Callable[[float, tuple[Any, ...]], str | None] | None = None,
    tolerance: float = TOLERANCE,
) -> str:
    """Try the candidate on every case; `fault` judges an answer where no one number is right."""
    for name, arguments, wanted in cases:
        try:
            answer = candidate(*_copies(arguments))
        except Exception as error:  # the reader's code: whatever it raises is the verdict
            return f"Not yet: on {name} your function raises {type(error).__name__}: {error}"
        if answer is None:
            return "Not yet: your function returns nothing; write it and run the cell anew."
        try:
            value = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError):
            return f"Not yet: on {name} your function returns {answer!r}, expected numbers"
        expected = np.zeros(()) if wanted is None else np.asarray(wanted)
        if value.shape != expected.shape:
            return (
                f"Not yet: on {name} your answer has shape {value.shape}, expected {expected.shape}"
            )
        if np.isnan(value).any():
            return f"Not yet: on {name} your answer is not a number (nan)"
        problem = None
        if fault is not None:
            problem = fault(float(value), arguments)
        elif not np.allclose(value, expected, rtol=0, atol=tolerance):
            problem = f"your answer is {_say(value)}, expected {_say(expected)}"
        if problem:
            return f"Not yet: on {name} {problem}{_given(arguments)}"
    return f"Right: all {len(cases)} cases agree."


def _copies(arguments: Iterable[Any]) -> list[Any]:
    """Arrays are copied, so that an answer that writes into them spoils nothing."""
    return [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]


def _given(arguments: Iterable[Any]) -> str:
    """What the function was called with, where a line holds it: to be tried again by hand."""
    text = ", ".join(repr(a.tolist() if isinstance(a, np.ndarray) else a) for a in arguments)
    text = re.sub(r"\d+\.\d{4,}", lambda number: f"{float(number[0]):.3f}", text)
    return f"; it was given {text}" if len(text) <= LINE else ""


def _say(value: np.ndarray) -> str:
    return ", ".join(f"{number:.4f}" for number in np.ravel(value))
