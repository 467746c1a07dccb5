"""The training loop: warm-up, alternation, progress, history, checkpoints, resuming."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from align.checks import check_device, check_flag, check_kind, check_path
from align.config import Config
from align.data.batches import Batches
from align.data.benchmark import Benchmark, Domain
from align.methods import Method
from align.networks.compilation import check_compile, compiled
from align.networks.feature_masker import FeatureMasker
from align.networks.masker import Masker
from align.training import checkpoint as checkpoints
from align.training.contract import Contract
from align.training.judged import learn_from_judge
from align.training.objectness import learn_from_looked_at
from align.training.run import Run, first_networks, read_notes

CHECKPOINT = "checkpoint.pt"

LOOK_EVERY = 50
"""Steps between two looks at values on a GPU: each look makes it wait."""


def train(
    method: str | type[Method],
    benchmark: Benchmark | Domain,
    source: str | None = None,
    *,
    config: Config | None = None,
    seed: int | None = None,
    device: torch.device | str | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
    compile: bool = False,
) -> Run:
    """Train a classifier (and, for ALIGN, a masker) on one domain.

    Several domains are trained on together when they are joined to one: `align.data.join`.

    Args:
        method: a name in `align.methods.METHODS`, or a class that inherits from
            `align.methods.Method`.
        benchmark: where the training images are, a benchmark or a single domain. All images of
            the domain are trained on: to hold some out, pass a part made by `Domain.split`.
        source: the benchmark's domain to train on; with a single domain, None.
        config: the run's other choices; None takes the defaults.
        seed: replaces the configuration's; None leaves it.
        device: where to train; None takes a GPU if there is one.
        checkpoint: a folder where the state is kept after each epoch; a run that finds one there
            goes on from it, to the same result as without the break. None keeps nothing.
        progress: show a progress bar.
        compile: compile the classifier's trunk by `torch.compile` while it trains. That takes
            seconds to minutes at the start and pays, if at all, in long runs on a GPU; it needs a
            C++ compiler on a CPU, Triton and a C compiler on a GPU.

    Returns:
        The run, its networks in evaluation mode.

    Raises:
        ValueError: if arguments do not fit together, the method needs masks and there are none,
            the checkpoint is of another run or other data, or the run cannot be compiled.
        FloatingPointError: if a term of the loss is no longer a finite number.
    """
    if config is not None:
        check_kind("config", config, Config, "an align.Config, or None")
    check_path("checkpoint", checkpoint)
    check_flag("progress", progress)
    check_flag("compile", compile)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if device is None else device
    check_device(device)
    config = replace(config or Config(), method=method)
    config = config if seed is None else replace(config, seed=seed)
    domain = _training_domain(benchmark, source)
    _warn_of_short_runs(config)
    device = torch.device(device)
    if compile:
        check_compile(config, device)
    options = {"device": device, "progress": progress, "compile": compile}
    path = None if checkpoint is None else Path(checkpoint) / CHECKPOINT
    if path is not None and path.is_file():
        _stored(path, config)  # refused before a first round is trained in vain
    before = _round_before(domain, config, checkpoint, options)
    ready = start(config.method, domain, config, device, masker=before and before.masker)
    run = Run(config, ready.classifier, ready.masker)
    if before is not None:
        run.seconds, run.images = before.seconds, before.images
    run.contract = Contract.of(domain, run.classifier.mean, run.classifier.std)
    order = config.batch_size, config.seed, config.augment, device, config.balanced
    batches = Batches(domain, *order)
    if path is not None and path.is_file():
        _resume(path, run, ready)
    bar = tqdm(
        total=config.epochs * len(batches),
        initial=len(run.history) * len(batches),
        desc=config.method_name + (", second round" if before else ""),
        # Left alone where wanted, so that the environment variable TQDM_DISABLE still counts.
        **({} if progress else {"disable": True}),
        unit="step",
    )
    with bar, compiled(run.classifier) if compile else nullcontext():
        for epoch in range(len(run.history), config.epochs):
            began = time.perf_counter()
            row = train_epoch(ready, batches, epoch, bar.update)
            run.history.append({"epoch": epoch} | row)
            run.seconds += time.perf_counter() - began
            run.images += len(batches) * batches.batch_size
            bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            if path is not None:
                checkpoints.write(path, ready.parts(), run.notes())
    for network in run.networks().values():
        network.eval()
    return run


def start(
    method: str | type[Method],
    domain: Domain,
    config: Config | None = None,
    device: torch.device | str = "cpu",
    masker: Masker | FeatureMasker | None = None,
) -> Method:
    """A method before its first step, with the seed's first `classifier` and `masker`.

    Arguments are as for `train`; a masker is that of the round before, where there is one.

    Raises:
        ValueError: if masks are needed, by the method or to be looked at, and the domain has too
            few, if a judge is asked for and there are no weights, or an argument is of another
            kind.
    """
    check_kind("domain", domain, Domain, "a Domain")
    check_device(device)
    if config is None or config.method != method:
        config = replace(config or Config(), method=method)
    kind = config.method_class
    kind.check_masks(domain.masks)
    classifier, fresh = first_networks(config, len(domain.classes), device)
    if masker is None and fresh is not None:
        masker = fresh
        if config.looked_at_masks:
            learn_from_looked_at(masker, domain, config)
        if config.judge_epochs:
            learn_from_judge(masker, domain, config)
    environments = domain.environment_count
    return kind(classifier.train(), config, masker=masker, environments=environments)


def _round_before(
    domain: Domain, config: Config, checkpoint: str | Path | None, options: dict
) -> Run | None:
    """The run whose masker guides this one, made or found in a folder of its own; or None."""
    if not config.has_second_round:
        return None
    # A swap at a mask that is not there yet would exchange the object: evidence comes first.
    form = "energy" if config.alignment.startswith("swap") else config.alignment
    earlier = replace(config, rounds=1, alignment=form)
    folder = None if checkpoint is None else Path(checkpoint) / "round-1"
    return train(config.method, domain, config=earlier, checkpoint=folder, **options)


def train_epoch(
    method: Method,
    batches: Batches,
    epoch: int,
    after_step: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Make the steps of one epoch and return the mean of each term of the losses.

    Args:
        method: what `start` made, and trained in the epochs before.
        batches: the training images.
        epoch: its number, from 0; with the seed it decides all random numbers.
        after_step: called after each step.

    Raises:
        FloatingPointError: if a term is no longer a finite number.
    """
    config = method.config
    for part in method.parts().values():
        if isinstance(part, nn.Module):
            part.train()
    generator = torch.Generator().manual_seed(config.seed * 100_003 + 50_000 + epoch)
    terms = EpochTerms(epoch, len(batches))
    method.begin(epoch)
    with flushed_denormals():
        for step, batch in enumerate(batches.epoch(epoch)):
            method.set_progress((epoch + step / len(batches)) / config.epochs)
            device = batch.images.device.type
            with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
                terms.add(method.update(batch, epoch, generator))
            after_step()
    return terms.means()


