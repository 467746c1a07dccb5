"""The short comparison: ERM and ALIGN on the embedded benchmark, a table and a figure."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from align.config import Config
from align.data.benchmark import Domain
from align.experiment import Experiment, run
from align.saliency import grad_cam
from align.training import Run
from alignbook import overlays
from alignbook.measures import words

SHOWN = (
    *("accuracy", "evidence_inside", "reliance_logits"),
    *("energy_inside", "masker_iou", "random_iou"),
)
"""The columns, from what is asked first to what the figure shows."""

HEAD = 10
"""Characters of a heading's line: the table fits a terminal."""


def compare(seed: int = 0) -> tuple[pd.DataFrame, Figure]:
    """Train ERM and ALIGN on `toy-vlcs`, test on every domain, draw what both look at.

    Args:
        seed: draws data, split and initial weights, the same for both methods.

    Returns:
        `(table, figure)`: what `table` makes; and four held-out images with both methods' Grad-CAM
        and ALIGN's mask, the true mask outlined.
    """
    rows, runs = {}, {}
    for method in ("erm", "align"):
        experiment = Experiment("toy-vlcs", "noon", Config(method, seed=seed), explained=32)
        record, runs[method] = run(experiment)
        for domain, metrics in record["metrics"].items():
            where = "held out" if domain == experiment.source else "elsewhere"
            rows[method, domain, where] = metrics
    _, tests = experiment.split(experiment.data())
    return table(rows), figure(tests["noon"], runs)


def table(rows: dict[tuple[str, str, str], dict]) -> pd.DataFrame:
    """What was measured, under headings in words.

    Args:
        rows: by method, test domain and whether it is held out or elsewhere, what
            `align.evaluate` measured.

    Returns:
        One row a method and test domain, the columns `SHOWN`; a heading's lines are its levels.
    """
    found = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=SHOWN)
    heads = [textwrap.wrap(words(name), HEAD) for name in SHOWN]
    height = max(map(len, heads))
    lines = [[*head, *[""] * (height - len(head))] for head in heads]
    return found.set_axis(pd.MultiIndex.from_tuples(map(tuple, lines)), axis=1)


@torch.inference_mode()
def figure(domain: Domain, runs: dict[str, Run], shown: int = 4) -> Figure:
    """Images, both methods' Grad-CAM of the true class and ALIGN's mask, one row an image.

    The true mask is outlined in each picture.

    Args:
        domain: where the images come from; the first `shown` are taken.
        runs: trained runs under "erm" and "align".
        shown: number of images.
    """
    images, labels = domain.images[:shown].float() / 255, domain.labels[:shown]
    maps = {
        "ERM looks": grad_cam(runs["erm"].classifier, images, labels, upsample=True),
        "ALIGN looks": grad_cam(runs["align"].classifier, images, labels, upsample=True),
        "ALIGN's mask": runs["align"].masker(images)[:, 0],
    }
    pictures, titles, outlines = [], [], []
    for i in range(shown):
        picture = images[i].movedim(0, 2).numpy()
        pictures.append(picture)
        pictures += [overlays.blend(picture, values[i].numpy()) for values in maps.values()]
        titles += [domain.classes[int(labels[i])], *maps]
        outlines += [domain.masks[i].numpy()] * (1 + len(maps))
    grid = np.stack(pictures).transpose(0, 3, 1, 2)
    return overlays.image_grid(grid, titles, masks=np.stack(outlines), columns=1 + len(maps))
