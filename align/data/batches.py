"""A data set as one resident uint8 tensor, and batches of it with augmentation on its device.

No worker processes: an epoch is a random permutation, a batch one index and one conversion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from align.checks import check_device, check_flag, check_floats, check_kind, check_number, checked
from align.data.benchmark import Domain
from align.transfer import upload


@dataclass(frozen=True)
class Batch:
    """What a method sees of the data in one step.

    Args:
        images: float32 `(n, 3, H, W)` in [0, 1].
        labels: int64 `(n,)`.
        masks: float32 `(n, H, W)` in [0, 1], or None.
        environments: int64 `(n,)`, the joined domain each image is from, or None for a single one.
    """

    images: Tensor
    labels: Tensor
    masks: Tensor | None
    environments: Tensor | None = None


class Batches:
    """Shuffled, augmented batches of a domain, the same for the same seed.

    Args:
        domain: the training images.
        batch_size: images per batch, at most the domain's number; the last incomplete batch of an
            epoch is left out.
        seed: fixes the order and the augmentation; each epoch has its own stream, so that a
            resumed run sees what an uninterrupted one would have seen.
        augment: mirror half of the images and shift all by up to an eighth of their side.
        device: where the data live.
        balanced: draw each class with the same probability, with replacement; an epoch has the
            same length.

    Raises:
        ValueError: if the domain has fewer images than a batch, or an argument is of another kind.
    """

    def __init__(
        self,
        domain: Domain,
        batch_size: int,
        seed: int = 0,
        augment: bool = True,
        device: torch.device | str = "cpu",
        balanced: bool = False,
    ) -> None:
        check_kind("domain", domain, Domain, "a Domain")
        check_number("batch_size", batch_size, 1, 10**9, whole=True)
        check_number("seed", seed, 0, 10**13, whole=True)
        check_flag("augment", augment)
        check_flag("balanced", balanced)
        check_device(device)
        if batch_size > len(domain):
            raise ValueError(
                f"batch_size is {batch_size} and domain '{domain.name}' has {len(domain)} images; "
                "choose a batch_size between 1 and that number"
            )
        values = (domain.images, domain.labels, domain.masks, domain.environments)
        self.images, self.labels, self.masks, self.environments = (
            value if value is None else value.to(device) for value in values
        )
        self.batch_size, self.seed, self.augment = batch_size, seed, augment
        self.shares = _equal_shares(domain.labels) if balanced else None

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self.images) // self.batch_size

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch; `number` counts from 0."""
        check_number("epoch", number, 0, 10**9, whole=True)
        device = self.images.device
        # Random numbers come from the CPU, so that a seed means the same on every device.
        generator = torch.Generator().manual_seed(self.seed * 100_003 + number)
        if self.shares is None:
            order = torch.randperm(len(self.images), generator=generator)
        else:
            order = self.shares.multinomial(len(self.images), True, generator=generator)
        order = upload(order, device)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            index = order[start : start + self.batch_size]
            images = self.images[index].float().div_(255)
            masks = None if self.masks is None else self.masks[index]
            if self.augment:
                images, masks = mirror_and_shift.unchecked(images, masks, generator)
            environments = None if self.environments is None else self.environments[index]
            yield Batch(images, self.labels[index], masks, environments)


def _check_moved(
    images: Tensor, masks: Tensor | None, generator: torch.Generator, reach: float = 0.125
) -> None:
    sizes = check_floats("images", images, "N3HW", {"3": 3})
    if masks is not None:
        check_floats("masks", masks, "NHW", sizes)
    check_number("reach", reach, 0, 1)
    check_kind("generator", generator, torch.Generator, "a torch.Generator")


@checked(_check_moved)
def mirror_and_shift(
    images: Tensor, masks: Tensor | None, generator: torch.Generator, reach: float = 0.125
) -> tuple[Tensor, Tensor | None]:
    """Mirror half of the images and shift each by its own random offset.

    Pixels that would come from beyond an edge repeat the edge, in images and masks alike.

    Args:
        images: `(n, 3, H, W)`.
        masks: `(n, H, W)` or None; moved with the images.
        generator: a CPU generator.
        reach: largest shift, as a share of the side.

    Returns:
        `(images, masks)`, new tensors of the same shapes.

    Raises:
        ValueError: if masks and images do not fit together, or the reach is out of range.
    """
    (n, _, height, width), device = images.shape, images.device
    down, right = (_offsets(n, side, reach, generator) for side in (height, width))
    flip = torch.rand(n, generator=generator) < 0.5
    down, right, flip = upload(torch.stack([down, right, flip]), device)
    rows, columns = _moved(height, down), _moved(width, right)
    columns = torch.where(flip.bool()[:, None], columns.flip(1), columns)
    index = (rows[:, :, None] * width + columns[:, None, :]).flatten(1)
    moved = images.flatten(2).gather(2, index[:, None].expand(-1, 3, -1)).view_as(images)
    if masks is None:
        return moved, None
    return moved, masks.flatten(1).gather(1, index).view_as(masks)


def _equal_shares(labels: Tensor) -> Tensor:
    """The probability of each image with which all classes that occur come equally often."""
    _, place, counts = labels.cpu().unique(return_inverse=True, return_counts=True)
    return (1 / counts.double())[place]


def _offsets(n: int, side: int, reach: float, generator: torch.Generator) -> Tensor:
    bound = int(side * reach)
    return torch.randint(-bound, bound + 1, (n,), generator=generator)


def _moved(side: int, offsets: Tensor) -> Tensor:
    places = torch.arange(side, device=offsets.device)
    return (places + offsets[:, None]).clamp_(0, side - 1)
