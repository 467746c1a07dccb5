"""Means of the loss terms over an epoch, and the guard that stops a run which has gone bad."""

from __future__ import annotations

import torch
from torch import Tensor

LOOK_EVERY = 50
"""Steps between two looks at values on a GPU: each look makes it wait."""


class EpochTerms:
    """Sums each term of the losses on its device and notes the first value that is not finite.

    Args:
        epoch: the current epoch, from 0; for the message.
        steps: steps in an epoch.
    """

    def __init__(self, epoch: int, steps: int) -> None:
        self.epoch, self.steps, self.step = epoch, steps, 0
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}
        self.bad: dict[str, Tensor] = {}  # the first step with a bad value; `steps` if none

    def add(self, terms: dict[str, Tensor]) -> None:
        """Take in the terms of one step.

        Args:
            terms: detached scalars by name.

        Raises:
            FloatingPointError: if a value was not finite; at once on a CPU, after some steps on a
                GPU. It names the term and the step.
        """
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0) + value
            self.counts[name] = self.counts.get(name, 0) + 1
            before = self.bad.get(name, torch.full_like(value, self.steps))
            self.bad[name] = torch.where(value.isfinite(), before, before.clamp_max(self.step))
        self.step += 1
        on_cpu = all(value.is_cpu for value in terms.values())
        if on_cpu or self.step % LOOK_EVERY == 0 or self.step == self.steps:
            self._check()

    def means(self) -> dict[str, float]:
        """The mean of each term over those steps of the epoch that have it."""
        return {name: float(total) / self.counts[name] for name, total in self.sums.items()}

    def _check(self) -> None:
        name, step = min(((n, int(s)) for n, s in self.bad.items()), key=lambda item: item[1])
        if step < self.steps:
            raise FloatingPointError(
                f"the term '{name}' is no longer a finite number in epoch {self.epoch}, step "
                f"{step}; lower lr or the term's weight, or look at the data"
            )
