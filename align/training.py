"""The training loop: warm-up, alternation, progress, history, checkpoints, resuming."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from align.classifier import Classifier
from align.config import Config
from align.data.batches import Batches
from align.data.benchmark import Domain
from align.masker import Masker
from align.methods import Method, build

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
    """

    config: Config
    classifier: Classifier
    masker: Masker | None
    history: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    images: int = 0

    def save(self, folder: str | Path) -> None:
        """Write the run as `run.json` and one safetensors file a network.

        Args:
            folder: made if it is not there; files of an earlier run in it are replaced.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        networks = {"classifier": self.classifier, "masker": self.masker}
        for name, network in networks.items():
            if network is not None:
                tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
                save_file(tensors, folder / f"{name}.safetensors")
        description = {
            "config": asdict(self.config),
            "classes": self.classifier.linear.out_features,
            "history": self.history,
            "seconds": self.seconds,
            "images": self.images,
        }
        (folder / RUN).write_text(json.dumps(description, indent=1))

    @classmethod
    def load(cls, folder: str | Path, device: torch.device | str = "cpu") -> Run:
        """Read a run that `save` wrote; nothing is unpickled and no pretrained weights are needed.

        Args:
            folder: where it was written.
            device: where its networks go.

        Raises:
            FileNotFoundError: if no run is there.
        """
        folder = Path(folder)
        if not (folder / RUN).is_file():
            raise FileNotFoundError(
                f"no run in '{folder}' (it has no {RUN}); make one with "
                f"`align train --out {folder}`"
            )
        description = json.loads((folder / RUN).read_text())
        config = Config(**description["config"])
        run = _networks(replace(config, weights=None), description["classes"], torch.device(device))
        run.config = config
        run.classifier.load_state_dict(load_file(folder / "classifier.safetensors"))
        run.classifier.freeze_batchnorm = config.weights is not None
        run.classifier.eval()
        if run.masker is not None:
            run.masker.load_state_dict(load_file(folder / "masker.safetensors"))
            run.masker.eval()
        run.history = description["history"]
        run.seconds, run.images = description["seconds"], description["images"]
        return run


def train(
    config: Config,
    domain: Domain,
    *,
    device: torch.device | str | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
) -> Run:
    """Train a classifier (and, for ALIGN, a masker) on one domain.

    Args:
        config: the run's choices.
        domain: the training images.
        device: where to train; None takes a GPU if there is one.
        folder: where a checkpoint is kept after each epoch; a run that finds one there goes on
            from it, to the same result as without the break. None keeps nothing.
        progress: show a progress bar.

    Returns:
        The run, its networks in evaluation mode.

    Raises:
        ValueError: if the data do not fit the configuration, or the checkpoint is of another run.
    """
    if len(domain.classes) < 2:
        raise ValueError(
            f"domain '{domain.name}' has {len(domain.classes)} class, expected at least 2: there "
            "is nothing to tell apart"
        )
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    run = start(config, domain, device)
    method = build(run.classifier, run.masker, config)
    batches = Batches(domain, config.batch_size, config.seed, config.augment, device)
    path = None if folder is None else Path(folder) / CHECKPOINT
    if path is not None and path.is_file():
        _resume(path, run, method)
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
            _train_epoch(run, method, batches, epoch, bar)
            if path is not None:
                _save(path, run, method)
    run.classifier.eval()
    if run.masker is not None:
        run.masker.eval()
    return run


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
    masker = Masker().to(device) if config.method == "align" else None
    torch.random.set_rng_state(state)  # the caller's random numbers are the caller's
    return Run(config, classifier, masker)


def _train_epoch(run: Run, method: Method, batches: Batches, epoch: int, bar: tqdm) -> None:
    began = time.perf_counter()
    run.classifier.train()
    if run.masker is not None:
        run.masker.train()
    generator = torch.Generator().manual_seed(run.config.seed * 100_003 + 50_000 + epoch)
    sums: dict[str, Tensor] = {}
    for step, batch in enumerate(batches.epoch(epoch)):
        method.set_progress((epoch + step / len(batches)) / run.config.epochs)
        with torch.autocast(batch.images.device.type, torch.bfloat16, enabled=batch.images.is_cuda):
            terms = method.update(batch, epoch, generator)
        # Sums stay on the device: reading a value in each step would make a GPU wait.
        for name, value in terms.items():
            sums[name] = sums.get(name, 0) + value
        bar.update()
    row = {name: float(total) / len(batches) for name, total in sums.items()}
    run.history.append({"epoch": epoch} | row)
    run.seconds += time.perf_counter() - began
    run.images += len(batches) * batches.batch_size
    bar.set_postfix({name: f"{value:.3f}" for name, value in row.items()})


def _save(path: Path, run: Run, method: Method) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "config": asdict(run.config),
        "method": method.state(),
        "history": run.history,
        "seconds": run.seconds,
        "images": run.images,
    }
    # Written beside and renamed: a kill in the middle leaves the last whole checkpoint.
    partial = path.with_suffix(f".{os.getpid()}.partial")
    torch.save(state, partial)
    os.replace(partial, path)


def _resume(path: Path, run: Run, method: Method) -> None:
    state = torch.load(
        path, map_location=next(run.classifier.parameters()).device, weights_only=True
    )
    if state["config"] != asdict(run.config):
        differs = sorted(
            key for key, value in asdict(run.config).items() if state["config"].get(key) != value
        )
        raise ValueError(
            f"'{path}' is the checkpoint of another run (differs in {', '.join(differs)}); use "
            "another folder, or delete it to start anew"
        )
    method.restore(state["method"])
    run.history = state["history"]
    run.seconds, run.images = state["seconds"], state["images"]
