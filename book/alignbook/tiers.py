"""How large a chapter's experiments are: seconds in tests, minutes on a laptop, more on a GPU."""

from __future__ import annotations

import os
import sys
from typing import Literal, TypeVar

Tier = Literal["smoke", "book", "gpu"]
T = TypeVar("T")

TIERS: tuple[Tier, ...] = ("smoke", "book", "gpu")

SHORT = 0.75
"""Minutes that are called less than one."""


def tier() -> Tier:
    """Return the tier that this process runs at.

    Returns:
        The value of the environment variable `ALIGN_TIER`; without it `"gpu"` where CUDA is
        available and `"book"` elsewhere.

    Raises:
        ValueError: if `ALIGN_TIER` names no tier.
    """
    chosen = os.environ.get("ALIGN_TIER", "").strip()
    if chosen in TIERS:
        return chosen
    if chosen:
        raise ValueError(
            f"ALIGN_TIER is '{chosen}', expected smoke, book or gpu; "
            "unset it to let the device decide"
        )
    return "gpu" if _cuda() else "book"


def pick(*, smoke: T, book: T, gpu: T) -> T:
    """Return the value for the tier that this process runs at.

    Args:
        smoke: the value for tests (seconds a notebook).
        book: the value for a reader without a GPU (two minutes a notebook at most).
        gpu: the value for a reader with a GPU.

    Returns:
        One of the three, unchanged.
    """
    return {"smoke": smoke, "book": book, "gpu": gpu}[tier()]


def announce(*, smoke: float, book: float, gpu: float, gpu_pays: bool = False) -> None:
    """Print the experiments' size, the device and the minutes; every notebook's first cell does.

    Args:
        smoke: minutes that the whole notebook takes at this tier.
        book: the same on two CPU cores.
        gpu: the same on a GPU.
        gpu_pays: True if the notebook trains for long; on Colab without a GPU, a sentence then
            says how to get one.
    """
    import torch

    # A processor that NNPACK cannot use is told of on stderr, in the middle of a page.
    torch.backends.nnpack.set_flags(False)
    device = _device()
    sized = pick(smoke="tests", book="these pages", gpu="a GPU")
    expected = _expected(pick(smoke=smoke, book=book, gpu=gpu))
    print(f"experiments sized for {sized} (tier {tier()}) · {device} · {expected}")
    if gpu_pays and not _cuda() and _in_colab():
        print(
            "A GPU may help here: "
            "choose Runtime > Change runtime type > T4 GPU, then run all cells again from the top."
        )


def _expected(minutes: float) -> str:
    if minutes < SHORT:
        return "less than a minute"
    whole = round(minutes)
    return f"about {whole} minute{'' if whole == 1 else 's'}"


def _device() -> str:
    if _cuda():
        import torch

        return torch.cuda.get_device_name(0)
    cores = os.cpu_count() or 1
    return f"CPU, {cores} core{'' if cores == 1 else 's'}"


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def _in_colab() -> bool:
    return "google.colab" in sys.modules
