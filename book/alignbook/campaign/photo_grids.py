"""Grids on photographs: PACS, VLCS, Terra Incognita, and composite worlds of cut-out objects."""

from __future__ import annotations

from dataclasses import replace

from align.data.layouts import TERRA, VLCS
from align.experiment import Experiment
from alignbook.campaign.recipes import COMPOSITE, DEFAULT, PAPER, PHOTOS, RESNET, RRR, UNMASKED

THREE_CLASSES = {"size": 96, "classes": ["dog", "horse", "person"], "progress": False}
"""Of PACS: those for which a segmenter's masks exist."""


def pacs() -> list[Experiment]:
    """PACS animals and people, photo to art, cartoon and sketch, guided by a segmenter, 3 seeds.

    Three classes (dog, horse, person), because a segmenter's masks exist for these; photographs in
    which the segmenter found nothing are left out for every method alike. Its masks are also
    spoilt further, and exchanged for masks that know nothing of objects.
    """
    options = THREE_CLASSES | {"masks": "pseudo_masks/PACS", "on_error": "skip"}
    human = ("weizmann_horse", "pennfudan_person")
    return _noisily_guided(Experiment("pacs", "photo", PHOTOS, options, 48, human))


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
    """VLCS's Caltech101 domain, in distribution, guided as in `pacs`, 3 seeds."""
    options = {
        "size": 96,
        "domains": ["Caltech101"],
        "masks": "pseudo_masks/VLCS",
        "on_error": "skip",
        "progress": False,
    }
    human = ("pennfudan_person",)
    return _noisily_guided(Experiment("vlcs", "Caltech101", PHOTOS, options, 48, human))


SPOILT = ((0.5, 0.0), (0.0, 0.5), (0.5, 0.5))
"""Shares of the object missed and of the background leaked when masks are spoilt."""

WORSE = (
    *({"missed": missed, "leaked": leaked} for missed, leaked in SPOILT),
    *({"mask_source": source} for source in ("gray", "centre", "random")),
)
"""Changes that make an experiment's masks worse, spoilt or ignorant of objects."""


def _noisily_guided(one: Experiment) -> list[Experiment]:
    """ERM, guidance by the data's masks and by worse ones, and ALIGN, 3 seeds."""
    cases = [
        *((method, {}) for method in ("erm", "guided", "align")),
        *(("guided", changes | {"localisation_only": True}) for changes in WORSE),
    ]
    return [
        replace(one, config=replace(one.config, method=method, seed=seed), **changes)
        for seed in range(3)
        for method, changes in cases
    ]


PHOTOGRAPHED: tuple[dict, ...] = (
    *({"method": method} for method in UNMASKED),
    {"method": "align"} | PAPER,
    {"method": "align"} | DEFAULT,
)
"""Every method that is given no mask; ALIGN with the energy, in the paper's terms, by default."""


def _photographs(benchmark: str, domains: tuple[str, ...], *, left_out: bool) -> list[Experiment]:
    return [
        Experiment(
            benchmark,
            "" if left_out else domain,
            replace(RESNET, **choices, seed=seed),
            {"progress": False},
            target=domain if left_out else "",
        )
        for seed in range(3)
        for domain in domains
        for choices in PHOTOGRAPHED
    ]


def vlcs() -> list[Experiment]:
    """VLCS as in the paper: train on one domain, test on its held-out part and on the others."""
    return _photographs("vlcs", VLCS.domains, left_out=False)


def vlcs_leave_one_out() -> list[Experiment]:
    """VLCS as in DomainBed: each domain left out once."""
    return _photographs("vlcs", VLCS.domains, left_out=True)


def terra() -> list[Experiment]:
    """Terra Incognita as in the paper: train on one location, test on the others."""
    return _photographs("terra", TERRA.domains, left_out=False)


def terra_leave_one_out() -> list[Experiment]:
    """Terra Incognita as in DomainBed: each location left out once."""
    return _photographs("terra", TERRA.domains, left_out=True)


def pacs_methods() -> list[Experiment]:
    """PACS dog, horse and person from photographs and from paintings, all methods, 3 seeds."""
    return [
        Experiment("pacs", source, replace(PHOTOS, method=method, seed=seed), THREE_CLASSES, 48)
        for seed in range(3)
        for source in ("photo", "art_painting")
        for method in UNMASKED
    ]


def pacs_leave_one_out() -> list[Experiment]:
    """PACS dog, horse and person with the sketches left out, all methods, 3 seeds."""
    return [
        Experiment(
            "pacs",
            "",
            replace(PHOTOS, method=method, seed=seed),
            THREE_CLASSES,
            48,
            target="sketch",
        )
        for seed in range(3)
        for method in UNMASKED
    ]


COMPOSITE_RHOS = (0.5, 0.8, 0.95)
"""How often an object stands before its class's scene; at 0.5 two scenes say nothing of a class."""


def composite() -> list[Experiment]:
    """Horses and people cut out and pasted on scenes, as scene and class correlate, 3 seeds.

    Guidance by true masks in each form of alignment, and in ours by worse masks, GrabCut's too.
    """
    cases = [
        ({"method": "erm"}, {}),
        *(({"method": "guided", "alignment": form}, {}) for form in ("energy", "bce", "l1")),
        ({"method": "guided", "alignment": "rrr", "lambda3": RRR}, {}),
        *(({"method": "guided"}, changes) for changes in WORSE),
        ({"method": "guided"}, {"mask_source": "grabcut"}),
        ({"method": "align"}, {}),
        ({"method": "align"} | PAPER, {}),
    ]
    return [
        Experiment(
            "composite",
            "paired",
            replace(COMPOSITE, **choices, seed=seed),
            {"size": 96, "rho": rho, "seed": seed},
            48,
            localisation_only=True,
            **changes,
        )
        for seed in range(3)
        for rho in COMPOSITE_RHOS
        for choices, changes in cases
    ]
