"""The training loop: warm-up, alternation, progress, history, checkpoints, resuming."""

from __future__ import annotations

import hashlib
import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
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
from align.feature_masker import FeatureMasker, masker_for
from align.files import replacing
from align.masker import Masker
from align.methods import Method, build
from align.terms import EpochTerms
from align.weights import write_tensors

CHECKPOINT = "checkpoint.safetensors"
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
    masker: Masker | FeatureMasker | None
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
        run = _networks(
            replace(config, weights=None, masker_start=None),
            description["classes"],
            torch.device(device),
        )
        run.config = config
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
    method: str,
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
            is explained in its file of `align.methods`, its values in `align.Config`.
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
        ValueError: if an argument is of another kind, the data do not fit the configuration, or the
            checkpoint is of another run or of other data.
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
    if method in ("guided", "align") and config.joint_from >= config.epochs:
        warnings.warn(
            f"the run ends after {config.epochs} epochs and guidance would begin after "
            f"{config.joint_from}; raise epochs, or lower warmup and head_start",
            stacklevel=2,
        )
    if method == "irm" and config.irm_anneal >= config.epochs:
        warnings.warn(
            f"the run ends after {config.epochs} epochs and IRM's penalty would count in full "
            f"after {config.irm_anneal}; raise epochs, or lower irm_anneal",
            stacklevel=2,
        )
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run = start(config, domain, device)
    run.contract = Contract.of(domain, run.classifier.mean, run.classifier.std)
    means = build(run.classifier, run.masker, config, domain.environment_count)
    batches = Batches(
        domain, config.batch_size, config.seed, config.augment, device, config.balanced
    )
    path = None if checkpoint is None else Path(checkpoint) / CHECKPOINT
    if path is not None and path.is_file():
        _resume(path, run, means)
    bar = tqdm(
        total=config.epochs * len(batches),
        initial=len(run.history) * len(batches),
        desc=config.method,
        # Left alone where wanted, so that the environment variable TQDM_DISABLE still counts.
        **({} if progress else {"disable": True}),
        unit="step",
    )
    with bar, flushed_denormals():
        for epoch in range(len(run.history), config.epochs):
            _train_epoch(run, means, batches, epoch, bar)
            if path is not None:
                checkpoints.write(path, means.parts(), _notes(run))
    run.classifier.eval()
    if run.masker is not None:
        run.masker.eval()
    return run


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


def start(config: Config, domain: Domain, device: torch.device) -> Run:
    """A run before its first step: networks with the seed's initial weights."""
    return _networks(config, len(domain.classes), device)


def _networks(config: Config, num_classes: int, device: torch.device) -> Run:
    state = torch.random.get_rng_state()
    torch.manual_seed(config.seed)
    classifier = Classifier(
        config.backbone,
        num_classes,
        config.weights,
        output_stride=config.output_stride,
    ).to(device, memory_format=torch.channels_last)
    masker = None
    if config.method == "align":
        masker = masker_for(config, classifier).to(device, memory_format=torch.channels_last)
    torch.random.set_rng_state(state)  # the caller's random numbers are the caller's
    return Run(config, classifier, masker)


def _train_epoch(run: Run, method: Method, batches: Batches, epoch: int, bar: tqdm) -> None:
    began = time.perf_counter()
    run.classifier.train()
    if run.masker is not None:
        run.masker.train()
    generator = torch.Generator().manual_seed(run.config.seed * 100_003 + 50_000 + epoch)
    sums = EpochTerms(epoch, len(batches))
    method.begin(epoch)
    for step, batch in enumerate(batches.epoch(epoch)):
        method.set_progress((epoch + step / len(batches)) / run.config.epochs)
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=batch.images.is_cuda):
            terms = method.update(batch, epoch, generator)
        sums.add(terms)
        bar.update()
    row = sums.means()
    run.history.append({"epoch": epoch} | row)
    run.seconds += time.perf_counter() - began
    run.images += len(batches) * batches.batch_size
    bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})


def _notes(run: Run) -> dict:
    return {
        "config": asdict(run.config),
        "history": run.history,
        "seconds": run.seconds,
        "images": run.images,
        "contract": None if run.contract is None else run.contract.json(),
    }


def _resume(path: Path, run: Run, method: Method) -> None:
    notes = checkpoints.notes(path)
    try:
        # Read as a Config, so that a value which a checkpoint is too old to know has its default.
        stored = asdict(Config(**notes["config"]))
        history, seconds, images = (notes[name] for name in ("history", "seconds", "images"))
        contract = Contract.read(notes["contract"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"'{path}' is of another version of the library ({error}); delete it to start anew"
        ) from error
    if stored != asdict(run.config):
        differs = sorted(key for key, value in asdict(run.config).items() if stored[key] != value)
        raise ValueError(
            f"'{path}' is the checkpoint of another run (differs in {', '.join(differs)}); use "
            "another folder, or delete it to start anew"
        )
    if other := contract.differences(run.contract):
        raise ValueError(
            f"'{path}' was trained on other data ({'; '.join(other)}); use another folder, or "
            "delete it to start anew"
        )
    checkpoints.restore(path, method.parts())
    run.history, run.seconds, run.images = history, seconds, images
