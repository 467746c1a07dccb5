"""The swap on `toy-vlcs` with one choice changed at a time, at masks of three kinds."""

from __future__ import annotations

from dataclasses import replace

from align.experiment import Experiment
from alignbook.campaign.recipes import one_at_a_time
from alignbook.campaign.toy_swap_grids import LOOKED_AT, on_toy

SHARED: dict[str, dict[str, dict]] = {
    "background": {
        "emptied of its object": {"swap_background": "emptied"},
        "its own, blurred": {"swap_background": "blur"},
    },
    "loss": {"consistency": {"swap_loss": "consistency"}},
    "swap's weight": {f"{v:g}": {"swap_weight": v} for v in (0.3, 3.0)},
}
"""For each factor its levels besides the default, whoever the masks are from."""

SPOILT = (0.25, 0.5)
"""Shares of the object that true masks are made to miss, and of the background to leak."""

GIVEN = SHARED | {
    "masks": {
        "another picture's": {"mask_source": "another"},
        "at random places": {"mask_source": "random"},
    },
    "object missed": {f"{share:.0%}": {"missed": share} for share in SPOILT},
    "background leaked": {f"{share:.0%}": {"leaked": share} for share in SPOILT},
}
"""The same where masks are given."""

CUTS = {"mask cut at": {f"{v:g}": {"mask_level": v} for v in (0.1, 0.25, 0.75)}}
"""Levels beside one half."""

LEARNED = SHARED | {
    "mask used": {name: {"target": name} for name in ("soft", "sampled")},
    **CUTS,
    "sparsity λ1": {f"{v:g}": {"lambda1": v} for v in (3.0, 12.0)},
}
"""The same where ALIGN learns them."""

HELD = {"method": "align", "looked_at_masks": LOOKED_AT[0], "masker_lr": 0.0}
"""A masker that is held at what it has learned from few true masks."""

KINDS: dict[str, tuple[dict, dict]] = {
    "true": ({"method": "guided"}, GIVEN),
    "learned": ({"method": "align"}, LEARNED),
    "held": (HELD, CUTS),
}
"""For each kind of masks the recipe and what is changed in it."""

OF_DATA = ("mask_source", "missed", "leaked")
"""Changes of an experiment's data; the others are of its recipe."""


def swap_choices() -> list[Experiment]:
    """The swap with one choice changed at a time, 3 seeds; of explanations only where they lie."""
    return [one for _, _, one in _rows()]


def levels(kind: str) -> dict[str, tuple[str, str]]:
    """For each experiment at masks of a kind, by key, its factor and level; the default has none.

    Args:
        kind: one of `KINDS`.
    """
    return {one.key(): names for of, names, one in _rows() if of == kind}


def _rows() -> list[tuple[str, tuple[str, str], Experiment]]:
    found = []
    for seed in range(3):
        for kind, (recipe, factors) in KINDS.items():
            for names, change in one_at_a_time(factors).items():
                found.append((kind, names, _changed(recipe, seed, change)))
    return found


def _changed(recipe: dict, seed: int, change: dict) -> Experiment:
    data = {name: value for name, value in change.items() if name in OF_DATA}
    choices = {"alignment": "swap"} | recipe
    choices |= {name: value for name, value in change.items() if name not in OF_DATA}
    (one,) = on_toy("toy-vlcs", [choices], seeds=[seed], controls=False, localisation_only=True)
    return replace(one, **data)
