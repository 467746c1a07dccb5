"""Stage 3: ALIGN end to end, beside plain training and true masks, seed after seed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from align.benchmark import records
from align.benchmark.experiment import Experiment, run
from align.benchmark.runner import describe, missing
from align.config import Config
from align.data import Benchmark
from alignbook.gpu import packed
from alignbook.gpu.device import Device
from alignbook.gpu.plan import NotHereError, Unit
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import Sizes

HEADLINE: dict[str, dict] = {
    "erm": {"method": "erm"},
    "align": {"method": "align"},
    "guided": {"method": "guided"},
}
"""The methods that are trained, the most telling pair first, with what they change."""


@dataclass(frozen=True)
class PackedExperiment(Experiment):
    """An experiment on packed pictures; the root is the folder of the shards."""

    def data(self, root: str | Path | None = None) -> Benchmark:
        """The unpacked benchmark."""
        return packed.unpack(Path(root), self.benchmark)


def units(
    device: Device, sizes: Sizes, report: Report, folder: Path | None, work: Path
) -> list[Unit]:
    """One unit a training: toy-vlcs, and whatever is packed.

    Args:
        device: the device.
        sizes: its sizes.
        report: where records go.
        folder: of packed pictures, or None.
        work: folder for checkpoints.
    """
    wanted = [
        (experiment, None, 2 + 2 * min(place, 1), 25.0)
        for place, seed in enumerate(sizes.seeds)
        for experiment in toy(sizes, seed)
    ]
    for kind in packed.found(folder) if folder else ():
        wanted += [
            (experiment, folder, 3 + 2 * min(place, 1), 60.0)
            for place, seed in enumerate(sizes.seeds)
            for experiment in photographs(sizes, kind, seed)
        ]
    return [
        Unit(
            "training",
            f"{experiment.benchmark}-{experiment.config.method}-{experiment.config.seed}",
            rank,
            seconds,
            describe(experiment),
            trainer(experiment, device.torch, report, root, work),
        )
        for experiment, root, rank, seconds in wanted
    ]


def toy(sizes: Sizes, seed: int) -> list[Experiment]:
    """The headline methods on `toy-vlcs`."""
    return [
        Experiment(
            "toy-vlcs",
            "noon",
            Config(**sizes.recipe, **changes, seed=seed),
            dict(sizes.toy),
            sizes.explained,
        )
        for changes in HEADLINE.values()
    ]


def photographs(sizes: Sizes, kind: packed.Kind, seed: int) -> list[Experiment]:
    """The headline methods on a packed benchmark; without masks, those that need none."""
    recipe = dict(sizes.photographs) | kind.network
    if recipe.get("backbone", "small-cnn") == "small-cnn":
        recipe.pop("output_stride", None)
    return [
        PackedExperiment(
            kind.name,
            kind.domains[0],
            Config(**recipe, **changes, seed=seed),
            dict(kind.options),
            sizes.explained,
        )
        for name, changes in HEADLINE.items()
        if name != "guided" or kind.has_masks
    ]


def trainer(
    experiment: Experiment, device: torch.device, report: Report, root: Path | None, work: Path
) -> Callable[[], dict]:
    """What trains and tests one experiment, from its last checkpoint on, and records it."""

    def train() -> dict:
        key = experiment.key()
        if missing([experiment], report.records):
            if not report.has_room():
                raise NotHereError(f"'{report.records.name}' is full; choose another OUT")
            folder = work / key
            record, _ = run(experiment, root=root, folder=folder, device=device, progress=False)
            records.append(report.records, record)
            shutil.rmtree(folder, ignore_errors=True)
        # From the file: a kill after the record and before the report loses nothing.
        return summary(next(r for r in records.read(report.records) if r["key"] == key))

    return train


def summary(record: dict) -> dict:
    """What a report says of a record."""
    trained = records.trained_on(record)
    metrics = record["metrics"]
    away = [values["accuracy"] for name, values in metrics.items() if name not in trained]
    home = [values["accuracy"] for name, values in metrics.items() if name in trained]
    inside = [v["evidence_inside"] for v in metrics.values() if "evidence_inside" in v]
    worst = [values["worst_group"] for values in metrics.values() if "worst_group" in values]
    told = {
        "in": _mean(home),
        "out": _mean(away),
        "evidence inside": _mean(inside),
        "worst group": worst[-1] if worst else None,
        "seconds": record["seconds"],
        "images/s": record["images_per_second"],
    }
    return {
        "key": record["key"],
        "benchmark": record["benchmark"],
        "method": record["config"]["method"],
        "seed": record["config"]["seed"],
        **{name: value for name, value in told.items() if value is not None},
    }


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
