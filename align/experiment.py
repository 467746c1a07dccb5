"""One run of the benchmark: load, split by a protocol, train, test on every domain, record."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import torch

from align import records
from align.checks import check_choice, check_kind, check_number, check_texts
from align.config import Config, check_values
from align.data import Benchmark, Domain, is_rendered, join, load
from align.data.mask_sources import BLIND, mask_source
from align.data.masks import corrupt, load_pennfudan, load_weizmann
from align.evaluation import evaluate
from align.files import found
from align.training import Run, train

HELD_OUT = 0.2
"""Share of each domain trained on that is held out as its in-distribution test."""

SELECTION = "last epoch"
"""How a run's weights are chosen; how its settings were is for those to say who chose them."""


@dataclass(frozen=True)
class Experiment:
    """What is run: data, protocol and configuration.

    Single-source (the paper's protocol): train on `source`, test on its held-out fifth and on every
    other domain. Leave-one-out (DomainBed's): train on every domain but `target`, test on it and on
    the others' held-out fifths. Where a benchmark has official splits, `source` is its training
    split: it is trained on whole, and tested is on the other splits.

    Args:
        benchmark: a name that `align.load` takes.
        source: the one domain trained on, or "" where `target` is given.
        config: the run's choices; its seed also draws the split, and a benchmark that is rendered.
        options: further arguments of `align.load`, `size` among them; a relative `masks` folder
            and `config.weights` are looked for as `align.files.found` says.
        explained: images per test domain on which explanations are measured.
        human_masks: further tests against masks drawn by people, of "weizmann_horse" and
            "pennfudan_person"; the classifier must know the class.
        missed: share of the object that the training masks miss (`align.data.masks.corrupt`).
        leaked: share of the background that they mark.
        target: the one domain not trained on, or "" where `source` is given.
        controls: also measure control explanations; they take five times as long.
        mask_area: share of each picture that a source which looks at nothing marks; 0 for as much
            as the picture's true mask does, so that the masks are told the object's size.
        localisation_only: measure of explanations only where they lie, see `align.evaluate`.
        mask_source: where the training masks come from, see `align.data.mask_sources`; "" takes the
            data's own.

    Raises:
        ValueError: if both or neither of source and target are given, or a value is of another
            kind or out of range.
    """

    benchmark: str
    source: str
    config: Config
    options: dict = field(default_factory=dict)
    explained: int = 128
    human_masks: tuple[str, ...] = ()
    missed: float = 0.0
    leaked: float = 0.0
    target: str = ""
    controls: bool = False
    mask_source: str = ""
    mask_area: float = 0.0
    localisation_only: bool = False

    def __post_init__(self) -> None:
        check_values(self)
        check_kind("config", self.config, Config, "an align.Config")
        check_kind("options", self.options, dict, "a dict of arguments of align.load")
        check_texts("human_masks", self.human_masks)
        check_number("missed", self.missed, 0, 1)
        check_number("leaked", self.leaked, 0, 1)
        check_number("mask_area", self.mask_area, 0, 1)
        if self.mask_area:  # other masks have the size that they have
            check_choice("the mask source of an area", self.mask_source, BLIND)
        if bool(self.source) == bool(self.target):
            raise ValueError(
                f"source is '{self.source}' and target is '{self.target}', expected one of them: "
                "the domain trained on, or the one domain left out"
            )

    @property
    def protocol(self) -> str:
        """The protocol, "single-source" or "leave-one-out"."""
        return "leave-one-out" if self.target else "single-source"

    def trained_on(self, domains: tuple[str, ...]) -> tuple[str, ...]:
        """Those of a benchmark's domains that are trained on; a ValueError if there is none."""
        named = self.source or self.target
        if named not in domains:
            raise ValueError(
                f"benchmark '{self.benchmark}' has no domain '{named}'; it has {', '.join(domains)}"
            )
        rest = tuple(name for name in domains if name != self.target)
        if not rest:
            raise ValueError(
                f"benchmark '{self.benchmark}' has no domain but '{self.target}': leaving it out "
                "leaves nothing to train on"
            )
        return (self.source,) if self.source else rest

    def description(self) -> dict:
        """All that determines the run, JSON-ready."""
        return asdict(self) | {"config": self.config.used()}

    def key(self) -> str:
        """The first 12 hexadecimal digits of a SHA-256 over what determines the run."""
        # What is empty is left out, so that a new kind of choice leaves older keys as they were.
        chosen = {name: value for name, value in self.description().items() if value}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:12]

    def data(self, root: str | Path | None = None) -> Benchmark:
        """The benchmark, with this experiment's seed if it is rendered."""
        options = dict(self.options)
        if is_rendered(self.benchmark):
            options["seed"] = self.config.seed
        if options.get("masks") not in (None, "boxes"):
            options["masks"] = str(found(options["masks"], root))
        return _load(self.benchmark, root, json.dumps(options, sort_keys=True))

    def human(self, classes: tuple[str, ...], root: str | Path | None = None) -> dict[str, Domain]:
        """The photographs with masks drawn by people, labelled in the benchmark's classes."""
        readers = {"weizmann_horse": load_weizmann, "pennfudan_person": load_pennfudan}
        domains = {}
        for name in self.human_masks:
            domain = readers[name](root, size=self.options.get("size", 224), progress=False)
            labels = torch.full_like(domain.labels, classes.index(name.partition("_")[2]))
            domains[name] = replace(domain, labels=labels, classes=classes)
        return domains

    def resolved(self, root: str | Path | None = None) -> Config:
        """The configuration with a relative weights file found under the data's root."""
        weights = self.config.weights
        if weights is None or weights.isidentifier():  # none, or a name that torchvision knows
            return self.config
        return replace(self.config, weights=str(found(weights, root)))

    def split(self, benchmark: Benchmark) -> tuple[Domain, dict[str, Domain]]:
        """The training images, and each domain's test images, those trained on first."""
        names, held_out = self.trained_on(benchmark.domains), {}
        official = benchmark.training_split
        if official and self.source != official:
            given = f"source '{self.source}'" if self.source else f"target '{self.target}'"
            raise ValueError(
                f"benchmark '{benchmark.name}' has official splits and the experiment has {given}, "
                f"expected source '{official}': nothing else may stand in for it"
            )
        if official:
            learnt = [benchmark[official]]
        else:
            parts = [benchmark[name].split(1 - HELD_OUT, self.config.seed) for name in names]
            learnt = [first for first, _ in parts]
            held_out = {name: second for name, (_, second) in zip(names, parts, strict=True)}
        training = learnt[0] if self.source else join(learnt)
        if self.mask_source:
            options = {"area": self.mask_area or None, "seed": self.config.seed}
            training = mask_source(self.mask_source, training, **options)
        if self.missed or self.leaked:
            masks = corrupt(training.masks, self.missed, self.leaked, self.config.seed)
            source = f"{training.mask_source or 'given'}, spoilt"
            training = replace(training, masks=masks, mask_source=source)
        return training, held_out | {n: benchmark[n] for n in benchmark.domains if n not in names}


