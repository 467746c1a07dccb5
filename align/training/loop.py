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
from align.training import checkpoint as checkpoints
from align.training.contract import Contract
from align.training.run import Run, first_networks

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
        method: "erm", "mixup", "irm", "groupdro", "sgt", "dre", "cgc", "guided" or "align"; each
            is explained in its file of `align.methods`, its values in `align.Config`. A method of
            your own is given by its class, which inherits from `align.methods.Method`.
        benchmark: where the training images are, a benchmark or a single domain. All images of
            the domain are trained on: to hold some out, pass a part made by `Domain.split`.
        source: the benchmark's domain to train on; with a single domain, None.
        config: the run's other choices; None takes the defaults.
        seed: replaces the configuration's; None leaves it.
        device: where to train; None takes a GPU if there is one.
        checkpoint: a folder where the state is kept after each epoch; a run that finds one there
            goes on from it, to the same result as without the break. None keeps nothing.
        progress: show a progress bar.
        compile: compile the classifier's trunk by `torch.compile` while it trains; what is kept is
            the same as without, and resumes either way. It takes seconds to minutes at the start
            and pays, if at all, in long runs on a GPU: `align gpu` measures whether. It needs a
            C++ compiler on a CPU, Triton and a C compiler on a GPU.

    Returns:
        The run, its networks in evaluation mode.

    Raises:
        ValueError: if an argument is of another kind, the data do not fit the configuration or
            lack masks that the method needs, the checkpoint is of another run or other data, or
            the run cannot be compiled.
        FloatingPointError: if a term of the loss is no longer a finite number; it names term and
            step.
    """
    if config is not None:
        check_kind("config", config, Config, "an align.Config, or None")
    check_path("checkpoint", checkpoint)
    check_flag("progress", progress)
    check_flag("compile", compile)
    if device is not None:
        check_device(device)
    config = replace(config or Config(), method=method)
    if seed is not None:
        config = replace(config, seed=seed)
    domain = _training_domain(benchmark, source)
    _warn_of_short_runs(config)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if compile:
        check_compile(config, device)
    ready = start(config.method, domain, config, device)
    run = Run(config, ready.classifier, ready.masker)
    run.contract = Contract.of(domain, run.classifier.mean, run.classifier.std)
    batches = Batches(
        domain, config.batch_size, config.seed, config.augment, device, config.balanced
    )
    path = None if checkpoint is None else Path(checkpoint) / CHECKPOINT
    if path is not None and path.is_file():
        _resume(path, run, ready)
    bar = tqdm(
        total=config.epochs * len(batches),
        initial=len(run.history) * len(batches),
        desc=config.method_name,
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
    run.classifier.eval()
    if run.masker is not None:
        run.masker.eval()
    return run


def start(
    method: str | type[Method],
    domain: Domain,
    config: Config | None = None,
    device: torch.device | str = "cpu",
) -> Method:
    """A method before its first step: its networks have the seed's first weights.

    Args:
        method: a name or a class, as for `train`.
        domain: the training images.
        config: the run's other choices; None takes the defaults.
        device: where its networks are.

    Returns:
        The method; `classifier`, and `masker` where it learns masks, are its networks.

    Raises:
        ValueError: if the method needs masks and the domain has none, or an argument is of another
            kind.
    """
    check_kind("domain", domain, Domain, "a Domain")
    check_device(device)
    if config is None or config.method != method:
        config = replace(config or Config(), method=method)
    kind = config.method_class
    kind.check_masks(domain.masks)
    classifier, masker = first_networks(config, len(domain.classes), device)
    environments = domain.environment_count
    return kind(classifier.train(), config, masker=masker, environments=environments)


def train_epoch(
    method: Method,
    batches: Batches,
    epoch: int,
    after_step: Callable[[], object] = lambda: None,
) -> dict[str, float]:
    """Make the steps of one epoch; training is nothing but this, epoch after epoch.

    Args:
        method: what `start` made, and trained in the epochs before.
        batches: the training images.
        epoch: its number, from 0; with the seed it decides all random numbers.
        after_step: called after each step.

    Returns:
        The mean of each term of the losses.

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
    reads = config.method_class.reads
    if "warmup" in reads and config.joint_from >= config.epochs:
        warnings.warn(
            f"the run ends after {config.epochs} epochs and guidance would begin after "
            f"{config.joint_from}; raise epochs, or lower warmup and head_start",
            stacklevel=3,
        )
    if "irm_anneal" in reads and config.irm_anneal >= config.epochs:
        warnings.warn(
            f"the run ends after {config.epochs} epochs and IRM's penalty would count in full "
            f"after {config.irm_anneal}; raise epochs, or lower irm_anneal",
            stacklevel=3,
        )


