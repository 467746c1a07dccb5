"""Masks from other people's segmentation: uint8 `(N, 3, H, W)` to float32 `(N, H, W)` in [0, 1].

OpenCV and transformers are imported when they are asked for; `align` runs without them.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torchvision.transforms.functional import normalize

from align.networks.classifier import IMAGENET_MEAN, IMAGENET_STD
from align.networks.weights import read_tensors

BORDER = 0.1
"""Share of the side that GrabCut takes for background at each edge."""
NETWORK = "deeplabv3_mobilenet_v3_large"
WEIGHTS = "COCO_WITH_VOC_LABELS_V1"
SIDE = 320
"""Images are enlarged to this side: the network has seen none much smaller."""
SAM = "facebook/sam-vit-base"
PART = 16


def grabcut(images: Tensor, seed: int = 0) -> Tensor:
    """Mark with ones what differs in colour from the image's border; all 0 where nothing differs.

    Source: Rother, Kolmogorov and Blake, "GrabCut", SIGGRAPH 2004, in OpenCV.
    """
    cv2 = _needed("cv2", "grabcut", "OpenCV", "classical")
    masks = torch.zeros(len(images), *images.shape[2:])
    height, width = images.shape[2:]
    top, left = max(1, round(BORDER * height)), max(1, round(BORDER * width))
    inner = (left, top, width - 2 * left, height - 2 * top)
    for image, mask in zip(images.permute(0, 2, 3, 1).contiguous().numpy(), masks, strict=True):
        if (image == image[0, 0]).all():
            continue  # one colour: nothing to cluster
        cv2.setRNGSeed(seed)
        marks, _, _ = cv2.grabCut(image, None, inner, None, None, 5, cv2.GC_INIT_WITH_RECT)
        # Marks are 0 and 2 for sure and likely background, 1 and 3 for the rest.
        mask.copy_(torch.from_numpy(marks % 2))
    return masks


@torch.no_grad()
def objects(images: Tensor, weights: str | Path | None, device: torch.device) -> Tensor:
    """1 minus the probability of background, by torchvision's DeepLabV3 on MobileNetV3.

    The weights are a .pth or .safetensors file, or None to download torchvision's.

    Source: Chen et al., "Rethinking atrous convolution", 2017; trained on COCO by torchvision.
    """
    network = _segmenter(weights).to(device).eval()
    size = tuple(images.shape[2:])
    enlarged = [max(SIDE, side) for side in size]
    masks = []
    for part in images.split(PART):
        x = normalize(part.to(device) / 255, IMAGENET_MEAN, IMAGENET_STD)
        x = interpolate(x, enlarged, mode="bilinear", align_corners=False)
        logits = interpolate(network(x)["out"], size, mode="bilinear", align_corners=False)
        masks.append((1 - logits.softmax(1)[:, 0]).clamp(0, 1).cpu())
    return torch.cat(masks)


def _segmenter(weights: str | Path | None) -> nn.Module:
    build = torchvision.models.get_model
    if weights is None:
        chosen = torchvision.models.get_model_weights(NETWORK)[WEIGHTS]
        try:
            return build(NETWORK, weights=chosen)
        except OSError as error:
            raise FileNotFoundError(
                f"the weights of {NETWORK} could not be downloaded ({error}); fetch {chosen.url} "
                "where there is a network, and pass that file as weights"
            ) from None
    path = Path(weights)
    state = read_tensors(path, f"torchvision's {WEIGHTS} of {NETWORK}, or None to download it")
    network = build(NETWORK, weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise ValueError(
            f"weights file '{path}' does not fit {NETWORK} with 21 classes; use torchvision's "
            f"{WEIGHTS}"
        ) from None
    return network


@torch.no_grad()
def segment_anything(images: Tensor, weights: str | Path | None, device: torch.device) -> Tensor:
    """The thing at the image's centre, by Segment Anything prompted with that one point.

    Of the three masks it proposes the one that it scores highest: float32 `(N, H, W)`, zeros and
    ones. The weights are a folder, or a name of the Hugging Face hub.

    Source: Kirillov et al., "Segment anything", ICCV 2023.
    """
    transformers = _needed("transformers", "sam", "transformers", "sam")
    name = str(weights or SAM)
    try:
        network = transformers.SamModel.from_pretrained(name).to(device).eval()
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise FileNotFoundError(
            f"no Segment Anything weights at '{name}' ({reason}); pass weights, a folder that "
            "holds them, or connect to the network"
        ) from None
    side = network.config.vision_config.image_size
    masks = []
    for image in images:
        x = normalize(image[None].to(device) / 255, IMAGENET_MEAN, IMAGENET_STD)
        x = interpolate(x, [side, side], mode="bilinear")
        centre = torch.full((1, 1, 1, 2), side / 2, device=device)
        found = network(pixel_values=x, input_points=centre, multimask_output=True)
        best = found.iou_scores[0, 0].argmax()
        proposal = found.pred_masks[0, 0, best][None, None]
        logits = interpolate(proposal, tuple(image.shape[1:]), mode="bilinear")
        masks.append((logits[0, 0] > 0).float().cpu())
    return torch.stack(masks)


def _needed(module: str, source: str, package: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            f"mask source '{source}' needs {package}, which is not installed: "
            f"pip install 'align-book[{extra}]'"
        ) from None
