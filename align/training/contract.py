"""What a trained run knows of its data: classes, size, normalisation, pictures, masks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from align.data.benchmark import Domain
from align.files import same

WORDS = {
    "domain": "the domain",
    "classes": "the classes",
    "size": "the size of the images",
    "mean": "the normalisation",
    "std": "the normalisation",
    "masks": "the masks",
    "fingerprint": "the pictures, labels or masks",
}
"""How a difference in each field is called; the last says nothing beside another."""


@dataclass(frozen=True)
class Contract:
    """The data that a run was trained on, as far as a later use of the run must agree with it.

    Args:
        domain: name of the domain trained on.
        classes: class names, in the order of the logits.
        size: height and width of the images, in pixels.
        mean: of each colour channel, subtracted from images in [0, 1].
        std: of each colour channel, divided by after that.
        masks: where the training masks come from: "none", `Domain.mask_source`, or "given".
        fingerprint: of images, labels and masks together, `Domain.fingerprint`.
        pictures: 16 hexadecimal digits for each training picture, from its pixels alone.
        files: the pictures' names as the data set gives them, empty for rendered ones.
    """

    domain: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    masks: str
    fingerprint: str
    pictures: tuple[str, ...]
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, domain: Domain, mean: Tensor, std: Tensor) -> Contract:
        """The contract of all that is trained on, with the classifier's mean and std."""
        return cls(
            domain=domain.name,
            classes=domain.classes,
            size=tuple(domain.images.shape[2:]),
            mean=tuple(round(value, 6) for value in mean.flatten().tolist()),
            std=tuple(round(value, 6) for value in std.flatten().tolist()),
            masks="none" if domain.masks is None else domain.mask_source or "given",
            fingerprint=domain.fingerprint(),
            pictures=tuple(picture_sums(domain.images)),
            files=domain.files or (),
        )

    @classmethod
    def from_dict(cls, values: dict) -> Contract:
        """What `asdict` wrote to JSON; a TypeError if a field is missing or unknown."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def differences(self, other: Contract) -> list[str]:
        """In words, what differs between the data of two contracts; empty where nothing does."""
        found = []
        for name, word in WORDS.items():
            mine, theirs = (_plain(getattr(one, name)) for one in (self, other))
            # Masks of two names may be the same ones; the fingerprint says whether they are.
            unsure = "given" in (mine, theirs) and "none" not in (mine, theirs)
            if name == "masks" and (unsure or self.fingerprint == other.fingerprint):
                continue
            if mine != theirs and not (name == "fingerprint" and found):
                found.append(f"{word}: {_shown(mine)} then, {_shown(theirs)} now")
        return found

    def check_classes(self, domain: Domain) -> None:
        """Raise a ValueError if a domain's classes are others, or stand in another order."""
        if _plain(domain.classes) != _plain(self.classes):
            raise ValueError(
                f"domain '{domain.name}' has the classes {', '.join(domain.classes)} and the run "
                f"was trained on {', '.join(self.classes)}; its logits mean these classes in this "
                "order: use data with the same, or train on the data at hand"
            )

    def seen(self, domain: Domain) -> Tensor:
        """Which images of a domain the run was trained on, bool `(N,)`.

        Images of the trained size are compared by their pixels, wherever they are stored. At
        another size they are compared by file name, within the domain trained on.
        """
        if tuple(domain.images.shape[2:]) == self.size:
            known, names = {*self.pictures}, picture_sums(domain.images)
        else:
            alike = domain.files is not None and same(domain.name) in same(self.domain).split("+")
            known = {same(name) for name in self.files} if alike else set()
            names = map(same, domain.files or ("",) * len(domain))
        return torch.tensor([name in known for name in names], dtype=torch.bool)


def picture_sums(images: Tensor) -> Iterable[str]:
    """16 hexadecimal digits of the BLAKE2 sum of the pixels of each of the images, uint8."""
    for image in images:
        yield hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


def _plain(value: object) -> object:
    """A value whose names are equal if they read alike."""
    if isinstance(value, tuple):
        return tuple(_plain(one) for one in value)
    return same(value) if isinstance(value, str) else value


def _shown(value: object) -> str:
    if not isinstance(value, tuple):
        return f"'{value}'"
    text = ", ".join(f"{one:g}" if isinstance(one, float) else str(one) for one in value)
    return text if len(text) <= 80 else text[:77] + "..."
