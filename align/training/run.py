"""A training run, and how it is kept: networks by safetensors, the rest as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from align.checks import check_device, check_kind
from align.config import LATER, Config
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

    def networks(self) -> dict[str, nn.Module]:
        """The networks by name; a masker only where there is one."""
        found = {"classifier": self.classifier, "masker": self.masker}
        return {name: network for name, network in found.items() if network is not None}

    def save(self, folder: str | Path) -> None:
        """Write the run as `run.json` and one safetensors file a network, whole or not at all.

        Raises:
            ValueError: if the folder is no path.
            OSError: if it cannot be written; an earlier run in it is still there.
        """
        check_kind("folder", folder, (str, os.PathLike), "a path")
        folder, networks = Path(folder), self.networks()
        folder.mkdir(parents=True, exist_ok=True)
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
            "contract": self.contract and asdict(self.contract),
        }

    @classmethod
    def load(cls, folder: str | Path, device: torch.device | str = "cpu") -> Run:
        """Read a run that `save` wrote; nothing is unpickled and no pretrained weights are needed.

        Raises:
            FileNotFoundError: if no run is there.
            ValueError: if its files are broken or do not belong together.
        """
        check_kind("folder", folder, (str, os.PathLike), "a path")
        check_device(device)
        path = Path(folder) / RUN
        if not path.is_file():
            raise FileNotFoundError(
                f"no run in '{folder}' (it has no {RUN}); make one with "
                f"`align train --out {folder}`"
            )
        try:
            notes = json.loads(path.read_text())
            (config, values), classes, sums = read_notes(notes), notes["classes"], notes["sha256"]
            start = replace(config, weights=None, masker_start=None, hold=0)
            run = cls(config, *first_networks(start, classes, device), **values)
            wanted = {name: sums[name] for name in run.networks()}
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"'{path}' is broken or of another version of the library ({error}); make the run "
                "again"
            ) from error
        for name, network in run.networks().items():
            _read_weights(network, path.with_name(f"{name}.safetensors"), wanted[name])
        run.classifier.freeze_batchnorm = config.weights is not None
        for network in run.networks().values():
            network.eval()
        return run


def read_notes(notes: dict) -> tuple[Config, dict[str, Any]]:
    """The configuration and the other values that `Run.notes` gave."""
    values = {name: notes[name] for name in ("history", "seconds", "images")}
    known = notes.get("contract")  # runs saved by earlier versions have none
    values["contract"] = Contract.from_dict(known) if known else known
    return Config(**LATER | notes["config"]), values


def first_networks(
    config: Config, num_classes: int, device: torch.device | str
) -> tuple[Classifier, Masker | FeatureMasker | None]:
    """The classifier and, where masks are learned, the masker: the same for the same seed."""
    state = torch.random.get_rng_state()
    torch.manual_seed(config.seed)
    stride = config.output_stride
    classifier = Classifier(config.backbone, num_classes, config.weights, output_stride=stride)
    classifier.to(device, memory_format=torch.channels_last)
    masker = None
    if config.method_class.learns_masks:
        masker = masker_for(config, classifier).to(device, memory_format=torch.channels_last)
    torch.random.set_rng_state(state)  # the caller's random numbers are the caller's
    return classifier, masker


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read_weights(network: nn.Module, path: Path, wanted: str) -> None:
    try:
        # A process killed between two renames leaves files of two runs; their sums tell.
        if _sum(path) != wanted:
            raise ValueError("another sha256")
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"'{path}' is not there, broken or of another run than the {RUN} beside it "
            f"({error}); make the run again"
        ) from error
