"""What every data set becomes: a `Benchmark` of named `Domain`s held as plain tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from align.checks import (
    check_bytes,
    check_choice,
    check_kind,
    check_number,
    check_seed,
    check_tensor,
    check_texts,
    shown,
)
from align.files import same

TENSORS = ("images", "labels", "masks", "groups", "environments")


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
        what, count = f"domain '{self.name}'", 0
        check_kind(f"{what}: mask_source", self.mask_source, str, "a text")
        _check_names(f"{what}: classes", self.classes)
        for name in TENSORS:
            value = getattr(self, name)
            if value is None and name not in ("images", "labels"):
                continue
            check_tensor(f"{what}: {name}", value)
            if name == "images":
                check_bytes(f"{what}: images", value)
                count = len(value)
            elif name == "masks":
                shape = (count, *self.images.shape[2:])
                _check_shape(f"{what}: masks", value, torch.float32, shape)
                if value.numel() and not (value.min() >= 0 and value.max() <= 1):
                    raise ValueError(
                        f"{what}: mask values run from {value.min():.3g} to {value.max():.3g}, "
                        "expected [0, 1]"
                    )
            else:
                _check_shape(f"{what}: {name}", value, torch.int64, (count,))
        _check_numbers(f"{what}: labels", self.labels, self.classes, "classes")
        if self.environments is not None and count and self.environments.min() < 0:
            raise ValueError(
                f"{what}: environments start at {int(self.environments.min())}, expected numbers "
                "from 0"
            )
        if self.files is not None:
            check_texts(f"{what}: files", self.files)
            if len(self.files) != count:
                raise ValueError(
                    f"{what}: {len(self.files)} file names for {count} images, expected one name "
                    "an image"
                )
        check_choice("split_by", self.split_by, ("image", "group"))
        if self.split_by == "group" and self.groups is None:
            raise ValueError(
                f"{what} has no groups and split_by is 'group'; give groups, or split by 'image'"
            )
        if self.group_names is not None:
            _check_names(f"{what}: group_names", self.group_names)
            if self.groups is None:
                raise ValueError(f"{what} has group_names and no groups, expected int64 (N,)")
            _check_numbers(f"{what}: groups", self.groups, self.group_names, "group_names")
        if self.group_shares is not None:
            _check_group_shares(what, self.group_shares, self.group_names)

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

        Raises:
            ValueError: if the indices are not positions in this domain.
        """
        _check_positions(self.name, indices, len(self))
        values = {name: getattr(self, name) for name in TENSORS}
        part = {name: v if v is None else v[indices] for name, v in values.items()}
        files = None if self.files is None else tuple(self.files[i] for i in indices.tolist())
        return replace(self, files=files, **part)

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
        _check_names(f"benchmark '{self.name}': classes", self.classes)
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
        known = (
            [one for one in (name, same(name)) if one in self.loaders]
            if isinstance(name, str)
            else []
        )
        if not known:
            raise KeyError(
                f"benchmark '{self.name}' has no domain {shown(name)}; it has "
                f"{', '.join(self.domains)}"
            )
        if known[0] not in self._loaded:
            self._loaded[known[0]] = self.loaders[known[0]]()
        return self._loaded[known[0]]

    def __iter__(self) -> Iterator[Domain]:
        return (self[name] for name in self.domains)

    def __len__(self) -> int:
        return len(self.loaders)


def join(domains: Sequence[Domain]) -> Domain:
    """Join several domains into one, in which each image remembers where it is from.

    Training on all domains but one (the leave-one-out protocol) takes its images from here.

    Args:
        domains: at least one, over the same classes and with images of one size.

    Returns:
        A domain named after its parts ("noon+dusk"). Environments number the parts in order, and
        a part that was joined before keeps its own apart; groups are renumbered so that no two
        parts share one, and bear their part's name if all are named. Masks, groups and file names
        are kept where every part has them; if one part is split by groups and all have them, so is
        the whole.

    Raises:
        ValueError: if there is no domain, or classes or sizes differ.
    """
    check_kind("domains", domains, (list, tuple), "a list of domains")
    if not domains:
        raise ValueError("no domains given to join, expected at least one")
    for domain in domains:
        check_kind("one of the domains", domain, Domain, "a Domain")
    first = domains[0]
    for domain in domains:
        if domain.classes != first.classes or domain.images.shape[1:] != first.images.shape[1:]:
            raise ValueError(
                f"domains '{first.name}' and '{domain.name}' do not fit together: classes "
                f"{', '.join(first.classes)} at {tuple(first.images.shape[2:])} pixels against "
                f"{', '.join(domain.classes)} at {tuple(domain.images.shape[2:])}; load both alike"
            )

    def every(name: str, joined: Callable[[list], object]) -> object:
        parts = [getattr(domain, name) for domain in domains]
        return None if any(part is None for part in parts) else joined(parts)

    names = _joined_names(domains)
    counts = [len(domain.group_names) for domain in domains] if names else None
    groups = every("groups", lambda parts: _renumbered(parts, counts))
    environments = [
        torch.zeros_like(domain.labels) if domain.environments is None else domain.environments
        for domain in domains
    ]
    by_group = groups is not None and any(domain.split_by == "group" for domain in domains)
    return Domain(
        "+".join(domain.name for domain in domains),
        torch.cat([domain.images for domain in domains]),
        torch.cat([domain.labels for domain in domains]),
        first.classes,
        every("masks", torch.cat),
        groups,
        every("files", lambda parts: tuple(chain.from_iterable(parts))),
        _renumbered(environments),
        "group" if by_group else "image",
        group_names=names,
        mask_source=", ".join(dict.fromkeys(d.mask_source for d in domains if d.mask_source)),
    )


