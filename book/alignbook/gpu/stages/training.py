"""Stage 3: ALIGN end to end, beside plain training and true masks, seed after seed."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from align import records
from align.config import Config
from align.data import Benchmark
from align.data.mask_sources import sources
from align.experiment import Experiment, run
from align.networks.classifier import Classifier
from align.networks.feature_masker import masker_for
from alignbook.campaign.runner import describe, missing
from alignbook.campaign.swap_grids import HELD
from alignbook.gpu import packed
from alignbook.gpu.device import Device
from alignbook.gpu.plan import NotHereError, Unit
from alignbook.gpu.report import Report
from alignbook.gpu.sizes import Sizes

SWAP = {"method": "align", "alignment": "swap", "swap_background": "emptied", "rounds": 1}
"""ALIGN with the swap alone: the answer must stand when what lies outside the mask is exchanged."""

HEADLINE: dict[str, dict] = {
    "erm": {"method": "erm"},
    "align": {"method": "align"},
    "guided": {"method": "guided", "alignment": "energy"},
    "align-swap": SWAP,
}
"""The methods that are trained, the most telling pair first, with what they change."""

FIRST_ON_PHOTOGRAPHS = ("erm", "align-swap", "guided")
"""There the swap in one round is what ERM and guidance by boxes are beside; the default follows."""


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
        (name, experiment, None, 2 + 2 * min(place, 1), 25.0)
        for place, seed in enumerate(sizes.seeds)
        for name, experiment in toy(sizes, seed).items()
    ]
    for kind in packed.found(folder) if folder else ():
        wanted += [
            (name, experiment, folder, 3 + 2 * min(place, 1), 60.0)
            for place, seed in enumerate(sizes.seeds)
            for name, experiment in photographs(sizes, kind, seed, folder).items()
        ]
    return [
        Unit(
            "training",
            # The key tells apart what the words before it may not: a recipe, or other data.
            f"{experiment.benchmark}-{name}-{experiment.config.seed}-{experiment.key()}",
            rank + (root is not None and name not in FIRST_ON_PHOTOGRAPHS),
            seconds * (1 + experiment.config.has_second_round),
            f"{describe(experiment)} ({form(experiment.description())})",
            trainer(experiment, device.torch, report, root, work),
        )
        for name, experiment, root, rank, seconds in wanted
    ]


def toy(sizes: Sizes, seed: int) -> dict[str, Experiment]:
    """The headline methods on `toy-vlcs`, by their names."""
    return {
        name: Experiment(
            "toy-vlcs",
            "noon",
            Config(**sizes.recipe, **changes, seed=seed),
            dict(sizes.toy),
            sizes.explained,
        )
        for name, changes in HEADLINE.items()
    }


def photographs(sizes: Sizes, kind: packed.Kind, seed: int, folder: Path) -> dict[str, Experiment]:
    """The headline methods on a packed benchmark; without masks, those that need none."""
    recipe = dict(sizes.photographs) | kind.network
    if recipe.get("backbone", "small-cnn") == "small-cnn":
        recipe.pop("output_stride", None)
    chosen = HEADLINE | {"align-swap": SWAP | _start(recipe, folder)}
    order = dict.fromkeys((*FIRST_ON_PHOTOGRAPHS, *chosen))
    return {
        name: PackedExperiment(
            kind.name,
            kind.domains[0],
            Config(**recipe | chosen[name], seed=seed),
            dict(kind.options),
            sizes.explained,
        )
        for name in order
        if name != "guided" or kind.has_masks
    }


def _start(recipe: dict, folder: Path) -> dict:
    """A masker held at the start of the packed network, or nothing where none is for it."""
    if "weights" not in recipe:
        return {}
    config = Config(**recipe | HELD)
    weights = str(folder / recipe["weights"])
    trunk = Classifier(config.backbone, 2, weights, output_stride=config.output_stride)
    try:
        masker_for(config, trunk)
    except (FileNotFoundError, ValueError):  # no start for this backbone, or for other weights
        return {}
    return dict(HELD)


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
    home = {name: values for name, values in metrics.items() if name in trained}
    away = {name: values for name, values in metrics.items() if name not in trained}
    if "test" in away:  # of official splits the one that counts
        away = {"test": away["test"]}
    told = {
        "in": _mean(home, "accuracy"),
        "out": _mean(away, "accuracy"),
        "worst group": _mean(away, "worst_group"),
        "mean of groups": _mean(away, "mean_group"),
        "evidence inside": _mean(metrics, "evidence_inside"),
        "seconds": record["seconds"],
        "images/s": record["images_per_second"],
    }
    return {
        "key": record["key"],
        "benchmark": record["benchmark"],
        "method": record["config"]["method"],
        "form": form(record),
        "setting": _setting(record),
        "seed": record["config"]["seed"],
        **{name: value for name, value in told.items() if value is not None},
    }


def form(record: dict) -> str:
    """A method in words, with what it aligns and whose masks it is given.

    Args:
        record: a record, or an experiment's `description()`.
    """
    config = record["config"]
    words = [config["method"]]
    if config["method"] == "guided":
        words[0] += f" by {_masks(record)}"
    if config.get("alignment", "energy") != "energy":
        words.append(config["alignment"])
    if config.get("rounds", 1) > 1:
        words.append(f"{config['rounds']} rounds")
    return ", ".join(words)


def _masks(record: dict) -> str:
    given = record.get("mask_source") or record.get("options", {}).get("masks")
    if given in (None, "true"):
        return "true masks"
    return given if given in ("boxes", *sources()) else "a segmenter's masks"


def _setting(record: dict) -> str:
    """The same for runs that differ by their seed alone, and for no others."""
    names = ("source", "target", "options", "missed", "leaked", "mask_source", "mask_area")
    told = {name: record.get(name) for name in names if record.get(name)}
    told["config"] = {name: v for name, v in record["config"].items() if name != "seed"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:6]


def _mean(metrics: dict[str, dict], name: str) -> float | None:
    values = [found[name] for found in metrics.values() if name in found]
    return sum(values) / len(values) if values else None
