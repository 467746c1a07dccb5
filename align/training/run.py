"""A training run, and how it is kept: networks by safetensors, the rest as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from align.checks import check_device, check_kind
from align.config import Config
from align.files import replacing
from align.networks.classifier import Classifier
from align.networks.feature_masker import FeatureMasker, masker_for
from align.networks.masker import Masker
from align.networks.weights import write_tensors
from align.training.contract import Contract

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
            more = {"classes": self.classifier.linear.out_features, "sha256": sums}
            description.write_text(json.dumps(self.notes() | more, indent=1))

    def notes(self) -> dict:
        """Everything but the networks, ready for JSON."""
        return {
            "config": self.config.values(),
            "history": self.history,
            "seconds": self.seconds,
            "images": self.images,
            "contract": None if self.contract is None else self.contract.json(),
        }

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
        networks = first_networks(
            replace(config, weights=None, masker_start=None), description["classes"], device
        )
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


def first_networks(
    config: Config, num_classes: int, device: torch.device | str
) -> tuple[Classifier, Masker | FeatureMasker | None]:
    """The networks of a run before its first step, the same for the same seed.

    Args:
        config: the run's choices.
        num_classes: how many classes are told apart.
        device: where the networks go.

    Returns:
        The classifier and, for a method that learns masks, the masker.
    """
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
        masker = masker_for(config, classifier).to(device, memory_format=torch.channels_last)
    torch.random.set_rng_state(state)  # the caller's random numbers are the caller's
    return classifier, masker


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
