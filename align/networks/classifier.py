"""The classifier: a feature extractor, global average pooling and one linear layer.

Every backbone is split in the same place, `logits = head(features(x))`, because the class
activation map, the alignment loss and the theory all read the last feature map.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from align.checks import check_flag, check_floats, check_images, check_path, is_whole, shown
from align.networks.weights import read_tensors

BACKBONES = {"small-cnn": 8, "resnet18": 32, "resnet50": 32, "mobilenet_v2": 32}
"""The backbones, each with its own stride."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Classifier(nn.Module):
    """An image classifier `f` whose logits are a pooled linear function of its last feature map.

    Args:
        backbone: one of `BACKBONES`.
        num_classes: number C of classes, at least 2.
        weights: None for a random start; a torchvision weights name such as `"IMAGENET1K_V2"`; or
            the path of a `.safetensors`, `.pt` or `.pth` file in torchvision's layout. The last
            layer always starts anew.
        output_stride: image pixels per feature cell, 4, 8 or 16 for the small CNN, else 8, 16 or
            32; None keeps the backbone's own, 8 or 32. Strides are removed from the network's end.
        freeze_batchnorm: keep BatchNorm in evaluation mode during training; None means yes when
            `weights` are given.

    Attributes:
        mean: buffer `(3, 1, 1)`, the colour in [0, 1] that normalises to zero.
        std: buffer `(3, 1, 1)`.
        stride: image pixels per feature cell.

    Raises:
        ValueError: if the backbone, the stride or the number of classes is not available, or the
            weights are not the backbone's.
        FileNotFoundError: if `weights` looks like a path and no file is there.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        weights: str | Path | None = None,
        *,
        output_stride: int | None = None,
        freeze_batchnorm: bool | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(backbone, str) or backbone not in BACKBONES:
            names = ", ".join(BACKBONES)
            raise ValueError(f"backbone is {shown(backbone)}, expected one of {names}")
        if not is_whole(num_classes) or num_classes < 2:
            given = shown(num_classes)
            raise ValueError(f"num_classes is {given}, expected a whole number, at least 2")
        check_path("weights", weights)
        freeze = weights is not None if freeze_batchnorm is None else freeze_batchnorm
        check_flag("freeze_batchnorm", freeze)
        self.backbone, self.freeze_batchnorm = backbone, freeze
        self.trunk, channels = _trunk(backbone, weights)
        self.linear = nn.Linear(channels, num_classes)
        own = BACKBONES[backbone]
        self.stride = own if output_stride is None else output_stride
        _set_stride(self.trunk, own, self.stride)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """The last feature map `A`, float32 `(N, K, h, w)`, about the image's size by `stride`.

        Args:
            images: float32 `(N, 3, H, W)` in [0, 1].

        Raises:
            ValueError: if the images have another shape or dtype.
        """
        check_images(images)
        return self.trunk((images - self.mean) / self.std)

    def head(self, features: Tensor) -> Tensor:
        """Logits `(N, C)` of a feature map `(N, K, h, w)`: `W · mean over cells of A + b`.

        Book: saliency, eq-saliency-head.
        """
        check_floats("features", features, "NKhw", {"K": self.linear.in_features})
        return self.linear(features.mean((2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(N, C)` of images `(N, 3, H, W)` in [0, 1]."""
        return self.head(self.features(images))

    def train(self, mode: bool = True) -> Classifier:
        """Set training mode; frozen BatchNorm layers stay in evaluation mode."""
        super().train(mode)
        if self.freeze_batchnorm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def _trunk(backbone: str, weights: str | Path | None) -> tuple[nn.Module, int]:
    if backbone == "small-cnn":
        if weights is not None:
            raise ValueError(
                f"weights is {shown(weights)}, expected None: the small CNN has no published "
                "weights"
            )
        return small_cnn(), 64
    model = published(backbone, weights)
    if backbone == "mobilenet_v2":
        return model.features, model.last_channel
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    channels = model.fc.in_features
    return nn.Sequential(*(getattr(model, part) for part in parts)), channels


def published(backbone: str, weights: str | Path | None, *, head: bool = False) -> nn.Module:
    """A whole network of torchvision, with its own classes.

    Args:
        backbone: one of `BACKBONES` that torchvision has.
        weights: see `Classifier`.
        head: refuse a file that lacks the layer of the classes, or has another number of them.

    Raises:
        ValueError: if the weights are not the backbone's.
        FileNotFoundError: if `weights` looks like a path and no file is there.
    """
    named = isinstance(weights, str) and weights.isidentifier()
    names = torchvision.models.get_model_weights(backbone).__members__
    if named and weights not in names:
        raise ValueError(
            f"weights is '{weights}', expected one of {', '.join(names)} for '{backbone}', or the "
            "path of a .safetensors, .pt or .pth file"
        )
    model = getattr(torchvision.models, backbone)(weights=weights if named else None)
    if weights is not None and not named:
        _load(model, Path(weights), head)
    return model


def small_cnn() -> nn.Sequential:
    """Four convolutions, 16-32-64-64 channels, stride 8: quick to train on a CPU at 64 px."""
    layers: list[nn.Module] = []
    channels = 3
    for width, stride in ((16, 2), (32, 2), (64, 2), (64, 1)):
        layers.append(nn.Conv2d(channels, width, 3, stride, 1, bias=False))
        layers += [nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers)


def _load(model: nn.Module, path: Path, head: bool) -> None:
    remedy = "a torchvision weights name, or a file in torchvision's layout for this backbone"
    state = read_tensors(path, remedy)
    own = model.state_dict()
    fits = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fits, strict=False)
    lost = [k for k in {**own, **state} if k not in fits]
    # A classifier's own head starts anew, and old files do not count batches.
    lost = [k for k in lost if head or not k.startswith(("fc.", "classifier."))]
    lost = [k for k in lost if not k.endswith("num_batches_tracked")]
    if lost:
        raise ValueError(
            f"weights file '{path}' does not fit the backbone: {len(lost)} tensors differ, "
            f"first '{lost[0]}'; use a file in torchvision's layout for it"
        )


def _set_stride(trunk: nn.Module, stride: int, wanted: int) -> None:
    """Change strides from the end of the network until a cell covers `wanted` pixels."""
    choices = (4, 8, 16) if stride == 8 else (8, 16, 32)
    if not is_whole(wanted) or wanted not in choices:
        listed = ", ".join(map(str, choices))
        raise ValueError(f"output_stride is {shown(wanted)}, expected one of {listed}")
    convolutions = [module for module in trunk.modules() if isinstance(module, nn.Conv2d)]
    if wanted > stride:
        convolutions[-1].stride = (2, 2)
        return
    for convolution in reversed(convolutions):
        if stride == wanted:
            return
        if convolution.stride == (2, 2):
            stage = convolution.kernel_size[0] > 1
            convolution.stride = (1, 1)
            # A 1x1 convolution of stride 2 is a shortcut beside the 3x3 that halves the map.
            stride //= 2 if stage else 1
