"""What the figures rest on: which runs are recorded, from which code, and what is missing."""

from __future__ import annotations

import pandas as pd

from align.data import is_rendered
from align.experiment import Experiment
from alignbook import results
from alignbook.campaign.grid import GRIDS, experiments
from alignbook.figures import FIGURES


def grids() -> pd.DataFrame:
    """One row a grid: how much of it is recorded, by which code and where, and why no more.

    Returns:
        Rows grids; columns recorded, wanted, revisions, devices (texts), and missing: an empty text
        where everything is recorded, else what it takes.
    """
    rows = {}
    for name in GRIDS:
        wanted, found = experiments(name), results.current(name)
        rows[name] = {
            "recorded": len(found),
            "wanted": len(wanted),
            "revisions": _listed(record["revision"] for record in found),
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
    """One row a figure: the grids it is drawn from, and how much of them is recorded.

    Returns:
        Rows figures; columns shows, grids and state: "complete", "partly" or "not run here".
    """
    known = grids()
    rows = {}
    for name, figure in FIGURES.items():
        part = known.loc[list(figure.grids)]
        done = part["recorded"].sum() / part["wanted"].sum()
        state = "complete" if done == 1 else "partly" if done else "not run here"
        rows[name] = {"shows": figure.shows, "grids": ", ".join(figure.grids), "state": state}
    return pd.DataFrame.from_dict(rows, orient="index")


def _listed(values: object) -> str:
    return ", ".join(sorted(set(values)))
