"""One run of the benchmark: load, split, train on one domain, test on all, record."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from align.benchmark import records
from align.config import Config
from align.data import Benchmark, Domain, load
from align.data.masks import corrupt, load_pennfudan, load_weizmann
from align.data.toy import WORLDS
from align.evaluation import evaluate
from align.training import Run, train

HELD_OUT = 0.2


@dataclass(frozen=True)
class Experiment:
    """What is run: data, source domain and configuration.

    Args:
        benchmark: a name that `align.load` takes.
        source: the domain trained on; a fifth of it is held out for the in-distribution test.
        config: the run's choices; its seed also draws the split and the toy worlds.
        options: further arguments of `align.load`, `size` among them; a relative `masks` folder
            is taken from the data's root, and so is a relative path in `config.weights`.
        explained: images per test domain on which explanations are measured.
        human_masks: further tests against masks drawn by people, of "weizmann_horse" and
            "pennfudan_person"; the classifier must know the class.
        missed: share of the object that the training masks miss (`align.data.masks.corrupt`).
        leaked: share of the background that they mark.
    """

    benchmark: str
    source: str
    config: Config
    options: dict = field(default_factory=dict)
    explained: int = 128
    human_masks: tuple[str, ...] = ()
    missed: float = 0.0
    leaked: float = 0.0

    def description(self) -> dict:
        """All that determines the run, JSON-ready."""
        return asdict(self) | {"config": self.config.read()}

    def key(self) -> str:
        """The first 12 hexadecimal digits of a SHA-256 over what determines the run."""
        # What is empty is left out, so that a new kind of choice leaves older keys as they were.
        chosen = {name: value for name, value in self.description().items() if value}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]

    def data(self, root: str | Path | None = None) -> Benchmark:
        """The benchmark, with this experiment's seed if it is rendered."""
        options = dict(self.options)
        if self.benchmark in WORLDS:
            options["seed"] = self.config.seed
        if "masks" in options:
            options["masks"] = str(_root(root) / options["masks"])
        return _load(self.benchmark, root, json.dumps(options, sort_keys=True))

    def human(self, classes: tuple[str, ...], root: str | Path | None = None) -> dict[str, Domain]:
        """The photographs with masks drawn by people, labelled in the benchmark's classes."""
        readers = {
            "weizmann_horse": ("horse", load_weizmann),
            "pennfudan_person": ("person", load_pennfudan),
        }
        domains = {}
        for name in self.human_masks:
            kind, reader = readers[name]
            domain = reader(root, size=self.options.get("size", 224), progress=False)
            labels = torch.full_like(domain.labels, classes.index(kind))
            domains[name] = replace(domain, labels=labels, classes=classes)
        return domains

    def resolved(self, root: str | Path | None = None) -> Config:
        """The configuration with a relative weights file found under the data's root."""
        weights = self.config.weights
        if weights is None or "/" not in weights:
            return self.config
        return replace(self.config, weights=str(_root(root) / weights))

    def split(self, benchmark: Benchmark) -> tuple[Domain, dict[str, Domain]]:
        """The training images, and each domain's test images."""
        training, held_out = benchmark[self.source].split(1 - HELD_OUT, self.config.seed)
        if self.missed or self.leaked:
            masks = corrupt(training.masks, self.missed, self.leaked, self.config.seed)
            training = replace(training, masks=masks)
        others = {name: benchmark[name] for name in benchmark.domains if name != self.source}
        return training, {self.source: held_out} | others


def _root(root: str | Path | None) -> Path:
    found = root or os.environ.get("ALIGN_DATA")
    if not found:
        raise FileNotFoundError("no data folder given: pass root, or set ALIGN_DATA to it")
    return Path(found)


@lru_cache(maxsize=2)
def _load(name: str, root: str | Path | None, options: str) -> Benchmark:
    """Neighbouring experiments of a grid share their data."""
    return load(name, root, **json.loads(options))


def run(
    experiment: Experiment,
    *,
    root: str | Path | None = None,
    folder: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> tuple[dict, Run]:
    """Train and test one experiment.

    Args:
        experiment: what is run.
        root: where real data are; see `align.load`.
        folder: where checkpoints are kept, so that a broken run goes on; None keeps none.
        device: where to run; None takes a GPU if there is one.
        progress: show a progress bar.

    Returns:
        `(record, run)`: the JSON-ready record and the trained networks.
    """
    benchmark = experiment.data(root)
    training, tests = experiment.split(benchmark)
    config = experiment.resolved(root)
    result = train(
        config.method,
        training,
        config=config,
        device=device,
        checkpoint=folder,
        progress=progress,
    )
    result.config = experiment.config  # as asked for: no path of this machine goes into a record

    def measured(domains: dict[str, Domain]) -> dict[str, dict]:
        return {
            name: evaluate(result, domain, max_explained=experiment.explained)
            for name, domain in domains.items()
        }

    metrics = measured(tests)
    record = {
        "key": experiment.key(),
        **experiment.description(),
        "data": {name: domain.fingerprint() for name, domain in tests.items()},
        "metrics": metrics,
        "human": measured(experiment.human(benchmark.classes, root)),
        "history": result.history,
        "seconds": round(result.seconds, 2),
        "images_per_second": round(result.images / max(result.seconds, 1e-9), 1),
        "threads": torch.get_num_threads(),
        **records.provenance(next(result.classifier.parameters()).device),
    }
    return record, result


def run_all(
    experiments: list[Experiment],
    path: Path,
    *,
    root: str | Path | None = None,
    checkpoints: Path | None = None,
    progress: bool = True,
) -> int:
    """Run what is not recorded yet, and record each run as it ends.

    Args:
        experiments: what is wanted.
        path: the `.jsonl` file of records.
        root: where real data are.
        checkpoints: folder for unfinished runs; None keeps none.
        progress: show progress bars.

    Returns:
        The number of runs made now.
    """
    made = 0
    for number, experiment in enumerate(experiments, 1):
        done = {record["key"] for record in records.read(path)}
        if experiment.key() in done:
            continue
        if progress:
            config = experiment.config
            print(f"[{number}/{len(experiments)}] {config.method} seed {config.seed}", flush=True)
        folder = None if checkpoints is None else checkpoints / experiment.key()
        record, _ = run(experiment, root=root, folder=folder, progress=progress)
        records.append(path, record)
        made += 1
    return made
