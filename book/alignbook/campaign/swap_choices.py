"""The swap on `toy-vlcs` with one choice changed at a time, at true masks and at learned ones."""

from __future__ import annotations

from dataclasses import replace

from align.experiment import Experiment
from alignbook.campaign.toy_swap_grids import on_toy

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

LEARNED = SHARED | {
    "mask used": {name: {"target": name} for name in ("soft", "sampled")},
    "mask cut at": {f"{v:g}": {"mask_level": v} for v in (0.1, 0.25, 0.75)},
    "sparsity λ1": {f"{v:g}": {"lambda1": v} for v in (3.0, 12.0)},
}
"""The same where they are learned."""

MASKS = {"guided": GIVEN, "align": LEARNED}
"""The factors of each method."""

OF_DATA = ("mask_source", "missed", "leaked")
"""Changes of an experiment's data; the others are of its recipe."""


def swap_choices() -> list[Experiment]:
    """The swap with one choice changed at a time, 3 seeds; of explanations only where they lie."""
    return [one for _, _, one in _rows()]


def levels(method: str) -> dict[str, tuple[str, str]]:
    """For each experiment of a method, by key, its factor and level; the default has neither.

    Args:
        method: "guided" by true masks, or "align", by those that it learns.
    """
    return {one.key(): names for of, names, one in _rows() if of == method}


def _rows() -> list[tuple[str, tuple[str, str], Experiment]]:
    found = []
    for seed in range(3):
        for method, factors in MASKS.items():
            cases: dict[tuple[str, str], dict] = {("", ""): {}}
            for factor, changes in factors.items():
                cases |= {(factor, level): change for level, change in changes.items()}
            for names, change in cases.items():
                found.append((method, names, _changed(method, seed, change)))
    return found


def _changed(method: str, seed: int, change: dict) -> Experiment:
    data = {name: value for name, value in change.items() if name in OF_DATA}
    recipe = {name: value for name, value in change.items() if name not in OF_DATA}
    chosen = {"method": method, "alignment": "swap"} | recipe
    (one,) = on_toy("toy-vlcs", [chosen], seeds=[seed], controls=False, localisation_only=True)
    return replace(one, **data)
