"""A masker that looks through a classifier's eyes: a small decoder over its feature maps."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from align.checks import check_images, shown
from align.config import Config
from align.networks.classifier import Classifier
from align.networks.masker import Masker, block, resize
from align.networks.models import evaluation_mode
from align.networks.weights import alike, profile, read_start

STARTS = Path(__file__).parent / "starts"
"""Embedded starts, one file for each pair of a name and a backbone."""


class FeatureMasker(nn.Module):
    """Soft masks `M(x) ∈ (0, 1)` decoded from the feature maps of a classifier, held fixed.

    Args:
        classifier: whose feature maps are read.
        own: read a frozen copy of the trunk as it is now; False reads the classifier itself as it
            learns, detached.
        width: channels that each feature map is brought to.

    Attributes:
        decoder: the part that learns; all that a start holds.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier, *, own: bool = True, width: int = 32) -> None:
        super().__init__()
        self.taps, channels = _taps(classifier.trunk)
        self.trunk = copy.deepcopy(classifier.trunk).requires_grad_(False).eval() if own else None
        # In a tuple: what is lent is no part of this module, is not saved and not moved with it.
        self.lent = None if own else (classifier,)
        self.decoder = Decoder(channels, width)
        self.register_buffer("mean", classifier.mean.clone())
        self.register_buffer("std", classifier.std.clone())

    def forward(self, images: Tensor) -> Tensor:
        """Masks `(N, 1, H, W)` of images `(N, 3, H, W)`, as `align.Masker` makes them."""
        return self.decoder.masks(self.maps(images), images.shape[2:])

    @torch.no_grad()
    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature maps that are read, finest first, constants."""
        check_images(images)
        trunk = self.trunk if self.lent is None else self.lent[0].trunk
        found, x = [], (images - self.mean) / self.std
        with evaluation_mode(trunk):
            for place, layer in enumerate(trunk):
                x = layer(x)
                if place in self.taps:
                    found.append(x.clone())  # the next layer may work in place
        return found

    def train(self, mode: bool = True) -> FeatureMasker:
        """Set training mode; the copied trunk stays in evaluation mode."""
        super().train(mode)
        if self.trunk is not None:
            self.trunk.eval()
        return self


class Decoder(nn.Module):
    """From several feature maps to the logits of one mask, at the finest map's size.

    Args:
        channels: of each map, finest first.
        width: channels that each is brought to.
    """

    def __init__(self, channels: list[int], width: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(count, width, 1) for count in channels)
        self.mix = nn.Sequential(
            nn.GroupNorm(4, width * len(channels)),
            nn.ReLU(),
            *block(width * len(channels), width),
            *block(width, width),
        )
        self.paint = nn.Conv2d(width, 1, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Logits `(N, 1, h, w)` of maps `(N, K_i, h_i, w_i)`."""
        layers, size = zip(self.narrow, maps, strict=True), maps[0].shape[2:]
        narrow = [resize(layer(x), size) for layer, x in layers]
        return self.paint(self.mix(torch.cat(narrow, 1)))

    def masks(self, maps: list[Tensor], size: torch.Size) -> Tensor:
        """Masks `(N, 1, H, W)` of a given size in (0, 1)."""
        # In full precision: masks blend images, and half of it would show in them.
        return torch.sigmoid(resize(self(maps).float(), size))


def masker_for(config: Config, classifier: Classifier) -> Masker | FeatureMasker:
    """The masker that a configuration asks for; a ValueError if its start does not fit."""
    if config.masker_reads == "pixels":
        return Masker(stride=config.mask_stride)
    masker = FeatureMasker(classifier, own=config.masker_reads == "pretrained")
    if config.masker_start is not None:
        path = start_path(config.masker_start, config.backbone)
        tensors, known = read_start(path)
        if known and not alike(known, profile(classifier.trunk)):
            raise ValueError(
                f"the start '{path}' was learned on feature maps of other weights than these of "
                f"'{config.backbone}' (weights: {shown(config.weights)}); give weights=FILE of "
                "those (the book's page Records says which), or learn a start on yours: "
                "python -m alignbook.starts objectness DATA OUT.safetensors WEIGHTS"
            )
        try:
            masker.decoder.load_state_dict(tensors)
        except RuntimeError as error:
            raise ValueError(
                f"the start '{path}' was learned for the feature maps of another backbone than "
                f"'{config.backbone}'; learn one as align.training.objectness does"
            ) from error
    return masker


def learning_part(masker: Masker | FeatureMasker) -> nn.Module:
    """What of a masker learns: the decoder of one that reads feature maps, all of one of pixels."""
    return masker.decoder if isinstance(masker, FeatureMasker) else masker


def start_path(start: str, backbone: str) -> Path:
    """Where the decoder of a start is, an embedded name or a path; else a FileNotFoundError."""
    path = STARTS / f"{start}-{backbone}.safetensors" if start.isidentifier() else Path(start)
    if not path.is_file():
        embedded = sorted(p.stem for p in STARTS.glob("*.safetensors"))
        raise FileNotFoundError(
            f"no start '{start}' for backbone '{backbone}' (no file '{path}'); embedded are "
            f"{', '.join(embedded) or 'none'}, or learn one as align.training.objectness does"
        )
    return path


@torch.no_grad()
def _taps(trunk: nn.Sequential) -> tuple[tuple[int, ...], list[int]]:
    """Which layers are read, and their channels: the last of each stride from 4 on."""
    x = next(trunk.parameters()).new_zeros(1, 3, 64, 64)
    sizes, channels = [], []
    with evaluation_mode(trunk):
        for layer in trunk:
            x = layer(x)
            sizes.append(x.shape[2])
            channels.append(x.shape[1])
    # Of the coarsest the middle as well: where strides were removed it holds what were two stages.
    last = {size: place for place, size in enumerate(sizes) if size <= 16}
    coarsest = [place for place, size in enumerate(sizes) if size == sizes[-1]]
    places = sorted({*last.values(), coarsest[(len(coarsest) - 1) // 2]})
    return tuple(places), [channels[place] for place in places]
