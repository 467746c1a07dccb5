"""What every data set becomes: a `Benchmark` of named `Domain`s held as plain tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from align.checks import (
    check_bytes,
    check_kind,
    check_number,
    check_seed,
    check_tensor,
    check_texts,
    shown,
)
from align.files import same


@dataclass(frozen=True, eq=False)
class Domain:
    """One domain: images, labels and, where truth exists, object masks.

    Args:
        name: the domain's name within its benchmark.
        images: uint8 `(N, 3, H, W)`, values 0-255.
        labels: int64 `(N,)`, values 0 to `len(classes) - 1`.
        classes: the class names, in label order, all different.
        masks: float32 `(N, H, W)` in [0, 1], 1 on the object; None where no mask is known.
        groups: int64 `(N,)` or None: what an image shares with others apart from its label
            (the scene it shows in the toy worlds, the capture sequence in Terra Incognita).
        split_by: what `split` deals out: "image", or "group" to keep every group on one side.
        files: one name an image, relative to the data set's root, or None for rendered images.
        environments: int64 `(N,)`, not negative: which of several joined domains an image is
            from; None where there is but one. See `join`.
        group_names: what the groups are called, all different, where they have a meaning that
            results are told by; groups then run from 0. None where they are mere numbers.
        group_shares: each named group's share of the images trained on, summing to 1; None where
            it is not known.
        mask_source: where the masks come from: a name of `align.data.mask_sources`, "people",
            "boxes", or the folder they were read from; "" where that is not known.

    Raises:
        ValueError: if shapes, dtypes or ranges do not fit together.
    """

    name: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    masks: Tensor | None = None
    groups: Tensor | None = None
    files: tuple[str, ...] | None = None
    environments: Tensor | None = None
    split_by: str = "image"
    group_names: tuple[str, ...] | None = None
    group_shares: tuple[float, ...] | None = None
    mask_source: str = ""

    def __post_init__(self) -> None:
        check_kind("a domain's name", self.name, str, "a text")
        check_kind(f"domain '{self.name}': mask_source", self.mask_source, str, "a text")
        _check_classes(f"domain '{self.name}'", self.classes)
        for what in ("images", "labels", "masks", "groups", "environments"):
            value = getattr(self, what)
            if value is not None or what in ("images", "labels"):
                check_tensor(f"domain '{self.name}': {what}", value)
        check_bytes(f"domain '{self.name}': images", self.images)
        count = len(self.images)
        _check_vector(self.name, "labels", self.labels, count)
        if count and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(
                f"domain '{self.name}': labels run from {int(self.labels.min())} to "
                f"{int(self.labels.max())}, expected 0 to {len(self.classes) - 1} "
                f"for the {len(self.classes)} classes {', '.join(self.classes)}"
            )
        if self.masks is not None:
            _check_masks(self.name, self.masks, self.images)
        if self.groups is not None:
            _check_vector(self.name, "groups", self.groups, count)
        if self.environments is not None:
            _check_vector(self.name, "environments", self.environments, count)
            if count and self.environments.min() < 0:
                raise ValueError(
                    f"domain '{self.name}': environments start at {int(self.environments.min())}, "
                    "expected numbers from 0"
                )
        if self.files is not None:
            check_texts(f"domain '{self.name}': files", self.files)
        if self.files is not None and len(self.files) != count:
            raise ValueError(
                f"domain '{self.name}': {len(self.files)} file names for {count} images, "
                "expected one name an image"
            )
        if not isinstance(self.split_by, str) or self.split_by not in ("image", "group"):
            raise ValueError(f"split_by is {shown(self.split_by)}, expected 'image' or 'group'")
        if self.split_by == "group" and self.groups is None:
            raise ValueError(
                f"domain '{self.name}' has no groups and split_by is 'group'; give groups, or "
                "split by 'image'"
            )
        _check_named_groups(self)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def environment_count(self) -> int:
        """How many environments there are; 1 where images carry none."""
        if self.environments is None or not len(self):
            return 1
        return int(self.environments.max()) + 1

    def subset(self, indices: Tensor) -> Domain:
        """The domain restricted to some images.

        Args:
            indices: int64 `(n,)`, positions in this domain, in the order wanted.

        Returns:
            A new domain of n images that shares nothing mutable with this one.

        Raises:
            ValueError: if the indices are not positions in this domain.
        """
        _check_positions(self.name, indices, len(self))
        files = None if self.files is None else tuple(self.files[i] for i in indices.tolist())
        return replace(
            self,
            images=self.images[indices],
            labels=self.labels[indices],
            masks=None if self.masks is None else self.masks[indices],
            groups=None if self.groups is None else self.groups[indices],
            files=files,
            environments=None if self.environments is None else self.environments[indices],
        )

    def split(self, fraction: float, seed: int = 0) -> tuple[Domain, Domain]:
        """Split at random into two disjoint parts that together hold every image.

        Args:
            fraction: share of the images in the first part, strictly between 0 and 1.
            seed: the same seed gives the same split.

        Returns:
            `(first, second)`; the first has `round(fraction * N)` images. Where `split_by` is
            "group", no group has images in both, and the first has the share that comes nearest.

        Raises:
            ValueError: if the fraction is out of range or leaves a part without images.
        """
        check_number("split fraction", fraction, 0, 1, open_ends=True)
        check_seed(seed)
        generator = torch.Generator().manual_seed(seed)
        if self.split_by == "group":
            chosen = _whole_groups(self.groups, round(fraction * len(self)), generator)
        else:
            order = torch.randperm(len(self), generator=generator)
            chosen = torch.zeros(len(self), dtype=torch.bool)
            chosen[order[: round(fraction * len(self))]] = True
        first, second = chosen.nonzero()[:, 0], (~chosen).nonzero()[:, 0]
        if not len(first) or not len(second):
            raise ValueError(
                f"domain '{self.name}' has {len(self)} images: a split at {fraction} by "
                f"{self.split_by} leaves one part empty; use more images or another fraction"
            )
        return self.subset(first), self.subset(second)

    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of a SHA-256 over images, labels and masks."""
        digest = hashlib.sha256(repr((tuple(self.images.shape), self.classes)).encode())
        for tensor in (self.images, self.labels, self.masks):
            if tensor is not None:
                digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Named domains over one set of classes, each loaded when it is first asked for.

    Args:
        name: the name it was loaded by.
        classes: the class names, in label order, the same for every domain.
        loaders: for each domain name, a function that returns the `Domain`.
        missing: sentences that say which parts of the data set are not there.
        training_split: the domain that is the official training split, where the domains are the
            data set's official splits: it is trained on whole, the others are the tests, and
            nothing is dealt anew. "" where the domains are distributions of their own.

    Raises:
        ValueError: if one of them is of another kind.
    """

    name: str
    classes: tuple[str, ...]
    loaders: Mapping[str, Callable[[], Domain]]
    missing: tuple[str, ...] = ()
    training_split: str = ""
    _loaded: dict[str, Domain] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        check_kind("a benchmark's name", self.name, str, "a text")
        _check_classes(f"benchmark '{self.name}'", self.classes)
        check_kind(f"benchmark '{self.name}': loaders", self.loaders, Mapping, "a dict by domain")
        for name, loader in self.loaders.items():
            if not callable(loader):
                raise ValueError(
                    f"benchmark '{self.name}': the loader of {shown(name)} is {shown(loader)}, "
                    "expected a function that returns the Domain"
                )
        check_texts(f"benchmark '{self.name}': missing", self.missing)
        check_kind(f"benchmark '{self.name}': training_split", self.training_split, str, "a text")

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains' names, in their customary order."""
        return tuple(self.loaders)

    @property
    def test_domains(self) -> tuple[str, ...]:
        """The domains but for an official training split."""
        return tuple(name for name in self.domains if name != self.training_split)

    def __getitem__(self, name: str) -> Domain:
        if isinstance(name, str) and name not in self.loaders:
            name = same(name)
        if not isinstance(name, str) or name not in self.loaders:
            raise KeyError(
                f"benchmark '{self.name}' has no domain {shown(name)}; it has "
                f"{', '.join(self.domains)}"
            )
        if name not in self._loaded:
            self._loaded[name] = self.loaders[name]()
        return self._loaded[name]

    def __iter__(self) -> Iterator[Domain]:
        return (self[name] for name in self.domains)

    def __len__(self) -> int:
        return len(self.loaders)


