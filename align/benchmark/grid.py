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
    weights="weights/mobilenet_v2_imagenet.safetensors",
    output_stride=16,
    epochs=6,
    batch_size=32,
    lr=2e-4,
    warmup=2,
    head_start=1,
)
"""Fine-tuning of an ImageNet network at 96 px, sized for two CPU cores."""

PAPER = {"alignment": "bce", "distinction": "probability", "fill": "zero", "target": "soft"}
"""ALIGN in the paper's own terms, as far as they are known."""


def toy_vlcs() -> list[Experiment]:
    """ERM, true masks and ALIGN on the first domain of `toy-vlcs`, 5 seeds."""
    variants = [
        replace(TOY, method="erm"),
        replace(TOY, method="guided"),
        replace(TOY, method="guided", alignment="bce"),
        replace(TOY, method="align"),
        replace(TOY, method="align", **PAPER),
    ]
    return [
        Experiment("toy-vlcs", "noon", replace(config, seed=seed), explained=64)
        for seed in range(5)
        for config in variants
    ]


RHOS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 1.0)
"""Levels of the scene's correlation with the class: below, around and above the threshold."""


def rho() -> list[Experiment]:
    """ERM, true masks and ALIGN on `toy-vlcs` as scene and class grow correlated, 5 seeds."""
    return [
        Experiment("toy-vlcs", "noon", replace(TOY, method=method, seed=seed), {"rho": level}, 64)
        for seed in range(5)
        for level in RHOS
        for method in ("erm", "guided", "align")
    ]


SHARES = (0.0, 0.25, 0.5, 0.75, 0.95)
"""Levels of the object missed and of the background leaked."""


def noisy_masks() -> list[Experiment]:
    """Guidance by spoilt true masks on `toy-vlcs`, both forms of alignment, 3 seeds."""
    return [
        Experiment(
            "toy-vlcs",
            "noon",
            replace(TOY, method="guided", alignment=form, seed=seed),
            explained=0,
            missed=missed,
            leaked=leaked,
        )
        for seed in range(3)
        for form in ("energy", "bce")
        for missed in SHARES
        for leaked in SHARES
    ]


def pacs() -> list[Experiment]:
    """PACS animals and people, photo to art, cartoon and sketch, 3 seeds.

    Three classes (dog, horse, person), because a segmenter's masks exist for these; photographs in
    which the segmenter found nothing are left out for every method alike.
    """
    options = {
        "size": 96,
        "classes": ["dog", "horse", "person"],
        "masks": "pseudo_masks/PACS",
        "on_error": "skip",
        "progress": False,
    }
    human = ("weizmann_horse", "pennfudan_person")
    return [
        Experiment("pacs", "photo", replace(config, seed=seed), options, 48, human)
        for seed in range(3)
        for config in _photo_variants()
    ]


def pacs_all() -> list[Experiment]:
    """All seven classes of PACS, photo to art, cartoon and sketch, 3 seeds; no masks."""
    options = {"size": 96, "progress": False}
    human = ("weizmann_horse", "pennfudan_person")
    return [
        Experiment("pacs", "photo", replace(PHOTOS, method=method, seed=seed), options, 48, human)
        for seed in range(3)
        for method in ("erm", "align")
    ]


def caltech() -> list[Experiment]:
    """VLCS's Caltech101 domain, in distribution, with a segmenter's masks, 3 seeds."""
    options = {
        "size": 96,
        "domains": ["Caltech101"],
        "masks": "pseudo_masks/VLCS",
        "on_error": "skip",
        "progress": False,
    }
    human = ("pennfudan_person",)
    return [
        Experiment("vlcs", "Caltech101", replace(config, seed=seed), options, 48, human)
        for seed in range(3)
        for config in _photo_variants()
    ]


def _photo_variants() -> list[Config]:
    return [
        replace(PHOTOS, method="erm"),
        replace(PHOTOS, method="guided"),
        replace(PHOTOS, method="align"),
    ]


GRIDS: dict[str, Callable[[], list[Experiment]]] = {
    "toy-vlcs": toy_vlcs,
    "rho": rho,
    "noisy-masks": noisy_masks,
    "pacs": pacs,
    "pacs-all": pacs_all,
    "caltech": caltech,
}


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
