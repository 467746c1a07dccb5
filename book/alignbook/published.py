"""What papers report, with source, protocol and how certain we are of it; never mixed with ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

MARKS = {
    "A": "the paper's abstract",
    "N": "one secondary reading note of the paper",
    "C": "read in the named public code or table",
    "I": "our inference",
    "?": "unknown",
}
"""How we know something; a table carries the letter."""

VLCS = ("Caltech101", "LabelMe", "SUN09", "VOC2007")
TERRA = ("location_100", "location_38", "location_43", "location_46")


@dataclass(frozen=True)
class Published:
    """One table, or part of one, as it was reported.

    Args:
        title: what it shows.
        source: who reported it, and where.
        mark: one of `MARKS`.
        benchmark: a name that `align.load` takes.
        protocol: "single-source" (a column is a domain trained on and tested on its hold-out,
            unless `shift` is "out") or "leave-one-out" (a column is the domain left out).
        shift: "in" where columns are tests in distribution, else "out".
        metric: "accuracy" in per cent, or "insertion_auc" in units of 0.01.
        columns: domains, as `align.load` names them.
        rows: for each method by name the value of each column.
        errors: for some methods the standard error of each column.
        averages: for some methods the average that was reported beside the row.
        note: what a reader must know before comparing.
    """

    title: str
    source: str
    mark: str
    benchmark: str
    protocol: str
    shift: str
    metric: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float, ...]]
    errors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    averages: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def frame(self) -> pd.DataFrame:
        """One row a method, one column a domain, and "average" where one was reported."""
        table = pd.DataFrame.from_dict(dict(self.rows), orient="index", columns=list(self.columns))
        if self.averages:
            table["average"] = pd.Series(dict(self.averages))
        return table


ALIGN = "Hong et al., AAAI 2026, arXiv:2511.06944"
DRE = "Li et al. 2023, arXiv:2303.16390"
DOMAINBED = "Gulrajani and Lopez-Paz 2021, DomainBed, arXiv:2007.01434"
AVERAGED = (
    "Not multiples of 1/N of a 20 % hold-out, so averages of several runs; how many is unknown."
)

PUBLISHED: dict[str, Published] = {
    "align-vlcs": Published(
        "VLCS, in distribution",
        ALIGN,
        "N",
        "vlcs",
        "single-source",
        "in",
        "accuracy",
        ("VOC2007", "LabelMe", "Caltech101", "SUN09"),
        {
            "ERM": (85.35, 80.80, 99.73, 80.87),
            "SGT": (86.64, 79.54, 99.52, 79.23),
            "DRE": (85.61, 80.31, 99.95, 81.76),
            "ALIGN": (86.91, 80.23, 99.98, 82.54),
        },
        note=AVERAGED,
    ),
    "align-vlcs-insertion": Published(
        "VLCS, in distribution, explanations",
        ALIGN,
        "N",
        "vlcs",
        "single-source",
        "in",
        "insertion_auc",
        ("VOC2007",),
        {"ERM": (76.95,), "SGT": (72.91,), "DRE": (77.41,), "ALIGN": (82.18,)},
        note="Reported as AUC; that it is the area under RISE's insertion curve is inferred [I].",
    ),
    "align-terra": Published(
        "Terra Incognita, in distribution",
        ALIGN,
        "N",
        "terra",
        "single-source",
        "in",
        "accuracy",
        ("location_38", "location_43", "location_46", "location_100"),
        {
            "ERM": (77.89, 76.35, 72.69, 88.47),
            "DRE": (77.37, 74.89, 73.95, 88.39),
            "ALIGN": (83.62, 72.47, 77.27, 90.54),
        },
        note="ERM is low: DomainBed's runs reach about 90 in distribution.",
    ),
    "align-maskers": Published(
        "Source of the masks, VOC2007, accuracy",
        ALIGN,
        "N",
        "vlcs",
        "single-source",
        "in",
        "accuracy",
        ("VOC2007",),
        {
            "without guidance": (85.61,),
            "m-SAM": (85.51,),
            "m-Gray": (86.90,),
            "ALIGN": (86.91,),
        },
        note='"Without guidance" is, digit for digit, the row of DRE.',
    ),
    "align-maskers-insertion": Published(
        "Source of the masks, VOC2007, explanations",
        ALIGN,
        "N",
        "vlcs",
        "single-source",
        "in",
        "insertion_auc",
        ("VOC2007",),
        {
            "without guidance": (77.41,),
            "m-SAM": (80.32,),
            "m-Gray": (79.15,),
            "ALIGN": (82.18,),
        },
        note="The learned mask gains little accuracy over brightness, and more of this area.",
    ),
    "dre-terra": Published(
        "Terra Incognita, one domain left out",
        f"{DRE}; its ERM, GroupDRO, IRM and Mixup rows are DomainBed's",
        "C",
        "terra",
        "leave-one-out",
        "out",
        "accuracy",
        TERRA,
        {
            "ERM": (49.8, 42.1, 56.9, 35.7),
            "GroupDRO": (41.2, 38.6, 56.7, 36.4),
            "IRM": (54.6, 39.8, 56.2, 39.6),
            "Mixup": (59.6, 42.2, 55.9, 33.9),
            "CGC": (51.8, 44.6, 54.9, 39.8),
            "DRE": (64.1, 48.1, 57.1, 42.8),
        },
        averages={
            "ERM": 46.1,
            "GroupDRO": 43.2,
            "IRM": 47.6,
            "Mixup": 47.9,
            "CGC": 47.8,
            "DRE": 53.0,
        },
        note="DRE's public code leaves augmentation on at evaluation.",
    ),
    "dre-vlcs": Published(
        "VLCS, one domain left out",
        f"{DRE}; its ERM, GroupDRO, IRM and Mixup rows are DomainBed's",
        "C",
        "vlcs",
        "leave-one-out",
        "out",
        "accuracy",
        VLCS,
        {
            "ERM": (97.7, 64.3, 73.4, 74.6),
            "GroupDRO": (97.3, 63.4, 69.5, 76.7),
            "IRM": (98.6, 64.9, 73.4, 77.3),
            "Mixup": (98.3, 64.8, 72.1, 74.3),
            "CGC": (97.1, 63.2, 73.6, 70.6),
            "DRE": (98.3, 65.5, 73.8, 80.2),
        },
        averages={
            "ERM": 77.5,
            "GroupDRO": 76.7,
            "IRM": 78.5,
            "Mixup": 77.4,
            "CGC": 76.1,
            "DRE": 79.5,
        },
        note="DRE's public code leaves augmentation on at evaluation.",
    ),
    "dre-terra-insertion": Published(
        "Terra Incognita, one domain left out, explanations",
        DRE,
        "C",
        "terra",
        "leave-one-out",
        "out",
        "insertion_auc",
        TERRA,
        {"ERM": (51.7, 64.4, 61.4, 56.0), "DRE": (65.1, 68.5, 63.3, 60.5)},
        note="Map of the label's class, curve of the predicted class.",
    ),
    "dre-vlcs-insertion": Published(
        "VLCS, one domain left out, explanations",
        DRE,
        "C",
        "vlcs",
        "leave-one-out",
        "out",
        "insertion_auc",
        VLCS,
        {"ERM": (96.4, 78.7, 76.5, 75.8), "DRE": (97.3, 83.7, 75.2, 76.3)},
        note="Map of the label's class, curve of the predicted class.",
    ),
    "domainbed-vlcs": Published(
        "VLCS, one domain left out",
        DOMAINBED,
        "C",
        "vlcs",
        "leave-one-out",
        "out",
        "accuracy",
        VLCS,
        {"ERM": (97.7, 64.3, 73.4, 74.6)},
        errors={"ERM": (0.4, 0.9, 0.5, 1.3)},
        averages={"ERM": 77.5},
        note="ResNet-50; selection by training-domain validation.",
    ),
    "domainbed-terra": Published(
        "Terra Incognita, one domain left out",
        DOMAINBED,
        "C",
        "terra",
        "leave-one-out",
        "out",
        "accuracy",
        TERRA,
        {"ERM": (49.8, 42.1, 56.9, 35.7)},
        errors={"ERM": (4.4, 1.4, 1.8, 3.9)},
        averages={"ERM": 46.1},
        note="ResNet-50; selection by training-domain validation.",
    ),
    "holdout-vlcs": Published(
        "VLCS, held-out part of training domains",
        "a reference for ResNet-50 after 1,001 steps; from whom is not noted",
        "?",
        "vlcs",
        "leave-one-out",
        "in",
        "accuracy",
        VLCS,
        {"ERM": (99.5, 75.3, 78.7, 83.3)},
        errors={"ERM": (0.4, 1.8, 2.9, 1.3)},
        note="It says what to expect in distribution.",
    ),
    "single-source-vlcs": Published(
        "VLCS, train on one, mean of the other three",
        "a yardstick for ResNet-18; from whom is not noted",
        "?",
        "vlcs",
        "single-source",
        "out",
        "accuracy",
        VLCS,
        {"ERM": (44.95, 58.86, 57.71, 76.72)},
        note="A column is the domain trained on.",
    ),
}
"""Every published table that the book shows, by name."""

NOT_RUN = "not run here"


def beside(published: Published, ours: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """A published table with our own rows under it, apart.

    Args:
        published: what was reported.
        ours: for each of our methods by name a text for each domain that was run.

    Returns:
        Rows indexed by (who, method); who is "published [mark]" or "ours". Text cells; a method or
        domain that has no record says "not run here".
    """
    rows: dict[tuple[str, str], Sequence[str]] = {}
    for method, values in published.rows.items():
        errors = published.errors.get(method, [None] * len(values))
        rows[f"published [{published.mark}]", method] = [
            f"{value:g}" if error is None else f"{value:g} ± {error:g} s.e."
            for value, error in zip(values, errors, strict=True)
        ]
    # A method that we have in one form or several ("ALIGN, energy") is not missing.
    forms = {label.partition(",")[0] for label in ours}
    missing = [method for method in published.rows if method not in forms]
    for method in [*ours, *missing]:
        found = ours.get(method, {})
        rows["ours", method] = [found.get(column, NOT_RUN) for column in published.columns]
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(published.columns)).set_index(
        pd.MultiIndex.from_tuples(list(rows), names=["who", "method"])
    )