def _whole_groups(groups: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Groups in random order until the number of images is nearest to `wanted`: bool `(N,)`."""
    _, numbers, sizes = groups.unique(return_inverse=True, return_counts=True)
    order = torch.randperm(len(sizes), generator=generator)
    reached = torch.cat([torch.zeros(1, dtype=torch.int64), sizes[order].cumsum(0)])
    taken = torch.zeros(len(sizes), dtype=torch.bool)
    taken[order[: int((reached - wanted).abs().argmin())]] = True
    return taken[numbers]


def _check_classes(what: str, classes: tuple[str, ...]) -> None:
    check_texts(f"{what}: classes", classes)
    if len(set(classes)) < len(classes):
        raise ValueError(f"{what}: classes are {', '.join(classes)}, expected different names")


def _check_positions(name: str, indices: Tensor, count: int) -> None:
    if not isinstance(indices, Tensor) or indices.dtype != torch.int64 or indices.ndim != 1:
        what = (
            f"{indices.dtype} of shape {tuple(indices.shape)}"
            if isinstance(indices, Tensor)
            else type(indices).__name__
        )
        raise ValueError(
            f"indices are {what}, expected torch.int64 of shape (n,); turn a mask into positions "
            "with mask.nonzero()[:, 0]"
        )
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < count:
        raise ValueError(
            f"indices run from {int(indices.min())} to {int(indices.max())}, expected 0 to "
            f"{count - 1}: domain '{name}' has {count} images"
        )


def _check_vector(name: str, what: str, values: Tensor, count: int) -> None:
    if values.dtype != torch.int64 or values.shape != (count,):
        raise ValueError(
            f"domain '{name}': {what} are {values.dtype} of shape {tuple(values.shape)}, "
            f"expected torch.int64 of shape ({count},)"
        )


def _check_named_groups(domain: Domain) -> None:
    names, shares, what = domain.group_names, domain.group_shares, f"domain '{domain.name}'"
    if names is None:
        if shares is not None:
            raise ValueError(
                f"{what} has group_shares and no group_names, expected both or neither"
            )
        return
    check_texts(f"{what}: group_names", names)
    if len(set(names)) < len(names):
        raise ValueError(f"{what}: group_names are {', '.join(names)}, expected different names")
    if domain.groups is None:
        raise ValueError(f"{what} has group_names and no groups, expected int64 (N,)")
    if len(domain) and not 0 <= int(domain.groups.min()) <= int(domain.groups.max()) < len(names):
        raise ValueError(
            f"{what}: groups run from {int(domain.groups.min())} to {int(domain.groups.max())}, "
            f"expected 0 to {len(names) - 1} for the {len(names)} group_names"
        )
    if shares is None:
        return
    check_kind(f"{what}: group_shares", shares, tuple, "a tuple of numbers")
    for share in shares:
        check_number(f"{what}: a group's share", share, 0, 1)
    if len(shares) != len(names) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"{what}: {len(shares)} group_shares that sum to {sum(shares):.6g}, expected "
            f"{len(names)} that sum to 1"
        )


def _check_masks(name: str, masks: Tensor, images: Tensor) -> None:
    expected = (len(images), *images.shape[2:])
    if masks.dtype != torch.float32 or tuple(masks.shape) != expected:
        raise ValueError(
            f"domain '{name}': masks are {masks.dtype} of shape {tuple(masks.shape)}, "
            f"expected torch.float32 of shape {expected}"
        )
    if masks.numel() and not (masks.min() >= 0 and masks.max() <= 1):
        raise ValueError(
            f"domain '{name}': mask values run from {masks.min():.3g} to {masks.max():.3g}, "
            "expected [0, 1]"
        )