def _warn_of_short_runs(config: Config) -> None:
    for what, first, lower in (
        ("guidance would begin", config.joint_from, "warmup"),
        ("IRM's penalty would count in full", config.irm_anneal, "irm_anneal"),
        *([("the masker would learn", config.masker_from, "hold")] if config.hold else []),
    ):
        if lower in config.method_class.reads and first >= config.epochs:
            warnings.warn(
                f"the run ends after {config.epochs} epochs and {what} after {first}; raise "
                f"epochs, or lower {lower}",
                stacklevel=3,
            )


def _training_domain(benchmark: Benchmark | Domain, source: str | None) -> Domain:
    check_kind("benchmark", benchmark, (Benchmark, Domain), "a Benchmark or a Domain")
    check_kind("source", source, (str, type(None)), "a domain's name, or None")
    alone = isinstance(benchmark, Domain)
    if alone and source not in (None, benchmark.name):
        raise ValueError(
            f"source is '{source}' and the data are domain '{benchmark.name}' alone, expected "
            "None: leave source out, or pass the benchmark"
        )
    if not alone and source is None:
        raise ValueError(
            f"no source given: name the domain of '{benchmark.name}' to train on, one of "
            f"{', '.join(benchmark.domains)}"
        )
    return benchmark if alone else benchmark[source]


class EpochTerms:
    """Sums each term of an epoch's losses on its device; notes the first that is not finite."""

    def __init__(self, epoch: int, steps: int) -> None:
        self.epoch, self.steps, self.step = epoch, steps, 0
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.bad: dict[str, Tensor] = {}  # the first step with a bad value; `steps` if none

    def add(self, terms: dict[str, Tensor]) -> None:
        """Take in one step's detached scalars by name.

        Raises:
            FloatingPointError: names term and step of a value that was not finite; at once on a
                CPU, after some steps on a GPU.
        """
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
            before = self.bad.get(name, torch.full_like(value, self.steps))
            self.bad[name] = torch.where(value.isfinite(), before, before.clamp_max(self.step))
        self.step += 1
        on_cpu = all(value.is_cpu for value in terms.values())
        if not (on_cpu or self.step % LOOK_EVERY == 0 or self.step == self.steps):
            return
        name, step = min(((n, int(s)) for n, s in self.bad.items()), key=lambda item: item[1])
        if step < self.steps:
            raise FloatingPointError(
                f"the term '{name}' is no longer a finite number in epoch {self.epoch}, step "
                f"{step}; lower lr or the term's weight, or look at the data"
            )

    def means(self) -> dict[str, float]:
        """The mean of each term over those steps of the epoch that have it."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Round numbers too small for full precision to zero for a while: on a CPU they cost much."""
    before = bool(torch.tensor(2.0**-1060, dtype=torch.float64) * 1.0 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _resume(path: Path, run: Run, method: Method) -> None:
    states, values, differences = _stored(path, run.config)
    if other := differences(run.contract):
        raise ValueError(
            f"'{path}' is of a run on other data ({'; '.join(other)}); use another folder, or "
            "delete it to start anew"
        )
    checkpoints.restore(path, method.parts(), states)
    vars(run).update(values)


def _stored(path: Path, wanted: Config) -> tuple[dict, dict, Callable[[Contract], list[str]]]:
    """What a checkpoint holds, if it is of the run that is wanted; its data are still unchecked."""
    states, notes = checkpoints.read(path)
    try:
        name = notes["config"]["method"]
        # Read as a Config: a choice later than the checkpoint has what was done before it.
        config, values = read_notes(notes | {"config": notes["config"] | {"method": wanted.method}})
        differences = values.pop("contract").differences
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"'{path}' is of another version of the library ({error}); delete it to start anew"
        ) from error
    stored = config.values() | {"method": name}
    differs = sorted(key for key, value in wanted.values().items() if stored[key] != value)
    if differs:
        raise ValueError(
            f"'{path}' is the checkpoint of another run (differs in {', '.join(differs)}); use "
            "another folder, or delete it to start anew"
        )
    return states, values, differences
