"""Several domains as one, in which each image remembers where it is from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor

from align.checks import check_kind

from .benchmark import Domain


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
