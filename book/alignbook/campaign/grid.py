"""What is run: each grid is a list of experiments, and the file that its records go to.

The grids on toy worlds stand here, those of the swap in `toy_swap_grids` and `swap_grids`, those
on photographs in `photo_grids`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from align.experiment import Experiment
from align.records import RESULTS
from alignbook.campaign.photo_grids import (
    caltech,
    composite,
    pacs,
    pacs_all,
    pacs_leave_one_out,
    pacs_methods,
    terra,
    terra_leave_one_out,
    vlcs,
    vlcs_leave_one_out,
)
from alignbook.campaign.recipes import COMPARED, EXPLAINED, PAPER, RRR, TOY, one_at_a_time
from alignbook.campaign.swap_choices import swap_choices
from alignbook.campaign.swap_grids import (
    caltech_swap,
    composite_looked_at,
    composite_methods,
    composite_swap,
    composite_swap_weaker,
    pacs_swap,
    waterbirds,
    waterbirds_128,
    waterbirds_places,
    waterbirds_weights,
)
from alignbook.campaign.toy_swap_grids import (
    on_toy,
    pattern_looked_at,
    toy_rounds,
    toy_swap,
    toy_terra_looked_at,
    toy_terra_rounds,
    toy_terra_swap,
)
from alignbook.worlds.toy import WORLDS

RHOS = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Levels of the scene's correlation with the class, from weak to nearly full."""


def rho() -> list[Experiment]:
    """ERM, true masks and ALIGN on `toy-vlcs` as scene and class grow correlated, 5 seeds."""
    return _sweep("rho", RHOS)


PATTERNS = (0.0, 0.1, 0.2, 0.35)
"""Levels of the contrast of the objects' surfaces, from outlines alone to the default."""


def pattern() -> list[Experiment]:
    """ERM, true masks and ALIGN on `toy-vlcs` as objects grow easier to tell apart, 5 seeds."""
    return _sweep("pattern", PATTERNS)