def _training_domain(benchmark: Benchmark | Domain, source: str | None) -> Domain:
    check_kind("benchmark", benchmark, (Benchmark, Domain), "a Benchmark or a Domain")
    check_kind("source", source, (str, type(None)), "a domain's name, or None")
    if isinstance(benchmark, Domain):
        if source not in (None, benchmark.name):
            raise ValueError(
                f"source is '{source}' and the data are domain '{benchmark.name}' alone, "
                "expected None: leave source out, or pass the benchmark"
            )
        domain = benchmark
    elif source is None:
        raise ValueError(
            f"no source given: name the domain of '{benchmark.name}' to train on, one of "
            f"{', '.join(benchmark.domains)}"
        )
    else:
        domain = benchmark[source]
    if len(domain.classes) < 2:
        raise ValueError(
            f"domain '{domain.name}' has {len(domain.classes)} class, expected at least 2: there "
            "is nothing to tell apart"
        )
    return domain


class EpochTerms:
    """Sums each term of the losses on its device and notes the first value that is not finite.

    Args:
        epoch: the current epoch, from 0; for the message.
        steps: steps in an epoch.
    """

    def __init__(self, epoch: int, steps: int) -> None:
        self.epoch, self.steps, self.step = epoch, steps, 0
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.bad: dict[str, Tensor] = {}  # the first step with a bad value; `steps` if none

    def add(self, terms: dict[str, Tensor]) -> None:
        """Take in the terms of one step.

        Args:
            terms: detached scalars by name.

        Raises:
            FloatingPointError: if a value was not finite; at once on a CPU, after some steps on a
                GPU. It names the term and the step.
        """
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
            before = self.bad.get(name, torch.full_like(value, self.steps))
            self.bad[name] = torch.where(value.isfinite(), before, before.clamp_max(self.step))
        self.step += 1
        on_cpu = all(value.is_cpu for value in terms.values())
        if on_cpu or self.step % LOOK_EVERY == 0 or self.step == self.steps:
            self._check()

    def means(self) -> dict[str, float]:
        """The mean of each term over those steps of the epoch that have it."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def _check(self) -> None:
        name, step = min(((n, int(s)) for n, s in self.bad.items()), key=lambda item: item[1])
        if step < self.steps:
            raise FloatingPointError(
                f"the term '{name}' is no longer a finite number in epoch {self.epoch}, step "
                f"{step}; lower lr or the term's weight, or look at the data"
            )


@contextmanager
def flushed_denormals() -> Iterator[None]:
    """Round numbers too small for full precision to zero: on a CPU they cost many times more.

    The setting belongs to the process, so it is taken back at the end if it was not set before.
    """
    before = bool(torch.tensor(2.0**-1060, dtype=torch.float64) * 1.0 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _resume(path: Path, run: Run, method: Method) -> None:
    states, notes = checkpoints.read(path)
    wanted = run.config.values()
    try:
        # Read as a Config, so that a value which a checkpoint is too old to know has its default.
        stored = Config(**notes["config"] | {"method": run.config.method}).values()
        stored["method"] = notes["config"]["method"]
        history, seconds, images = (notes[name] for name in ("history", "seconds", "images"))
        contract = Contract.read(notes["contract"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is of another version of the library ({error}); delete it to start anew"
        ) from error
    if stored != wanted:
        differs = sorted(key for key, value in wanted.items() if stored[key] != value)
        raise ValueError(
            f"'{path}' is the checkpoint of another run (differs in {', '.join(differs)}); use "
            "another folder, or delete it to start anew"
        )
    if other := contract.differences(run.contract):
        raise ValueError(
            f"'{path}' was trained on other data ({'; '.join(other)}); use another folder, or "
            "delete it to start anew"
        )
    checkpoints.restore(path, method.parts(), states)
    run.history, run.seconds, run.images = history, seconds, images
