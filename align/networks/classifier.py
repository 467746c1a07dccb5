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

BACKBONES = ("small-cnn", "resnet18", "resnet50", "mobilenet_v2")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STRIDES = {"small-cnn": 8, "resnet18": 32, "resnet50": 32, "mobilenet_v2": 32}
OUTPUT_STRIDES = {"small-cnn": (4, 8, 16)}
"""The strides that a backbone can be given, where they are not 8, 16 and 32."""


class Classifier(nn.Module):
    """An image classifier `f` whose logits are a pooled linear function of its last feature map.

    Args:
        backbone: one of `BACKBONES`.
        num_classes: number C of classes, at least 2.
        weights: None for a random start; a torchvision weights name such as
            `"IMAGENET1K_V2"`; or the path of a `.safetensors` file, or of a `.pt`/`.pth` file read
            with `weights_only=True`, holding the backbone in torchvision's layout. The last layer
            always starts anew.
        output_stride: image pixels per feature cell, 4, 8 or 16 for the small CNN, else 8, 16 or
            32; smaller is finer. None keeps the backbone's own (8 for the small CNN, else 32).
            Strides are removed from the end of the network, or, for the small CNN's coarser map,
            given to its last convolution.
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
            raise ValueError(
                f"backbone is {shown(backbone)}, expected one of {', '.join(BACKBONES)}"
            )
        if not is_whole(num_classes) or num_classes < 2:
            raise ValueError(
                f"num_classes is {shown(num_classes)}, expected a whole number, at least 2"
            )
        check_path("weights", weights)
        if freeze_batchnorm is not None:
            check_flag("freeze_batchnorm", freeze_batchnorm)
        self.backbone = backbone
        self.trunk, channels = _trunk(backbone, weights)
        self.linear = nn.Linear(channels, num_classes)
        self.freeze_batchnorm = (
            weights is not None if freeze_batchnorm is None else freeze_batchnorm
        )
        self.stride = STRIDES[backbone] if output_stride is None else output_stride
        _set_stride(self.trunk, backbone, self.stride)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """The last feature map `A`.

        Args:
            images: float32 `(N, 3, H, W)` in [0, 1].

        Returns:
            float32 `(N, K, h, w)`, h and w about the image's divided by `stride`.

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
    named = isinstance(weights, str) and weights.isidentifier()
    if named:
        _check_name(backbone, weights)
    model = getattr(torchvision.models, backbone)(weights=weights if named else None)
    if weights is not None and not named:
        _load(model, Path(weights))
    if backbone == "mobilenet_v2":
        return model.features, model.last_channel
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    channels = model.fc.in_features
    return nn.Sequential(*(getattr(model, part) for part in parts)), channels


def small_cnn() -> nn.Sequential:
    """Four convolutions, 16-32-64-64 channels, stride 8: quick to train on a CPU at 64 px."""
    layers: list[nn.Module] = []
    channels = 3
    for width, stride in ((16, 2), (32, 2), (64, 2), (64, 1)):
        layers += [
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        channels = width
    return nn.Sequential(*layers)


def _check_name(backbone: str, weights: str) -> None:
    names = list(torchvision.models.get_model_weights(backbone).__members__)
    if weights not in names:
        raise ValueError(
            f"weights is '{weights}', expected one of {', '.join(names)} for '{backbone}', or the "
            "path of a .safetensors, .pt or .pth file"
        )


def _load(model: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights file at '{path}'; expected a torchvision weights name or the path of a "
            ".safetensors, .pt or .pth file"
        )
    state = read_tensors(path, "a file in torchvision's layout for this backbone")
    own = model.state_dict()
    misfit = [key for key, value in state.items() if key in own and own[key].shape != value.shape]
    state = {key: value for key, value in state.items() if key not in misfit}
    missing, unexpected = model.load_state_dict(state, strict=False)
    head = ("fc.", "classifier.")
    lost = [k for k in (*missing, *unexpected, *misfit) if not k.startswith(head)]
    lost = [k for k in lost if not k.endswith("num_batches_tracked")]
    if lost:
        raise ValueError(
            f"weights file '{path}' does not fit the backbone: {len(lost)} tensors differ, "
            f"first '{lost[0]}'; use a file in torchvision's layout for this backbone"
        )


def _set_stride(trunk: nn.Module, backbone: str, wanted: int) -> None:
    """Change strides from the end of the network until a cell covers `wanted` pixels."""
    stride = STRIDES[backbone]
    choices = OUTPUT_STRIDES.get(backbone, (8, 16, 32))
    if not is_whole(wanted) or wanted not in choices:
        raise ValueError(
            f"output_stride is {shown(wanted)}, expected one of {', '.join(map(str, choices))} for "
            f"'{backbone}'"
        )
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