def _sweep(option: str, levels: tuple[float, ...]) -> list[Experiment]:
    return [
        Experiment("toy-vlcs", "noon", replace(TOY, method=method, seed=seed), {option: level}, 16)
        for seed in range(5)
        for level in levels
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


def toy() -> list[Experiment]:
    """All methods on `toy-vlcs`, from noon to the others, with control explanations, 5 seeds.

    Guidance by true masks and ALIGN stand in it twice: with our alignment and with the paper's.
    """
    return _toy("toy-vlcs")


def toy_terra() -> list[Experiment]:
    """All methods on `toy-terra`, from one camera to the others, with controls, 5 seeds."""
    return _toy("toy-terra")


def _toy(world: str) -> list[Experiment]:
    variants = [
        *({"method": method} for method in COMPARED),
        {"method": "guided", "alignment": "bce"},
        {"method": "align"} | PAPER,
    ]
    return on_toy(world, variants)


def toy_sources() -> list[Experiment]:
    """ERM, true masks and ALIGN on `toy-vlcs` from each other domain than the first, 3 seeds."""
    return [
        Experiment("toy-vlcs", source, replace(TOY, method=method, seed=seed), explained=0)
        for seed in range(3)
        for source in WORLDS["toy-vlcs"].domains[1:]
        for method in ("erm", "guided", "align")
    ]


def toy_leave_one_out() -> list[Experiment]:
    """All methods on `toy-vlcs`, each domain left out once, 3 seeds.

    A domain has 900 images here, so that a run sees about as many as one on a single domain.
    """
    return [
        Experiment(
            "toy-vlcs",
            "",
            replace(TOY, method=method, seed=seed),
            {"n": 900},
            explained=EXPLAINED,
            target=target,
        )
        for seed in range(3)
        for target in WORLDS["toy-vlcs"].domains
        for method in COMPARED
    ]


ABLATIONS: dict[str, dict[str, dict]] = {
    "guidance": {"none (ERM)": {"method": "erm"}},
    "masks given": {
        "true": {"method": "guided"},
        "brightness": {"method": "guided", "mask_source": "gray"},
        "a disc": {"method": "guided", "mask_source": "centre"},
        "random blobs": {"method": "guided", "mask_source": "random"},
        "GrabCut": {"method": "guided", "mask_source": "grabcut"},
    },
    "alignment": {
        "BCE": {"alignment": "bce"},
        "L1": {"alignment": "l1"},
        "input gradient": {"alignment": "rrr", "lambda3": RRR},
    },
    "distinction": {"probability": {"distinction": "probability"}},
    "fill": {"zero": {"fill": "zero"}},
    "mask target": {"soft": {"target": "soft"}, "stretched": {"target": "stretch"}},
    "sparsity λ1": {str(v): {"lambda1": v} for v in (0.0, 1.5, 24.0)},
    "smoothness λ2": {str(v): {"lambda2": v} for v in (0.0, 0.8)},
    "alignment λ3": {str(v): {"lambda3": v} for v in (0.5, 8.0)},
    "regulariser λ4": {str(v): {"lambda4": v} for v in (0.5,)},
    "warm-up": {f"{v} epochs": {"warmup": v} for v in (0, 2, 8)},
    "masker's head start": {f"{v} epochs": {"head_start": v} for v in (0, 3)},
    "all of the paper's": {"as far as known": PAPER},
    "masker's steps a batch": {f"{v:g}": {"masker_steps": v} for v in (0.25, 0.5, 2.0, 4.0)},
    "output stride": {f"{v} px": {"output_stride": v} for v in (4, 16)},
    "first or second order": {
        "first": {"second_order": False},
        "first, with BCE": {"second_order": False, "alignment": "bce"},
    },
    "mask resolution": {f"{v} px": {"mask_stride": v} for v in (4, 8, 16)},
}
"""For each factor its levels besides ALIGN's default, and what each level changes."""


def ablation_levels() -> dict[str, tuple[str, str]]:
    """For each experiment of `ablations`, by key, its factor and level; the default has neither."""
    return {one.key(): names for names, one in _ablations()}


def ablations() -> list[Experiment]:
    """ALIGN on `toy-vlcs` from noon with one choice changed at a time, 3 seeds."""
    return [one for _, one in _ablations()]


def _ablations() -> list[tuple[tuple[str, str], Experiment]]:
    found = []
    for seed in range(3):
        for names, changes in one_at_a_time(ABLATIONS).items():
            choices = {"method": "align"} | changes
            source = choices.pop("mask_source", "")
            config = replace(TOY, **choices, seed=seed)
            one = Experiment("toy-vlcs", "noon", config, {}, EXPLAINED, mask_source=source)
            found.append((names, one))
    return found


WEIGHTS = {
    "energy": (0.1, 0.5, 2.0, 8.0),
    "bce": (0.1, 0.5, 2.0, 8.0),
    "l1": (0.1, 0.5, 2.0, 8.0),
    "rrr": (0.0001, 0.0005, 0.002, 0.008),
}
"""For each form of alignment the weights that it is tried with; see `RRR` on the last one's."""


def weights() -> list[Experiment]:
    """ERM and guidance by true masks on `toy-vlcs`, each form with several weights, 3 seeds."""
    choices = [
        {"method": "erm"},
        *(
            {"method": "guided", "alignment": form, "lambda3": weight}
            for form, levels in WEIGHTS.items()
            for weight in levels
        ),
    ]
    return [
        Experiment(
            "toy-vlcs",
            "noon",
            replace(TOY, **choice, seed=seed),
            explained=EXPLAINED,
            localisation_only=True,
        )
        for seed in range(3)
        for choice in choices
    ]


GRIDS: dict[str, Callable[[], list[Experiment]]] = {
    "toy": toy,
    "rho": rho,
    "pattern": pattern,
    "noisy-masks": noisy_masks,
    "pacs": pacs,
    "pacs-all": pacs_all,
    "caltech": caltech,
    "toy-terra": toy_terra,
    "toy-sources": toy_sources,
    "toy-leave-one-out": toy_leave_one_out,
    "ablations": ablations,
    "weights": weights,
    "composite": composite,
    "pacs-methods": pacs_methods,
    "pacs-leave-one-out": pacs_leave_one_out,
    "vlcs": vlcs,
    "vlcs-leave-one-out": vlcs_leave_one_out,
    "terra": terra,
    "terra-leave-one-out": terra_leave_one_out,
    "waterbirds": waterbirds,
    "waterbirds-128": waterbirds_128,
    "waterbirds-places": waterbirds_places,
    "waterbirds-weights": waterbirds_weights,
    "toy-swap": toy_swap,
    "swap-choices": swap_choices,
    "toy-rounds": toy_rounds,
    "toy-terra-swap": toy_terra_swap,
    "toy-terra-rounds": toy_terra_rounds,
    "composite-swap": composite_swap,
    "composite-swap-weaker": composite_swap_weaker,
    "composite-looked-at": composite_looked_at,
    "composite-methods": composite_methods,
    "pattern-looked-at": pattern_looked_at,
    "toy-terra-looked-at": toy_terra_looked_at,
    "pacs-swap": pacs_swap,
    "caltech-swap": caltech_swap,
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