@lru_cache(maxsize=2)
def _load(name: str, root: str | Path | None, options: str) -> Benchmark:
    """Neighbouring experiments of a grid share their data."""
    return load(name, root, **json.loads(options))


@dataclass(frozen=True, eq=False)
class Prepared:
    """The data of an experiment, and the fingerprints of what is trained and tested on."""

    benchmark: Benchmark
    training: Domain
    tests: dict[str, Domain]
    training_data: str
    data: dict[str, str]


def prepare(experiment: Experiment, root: str | Path | None = None) -> Prepared:
    """Load and split the data of an experiment, real ones from `root`; see `align.load`."""
    benchmark = experiment.data(root)
    training, tests = experiment.split(benchmark)
    data = {name: domain.fingerprint() for name, domain in tests.items()}
    return Prepared(benchmark, training, tests, training.fingerprint(), data)


def run(
    experiment: Experiment,
    *,
    root: str | Path | None = None,
    prepared: Prepared | None = None,
    folder: str | Path | None = None,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> tuple[dict, Run]:
    """Train and test one experiment; real data are looked for in `root`, see `align.load`.

    `prepared` data are not loaded again, `folder` keeps checkpoints; else see `align.train`.

    Returns:
        `(record, run)`: the JSON-ready record and the trained networks.
    """
    prepared = prepared or prepare(experiment, root)
    benchmark, config = prepared.benchmark, experiment.resolved(root)
    options = {"device": device, "checkpoint": folder, "progress": progress}
    result = train(config.method, prepared.training, config=config, **options)
    result.config = experiment.config  # as asked for: no path of this machine goes into a record

    tested, correct = _measure(experiment, result, prepared.tests)
    human, _ = _measure(experiment, result, experiment.human(benchmark.classes, root))
    record = {
        "key": experiment.key(),
        **experiment.description(),
        "protocol": experiment.protocol,
        "trained_on": list(experiment.trained_on(benchmark.domains)),
        "selection": SELECTION,
        "config_hash": experiment.config.hash(),
        "training_data": prepared.training_data,
        "data": prepared.data,
        "metrics": tested,
        "correct": correct,
        "human": human,
        "history": result.history,
        "seconds": round(result.seconds, 2),
        "images_per_second": round(result.images / max(result.seconds, 1e-9), 1),
        "threads": torch.get_num_threads(),
        **records.provenance(next(result.classifier.parameters()).device),
    }
    return record, result


def _measure(
    experiment: Experiment, result: Run, domains: dict[str, Domain]
) -> tuple[dict[str, dict], dict[str, str]]:
    """For each domain what is measured of a run, and which images it has right."""
    names = ("controls", "localisation_only")
    options = {name: getattr(experiment, name) for name in names} | {"details": True}
    metrics, correct = {}, {}
    for name, domain in domains.items():
        values = evaluate(result, domain, max_explained=experiment.explained, **options)
        correct[name] = records.pack(values.pop("correct"))
        metrics[name] = {
            key: [round(point, 4) for point in value] if isinstance(value, list) else value
            for key, value in values.items()
        }
    return metrics, correct
