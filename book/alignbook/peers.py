"""What others do for the same work, written plainly, to be timed beside ours.

Only for `alignbook.speed`: nothing here makes a recorded number.
"""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from align import losses
from align.data import Domain
from align.data.batches import Batch
from align.methods import Align
from align.methods.base import Losses
from align.metrics.faithfulness import filled
from align.networks.classifier import IMAGENET_MEAN, IMAGENET_STD
from align.saliency import finish

WORKERS = 2
"""Worker processes that decode; DomainBed starts eight for each training domain."""


@contextmanager
def jpegs(domain: Domain, batch_size: int) -> Iterator[Iterable[tuple[Tensor, Tensor]]]:
    """A domain as JPEG files in a temporary folder, read as DomainBed does.

    Args:
        domain: the images; written in full quality, one folder a class.
        batch_size: images per batch.

    Yields:
        Endless batches `(images, labels)`, decoded, cropped, mirrored and recoloured by worker
        processes.

    Source: Gulrajani and Lopez-Paz, "In search of lost domain generalization", ICLR 2021, and its
    public code: the transform of its training images and a loader with workers that never ends.
    """
    size = domain.images.shape[-1]
    transform = transforms.Compose(
        [
            transforms.RandomResizedCrop(size, scale=(0.7, 1.0)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(0.3, 0.3, 0.3, 0.3),
            transforms.RandomGrayscale(),
            transforms.ToTensor(),
            transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        for number, (image, label) in enumerate(zip(domain.images, domain.labels, strict=True)):
            path = Path(folder) / domain.classes[int(label)] / f"{number}.jpg"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(path, quality=95)
        loader = DataLoader(
            ImageFolder(folder, transform),
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            persistent_workers=WORKERS > 0,
        )
        yield _endless(loader)


def _endless(loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from loader


def rise_curve(
    model: nn.Module, images: Tensor, saliency: Tensor, *, insertion: bool, steps: int = 28
) -> np.ndarray:
    """Probabilities of the predicted class as pixels appear or vanish, one step after the other.

    Args:
        model: the classifier, in evaluation mode.
        images: `(N, 3, H, W)` in [0, 1].
        saliency: `(N, H, W)`.
        insertion: from the blurred image to the image, or from the image to the zeros of the
            normalised image.
        steps: how many.

    Returns:
        `(N, steps + 1)`.

    Source: Petsiuk et al., "RISE", BMVC 2018, after its public code: the pictures live in NumPy,
    each step moves some pixels there, copies the batch to the device and back.
    """
    count, pixels = len(images), images.shape[2] * images.shape[3]
    with torch.no_grad():
        goal = model(images).argmax(1).cpu().numpy()
    empty = filled(model, images, "blur" if insertion else "zero").expand_as(images)
    begin, end = (empty, images) if insertion else (images, empty)
    shown = begin.cpu().numpy().copy().reshape(count, 3, pixels)
    final = end.cpu().numpy().reshape(count, 3, pixels)
    order = np.flip(np.argsort(saliency.cpu().numpy().reshape(count, pixels), axis=1), axis=1)
    rows, curve = np.arange(count)[:, None], []
    edges = [round(i * pixels / steps) for i in range(steps + 1)]
    for step in range(steps + 1):
        with torch.no_grad():
            logits = model(torch.from_numpy(shown.reshape(images.shape)).to(images.device))
        curve.append(logits.softmax(1).cpu().numpy()[np.arange(count), goal])
        if step < steps:
            chosen = order[:, edges[step] : edges[step + 1]]
            shown[rows, :, chosen] = final[rows, :, chosen]
    return np.stack(curve, 1)


def captum_align(method: Align) -> Align | None:
    """The same method with its map made by captum, or None where captum is not installed.

    Args:
        method: with `alignment="bce"`, the form that reads the map of one class.
    """
    if importlib.util.find_spec("captum") is None:
        return None
    return CaptumAlign(method.classifier, method.config, method.masker)


class CaptumAlign(Align):
    """ALIGN whose Grad-CAM comes from a library that passes the images through once more."""

    def loss(self, batch: Batch, epoch: int, generator: Generator) -> Losses:
        """Cross-entropy, and the paper's alignment of captum's map with the learned masks."""
        from captum.attr import LayerGradCam

        terms = {"ce": cross_entropy(self.classifier(batch.images), batch.labels)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # captum speaks of its hooks
            explain = LayerGradCam(self.classifier, self.classifier.trunk)
            evidence = explain.attribute(batch.images, batch.labels)[:, 0]
        target = losses.mask_to_cells(self.target(batch.images), evidence.shape[1:])
        terms["alignment"] = losses.alignment_bce(finish(evidence), target)
        return terms | {"loss": terms["ce"] + self.config.lambda3 * terms["alignment"]}
