"""The training loop: warm-up, alternation, progress, history, checkpoints, resuming."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from tqdm.auto import tqdm

from align import checkpoint as checkpoints
from align.checks import check_device, check_flag, check_kind, check_path
from align.classifier import Classifier
from align.config import Config
from align.contract import Contract
from align.data.batches import Batches
from align.data.benchmark import Benchmark, Domain
from align.files import replacing
from align.masker import Masker
from align.methods import Method
from align.terms import EpochTerms
from align.weights import write_tensors

CHECKPOINT = "checkpoint.pt"
RUN = "run.json"


@dataclass
class Run:
    """A training run and what came of it.

    Args:
        config: the run's choices.
        classifier: the trained network f, in evaluation mode.
        masker: the trained network M, or None for methods without one.
        history: one dict an epoch: `"epoch"`, and the mean of each term of the losses.
        seconds: wall time of the training steps, all sessions together.
        images: training images seen.
        contract: what it was trained on; None for networks that were put together by hand.
    """

    config: Config
    classifier: Classifier
    masker: Masker | None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0
    contract: Contract | None = None

    def save(self, folder: str | Path) -> None:
        """Write the run as `run.json` and one safetensors file a network, whole or not at all.

        Args:
            folder: made if it is not there; files of an earlier run in it are replaced.

        Raises:
            ValueError: if the folder is no path.
            OSError: if it cannot be written; an earlier run in it is still there.
        """
        check_kind("folder", folder, (str, os.PathLike), "a path")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        networks = {"classifier": self.classifier, "masker": self.masker}
        networks = {name: network for name, network in networks.items() if network is not None}
        files = [folder / f"{name}.safetensors" for name in networks]
        with replacing(*files, folder / RUN) as (*weights, description):
            for path, network in zip(weights, networks.values(), strict=True):
                write_tensors(path, network.state_dict())
            sums = {name: _sum(path) for name, path in zip(networks, weights, strict=True)}
            description.write_text(json.dumps(self._description() | {"sha256": sums}, indent=1))

    def _description(self) -> dict:
        classes = self.classifier.linear.out_features
        return {"classes": classes, **_notes(self)}

    @classmethod
    def load(cls, folder: str | Path, device: torch.device | str = "cpu") -> Run:
        """Read a run that `save` wrote; nothing is unpickled and no pretrained weights are needed.

        Args:
            folder: where it was written.
            device: where its networks go.

        Raises:
            FileNotFoundError: if no run is there.
            ValueError: if its files are broken or do not belong together.
        """
        check_kind("folder", folder, (str, os.PathLike), "a path")
        check_device(device)
        folder = Path(folder)
        if not (folder / RUN).is_file():
            raise FileNotFoundError(
                f"no run in '{folder}' (it has no {RUN}); make one with "
                f"`align train --out {folder}`"
            )
        description = _described(folder / RUN)
        config = Config(**description["config"])
        networks = _networks(replace(config, weights=None), description["classes"], device)
        run = cls(config, *networks)
        sums = description["sha256"]
        _read_weights(run.classifier, folder / "classifier.safetensors", sums.get("classifier"))
        run.classifier.freeze_batchnorm = config.weights is not None
        run.classifier.eval()
        if run.masker is not None:
            _read_weights(run.masker, folder / "masker.safetensors", sums.get("masker"))
            run.masker.eval()
        run.history = description["history"]
        run.seconds, run.images = description["seconds"], description["images"]
        run.contract = description["contract"]
        return run


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

    Returns:
        The run, its networks in evaluation mode.

    Raises:
        ValueError: if an argument is of another kind, the data do not fit the configuration or
            lack masks that the method needs, or the checkpoint is of another run or other data.
        FloatingPointError: if a term of the loss is no longer a finite number; it names term and
            step.
    """
    if config is not None:
        check_kind("config", config, Config, "an align.Config, or None")
    check_path("checkpoint", checkpoint)
    check_flag("progress", progress)
    if device is not None:
        check_device(device)
    config = replace(config or Config(), method=method)
    if seed is not None:
        config = replace(config, seed=seed)
    domain = _training_domain(benchmark, source)
    _warn_of_short_runs(config)
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    ready = start(config.method, domain, config, device)
    run = Run(config, ready.classifier, ready.masker)
    run.contract = Contract.of(domain, run.classifier.mean, run.classifier.std)
    batches = Batches(domain, config.batch_size, config.seed, config.augment, device)
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
    with bar:
        for epoch in range(len(run.history), config.epochs):
            began = time.perf_counter()
            row = train_epoch(ready, batches, epoch, bar.update)
            run.history.append({"epoch": epoch} | row)
            run.seconds += time.perf_counter() - began
            run.images += len(batches) * batches.batch_size
            bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})
            if path is not None:
                checkpoints.write(path, ready.parts(), _notes(run))
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
    classifier, masker = _networks(config, len(domain.classes), device)
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


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_weights(network: nn.Module, path: Path, wanted: str | None) -> None:
    try:
        # A process killed between two renames leaves files of two runs; their sums tell.
        if _sum(path) != wanted:
            raise ValueError("another sha256 than in run.json")
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"'{path}' is not there, broken or of another run ({error}); make the run again"
        ) from error


def _described(path: Path) -> dict:
    try:
        found = json.loads(path.read_text())
        Config(**found["config"])
        names = ("config", "classes", "history", "seconds", "images")
        contract = found.get("contract")  # runs saved by earlier versions have none
        contract = None if contract is None else Contract.read(contract)
        kept = {name: found[name] for name in names}
        return kept | {"sha256": {**found["sha256"]}, "contract": contract}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is broken or of another version of the library ({error}); make the run again"
        ) from error


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


def _networks(
    config: Config, num_classes: int, device: torch.device | str
) -> tuple[Classifier, Masker | None]:
    state = torch.random.get_rng_state()
    torch.manual_seed(config.seed)
    classifier = Classifier(
        config.backbone,
        num_classes,
        config.weights,
        output_stride=config.output_stride,
    ).to(device, memory_format=torch.channels_last)
    masker = None
    if config.method_class.learns_masks:
        masker = Masker(stride=config.mask_stride).to(device, memory_format=torch.channels_last)
    torch.random.set_rng_state(state)  # the caller's random numbers are the caller's
    return classifier, masker


def _notes(run: Run) -> dict:
    return {
        "config": run.config.values(),
        "history": run.history,
        "seconds": run.seconds,
        "images": run.images,
        "contract": None if run.contract is None else run.contract.json(),
    }


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