def _joined_names(domains: Sequence[Domain]) -> tuple[str, ...] | None:
    parts = {domain.name: domain.group_names for domain in domains}
    if None in parts.values() or len(parts) < len(domains):
        return None
    return tuple(f"{part}: {name}" for part, names in parts.items() for name in names)


def _renumbered(parts: list[Tensor], counts: list[int] | None = None) -> Tensor:
    """One vector of numbers from 0, those of each part after those of the parts before it."""
    counts = counts or [int(part.max()) + 1 if len(part) else 0 for part in parts]
    starts = [sum(counts[:number]) for number in range(len(parts))]
    return torch.cat([part + start for part, start in zip(parts, starts, strict=True)])


def _whole_groups(groups: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Groups in random order until the number of images is nearest to `wanted`: bool `(N,)`."""
    _, numbers, sizes = groups.unique(return_inverse=True, return_counts=True)
    order = torch.randperm(len(sizes), generator=generator)
    reached = torch.cat([torch.zeros(1, dtype=torch.int64), sizes[order].cumsum(0)])
    taken = torch.zeros(len(sizes), dtype=torch.bool)
    taken[order[: int((reached - wanted).abs().argmin())]] = True
    return taken[numbers]


def _check_names(what: str, names: tuple[str, ...]) -> None:
    check_texts(what, names)
    if len(set(names)) < len(names):
        raise ValueError(f"{what} are {', '.join(names)}, expected different names")


def _check_shape(what: str, values: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    if values.dtype != dtype or tuple(values.shape) != shape:
        raise ValueError(
            f"{what} are {values.dtype} of shape {tuple(values.shape)}, expected {dtype} of shape "
            f"{shape}"
        )


def _check_numbers(what: str, values: Tensor, names: tuple[str, ...], kind: str) -> None:
    low, high = (int(end) for end in values.aminmax()) if len(values) else (0, -1)
    if low < 0 or high >= len(names):
        raise ValueError(
            f"{what} run from {low} to {high}, expected 0 to {len(names) - 1} for the {len(names)} "
            f"{kind} {', '.join(names)}"
        )


def _check_group_shares(what: str, shares: Any, names: tuple[str, ...] | None) -> None:
    if names is None:
        raise ValueError(f"{what} has group_shares and no group_names, expected both or neither")
    check_kind(f"{what}: group_shares", shares, tuple, "a tuple of numbers")
    for share in shares:
        check_number(f"{what}: a group's share", share, 0, 1)
    if len(shares) != len(names) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(
            f"{what}: {len(shares)} group_shares that sum to {sum(shares):.6g}, expected "
            f"{len(names)} that sum to 1"
        )


def _check_positions(name: str, indices: Any, count: int) -> None:
    is_tensor = isinstance(indices, Tensor)
    if not is_tensor or indices.dtype != torch.int64 or indices.ndim != 1:
        form = f"{indices.dtype} of shape {tuple(indices.shape)}" if is_tensor else ""
        raise ValueError(
            f"indices are {form or type(indices).__name__}, expected torch.int64 of shape (n,); "
            "turn a mask into positions with mask.nonzero()[:, 0]"
        )
    low, high = (int(end) for end in indices.aminmax()) if len(indices) else (0, -1)
    if low < 0 or high >= count:
        raise ValueError(
            f"indices run from {low} to {high}, expected 0 to {count - 1}: domain '{name}' has "
            f"{count} images"
        )
