"""Grids of the intervention on the toy worlds: one round and two, and what the masks are worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from align.experiment import Experiment
from alignbook.campaign.recipes import DEFAULT, EXPLAINED, TOY
from alignbook.worlds.toy import WORLDS

LOOKED_AT = (10, 30, 100)
"""How many masks of the training images a masker may look at before training."""


def toy_swap() -> list[Experiment]:
    """The intervention aligned on `toy-vlcs`, at true masks and at learned ones, 5 seeds.

    The controls, 3 seeds, swap at `_unlearned` masks; at a disc of one size so does the energy.
    """
    variants = (
        {"method": "guided", "alignment": "swap"},
        {"method": "align", "alignment": "swap"},
        {"method": "align", "alignment": "swap+energy"},
    )
    swaps = on_toy("toy-vlcs", variants[:1], seeds=range(3))
    energies = on_toy("toy-vlcs", [{"method": "guided"}], seeds=range(3))
    return on_toy("toy-vlcs", variants) + _unlearned(swaps) + one_size(energies, ONE_SIZE)


def _unlearned(runs: Sequence[Experiment]) -> list[Experiment]:
    """The same runs at GrabCut's masks, and at discs: as large as the object, and of one size."""
    return disc_and_grabcut(runs) + one_size(runs, ONE_SIZE)


def disc_and_grabcut(runs: Iterable[Experiment]) -> list[Experiment]:
    """The same runs at a disc as large as each object, and at GrabCut's masks."""
    return [replace(one, mask_source=source) for one in runs for source in ("centre", "grabcut")]


ONE_SIZE = 0.2
"""Share of each toy picture that a disc marks which isn't told the object's size; not tuned."""


def one_size(runs: Iterable[Experiment], area: float) -> list[Experiment]:
    """The same runs at one disc for all pictures, which costs nothing."""
    return [replace(one, mask_source="centre", mask_area=area) for one in runs]


TWO_ROUNDS = {"method": "align", "alignment": "swap+energy", "rounds": 2}
"""ALIGN with both losses in its second round; the first has the energy alone."""

SWAP_ALONE = {"method": "align"} | DEFAULT
"""The library's default: its second round has the swap and no energy."""

AT_ONCE = {"method": "guided", "alignment": "swap+energy", "warmup": 0}
"""Guided by given masks as ALIGN's second round is by learned ones: from the first epoch on."""


def toy_rounds() -> list[Experiment]:
    """A second round on `toy-vlcs`, with the swap, alone or beside the energy, 5 seeds; energy, 3.

    The controls, 3 seeds, are given true masks and `_unlearned` ones in its place.
    """
    evidence = [TWO_ROUNDS | {"alignment": "energy"}, AT_ONCE | {"alignment": "energy"}]
    return (
        on_toy("toy-vlcs", [TWO_ROUNDS, SWAP_ALONE])
        + _at_once("toy-vlcs")
        + on_toy("toy-vlcs", evidence, seeds=range(3))
    )


def toy_terra_rounds() -> list[Experiment]:
    """A second round on `toy-terra`, 5 seeds, with the controls of `toy_rounds`."""
    return on_toy("toy-terra", [TWO_ROUNDS, SWAP_ALONE]) + _at_once("toy-terra")


def _at_once(world: str) -> list[Experiment]:
    """Swap and energy from the first epoch on, at true masks and at `_unlearned` ones.

    The last runs have true masks after the recipe's warm-up: what differs is the warm-up alone.
    """
    given = on_toy(world, [AT_ONCE], seeds=range(3))
    late = on_toy(world, [AT_ONCE | {"warmup": TOY.warmup}], seeds=range(3))
    return given + _unlearned(given) + late


def toy_terra_swap() -> list[Experiment]:
    """The intervention aligned on `toy-terra`, at learned masks and at true ones, 5 seeds.

    The controls, 3 seeds, are those of `toy_swap`.
    """
    variants = (
        {"method": "align", "alignment": "swap"},
        {"method": "align", "alignment": "swap+energy"},
        {"method": "guided", "alignment": "swap"},
    )
    controls = _unlearned(on_toy("toy-terra", variants[-1:], seeds=range(3)))
    return on_toy("toy-terra", variants) + controls


def on_toy(
    world: str,
    variants: Iterable[dict],
    *,
    seeds: Iterable[int] = range(5),
    controls: bool = True,
    localisation_only: bool = False,
) -> list[Experiment]:
    """Variants of the toy recipe on a toy world, from its first domain.

    Args:
        world: its name.
        variants: what each changes in the recipe.
        seeds: the runs of each variant.
        controls: see `Experiment`.
        localisation_only: see `Experiment`.
    """
    return [
        Experiment(
            world,
            WORLDS[world].domains[0],
            replace(TOY, **variant, seed=seed),
            explained=EXPLAINED,
            controls=controls,
            localisation_only=localisation_only,
        )
        for seed in seeds
        for variant in variants
    ]


def pattern_looked_at() -> list[Experiment]:
    """The swap on `toy-vlcs` where ALIGN from nothing locks in, 3 seeds.

    Objects have little more than outlines. The masker begins from nothing or from a few true masks,
    is held at them or learns on, at once or when it has guided for two epochs. The control has
    looked at as many discs in the middle.
    """
    held = {"method": "align", "masker_lr": 0.0}
    cases = [
        ({"method": "guided"}, ""),
        ({"method": "align"}, ""),
        *((held | {"looked_at_masks": count}, "") for count in LOOKED_AT),
        *(({"method": "align", "looked_at_masks": LOOKED_AT[1], "hold": h}, "") for h in (0, 2)),
        (held | {"looked_at_masks": LOOKED_AT[1]}, "centre"),
    ]
    return [
        replace(one, options={"pattern": 0.1}, mask_source=source)
        for seed in range(3)
        for choices, source in cases
        for one in on_toy(
            "toy-vlcs",
            [choices | {"alignment": "swap"}],
            seeds=(seed,),
            controls=False,
            localisation_only=True,
        )
    ]


def toy_terra_looked_at() -> list[Experiment]:
    """The swap on `toy-terra`, the masker held at what a few true masks taught it, 5 seeds."""
    held = {"method": "align", "alignment": "swap", "masker_lr": 0.0}
    variants = [held | {"looked_at_masks": count} for count in LOOKED_AT[1:]]
    return on_toy("toy-terra", variants, controls=False, localisation_only=True)
