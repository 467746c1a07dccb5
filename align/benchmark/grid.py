"""What is run: each grid is a list of experiments, and the file that its records go to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from align.benchmark.experiment import Experiment
from align.benchmark.records import RESULTS
from align.config import Config

TOY = Config()
"""The defaults are the toy recipe."""

PHOTOS = Config(
    backbone="mobilenet_v2",
    output_stride=16,
    epochs=8,
    batch_size=32,
    lr=2e-4,
    warmup=2,
    masker_epochs=2,
)
"""Fine-tuning of a pretrained network; `weights` is set by the caller."""


def toy_vlcs(weights: str | None = None) -> list[Experiment]:
    """ERM, true masks and ALIGN, trained on the first domain of `toy-vlcs`, 5 seeds."""
    variants = [
        replace(TOY, method="erm"),
        replace(TOY, method="guided"),
        replace(TOY, method="guided", alignment="bce"),
        replace(TOY, method="align"),
        replace(
            TOY,
            method="align",
            alignment="bce",
            distinction="probability",
            fill="zero",
            stretch=False,
        ),
    ]
    return [
        Experiment("toy-vlcs", "noon", replace(config, seed=seed))
        for seed in range(5)
        for config in variants
    ]


GRIDS: dict[str, Callable[..., list[Experiment]]] = {"toy-vlcs": toy_vlcs}


def experiments(grid: str) -> list[Experiment]:
    """The experiments of a grid.

    Args:
        grid: one of `GRIDS`.

    Raises:
        ValueError: if there is no grid of that name.
    """
    if grid not in GRIDS:
        raise ValueError(f"grid '{grid}' is unknown, expected one of {', '.join(GRIDS)}")
    return GRIDS[grid]()


def records_file(grid: str) -> Path:
    """The file that a grid's records are in."""
    return RESULTS / f"{grid}.jsonl"
