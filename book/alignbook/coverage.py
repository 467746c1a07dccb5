"""What the figures rest on: which runs are recorded, from which code, and what is missing."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from align.data import is_rendered
from align.experiment import Experiment
from alignbook import results
from alignbook.campaign.grid import GRIDS, experiments
from alignbook.figures import FIGURES


class Asked(NamedTuple):
    """A way of training that was planned or asked for, beyond the grids.

    `where` is a key of `WHERE`; `made` is true of a row of `results.frame` that is such a run;
    `why` says why there is none, or what was run in its place.
    """

    where: str
    what: str
    made: str
    why: str


WHERE = {
    "birds": "benchmark == 'waterbirds'",
    "PACS": "benchmark == 'pacs'",
    "Caltech101": "source == 'Caltech101'",
    "scenes, weaker correlations": "benchmark == 'composite' and rho < 0.95",
    "all photographs": "not benchmark.str.startswith('toy')",
}
"""Where something was asked for, as a condition on the rows of `results.frame`."""

GRABCUT = "masks == 'grabcut'"
USUAL = "method == 'guided' and form == 'BCE'"
PAPERS = 'label == "ALIGN, the paper\'s terms"'
BOTH = "form == 'swap and energy'"
UNMASKED = "method in ('mixup', 'irm', 'groupdro', 'sgt', 'dre', 'cgc')"
OTHER = "label != 'true masks, swap' and not label.str.endswith('of birds held')"

STYLE = "time; no way of guiding was shown to help where styles change"
RIGHT = "plain training is right on every held-out picture, so no accuracy can be won"

ASKED = (
    Asked(
        "birds",
        "the usual loss (BCE) at masks other than boxes",
        f"{USUAL} and masks != 'boxes'",
        "time; at the boxes it was not shown to win",
    ),
    Asked(
        "birds",
        "GrabCut's masks, energy",
        f"{GRABCUT} and form == 'energy'",
        "time; the energy was run at boxes, at a segmenter's masks and at ALIGN's",
    ),
    Asked(
        "all photographs",
        "ALIGN from nothing in two rounds",
        "label.str.contains('[0-9] rounds')",
        "one trial, on the scenes: after the first round the masks mark nearly the whole picture",
    ),
    Asked("PACS", "GrabCut's masks", GRABCUT, STYLE),
    Asked("PACS", "the usual loss (BCE)", USUAL, STYLE),
    Asked("PACS", "ALIGN, the paper's terms", PAPERS, STYLE),
    Asked("PACS", "swap and energy together", BOTH, "time; neither alone was shown to win"),
    Asked("Caltech101", "the older methods without masks", UNMASKED, RIGHT),
    Asked("Caltech101", "the usual loss (BCE)", USUAL, RIGHT),
    Asked("Caltech101", "ALIGN, the paper's terms", PAPERS, RIGHT),
    Asked(
        "scenes, weaker correlations",
        "the older methods without masks",
        UNMASKED,
        "time; at the strongest correlation none is told from plain training",
    ),
    Asked(
        "scenes, weaker correlations",
        "swaps at masks other than true ones and the bird decoder's",
        f"form == 'swap' and {OTHER}",
        "time; the scenes mislead less there, and there is less to win",
    ),
)
"""What a reader may look for and no grid plans. The page on records drops what has a run."""


PAGES = {
    "In and out of distribution": (
        *("in-distribution", "in-distribution-insertion", "matrix", "leave-one-out"),
        *("out-of-distribution", "out-of-distribution-terra"),
    ),
    "More photographs: styles and scenes": (
        *("pacs", "pacs-methods", "mask-quality", "caltech"),
        *("composite", "composite-evidence", "composite-masks"),
    ),
    "The quality of explanations": (
        *("out-of-distribution-insertion", "evidence", "curves"),
        *("faithfulness", "faithfulness-normalized"),
    ),
    "Ablations and cost": ("ablations", "weights", "cost"),
}
"""The page on which each figure stands, by the page's title."""


def grids() -> pd.DataFrame:
    """One row a grid: how much of it is recorded, by which code and where, and why no more.

    Returns:
        Rows grids; columns recorded, wanted, revisions (how many), devices (a text), missing: an
        empty text where everything is recorded, else what it takes.
    """
    rows = {}
    for name in GRIDS:
        wanted, found = experiments(name), results.current(name)
        rows[name] = {
            "recorded": len(found),
            "wanted": len(wanted),
            "revisions": len({record["revision"] for record in found}),
            "devices": _listed(record["device"] for record in found),
            "missing": "" if len(found) == len(wanted) else needs(name, wanted[0]),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def needs(grid: str, one: Experiment) -> str:
    """What it takes to make a grid's runs, as a sentence.

    Args:
        grid: its name.
        one: any of its experiments.
    """
    takes = []
    if one.benchmark == "composite":
        takes.append("the masked photographs and scenes on disk (ALIGN_DATA)")
    elif not is_rendered(one.benchmark):
        takes.append(f"the photographs of {one.benchmark} on disk (ALIGN_DATA)")
    if one.config.backbone.startswith("resnet"):
        takes.append("a GPU")
    takes.append(f"`align benchmark run {grid}`")
    return "not run here; takes " + ", ".join(takes)


def figures() -> pd.DataFrame:
    """One row a figure: its page, the grids it is drawn from, and how much of them is recorded.

    Returns:
        Rows figures by page; columns page, shows, grids and state: "complete", "partly" or "not
        run here".
    """
    known = grids()
    rows = {}
    pages = {name: page for page, names in PAGES.items() for name in names}
    for name, page in pages.items():
        figure = FIGURES[name]
        part = known.loc[list(figure.grids)]
        done = part["recorded"].sum() / part["wanted"].sum()
        state = "complete" if done == 1 else "partly" if done else "not run here"
        rows[name] = {
            "page": page,
            "shows": figure.shows,
            "grids": ", ".join(figure.grids),
            "state": state,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _listed(values: object) -> str:
    return ", ".join(sorted(set(values)))
