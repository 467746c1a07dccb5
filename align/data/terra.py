"""What a folder of Terra Incognita keeps beside its images: sequences and boxes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .boxes import box_mask

NOTES = "annotations.json"
"""The file beside the four folders that keeps sequences and boxes."""


@dataclass(frozen=True)
class Notes:
    """Sequences and boxes of a built folder, by file name, and the annotations' version."""

    version: str
    images: Mapping[str, Mapping[str, Any]]

    @classmethod
    def read(cls, folder: Path) -> Notes:
        """Read the notes of a folder; one that DomainBed's own script made has none."""
        path = folder / NOTES
        if not path.is_file():
            raise FileNotFoundError(
                f"{folder} has no {NOTES}, so its sequences and boxes are not known; build it with "
                f"`align data get terra` in another folder, or take split='random', boxes=False"
            )
        try:
            found = json.loads(path.read_text())
            images = {name: {**note} for name, note in found["images"].items()}
            return cls(str(found["version"]), images)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is broken ({error}); build the folder again") from error

    def sequences(self, files: Sequence[str]) -> Tensor:
        """The sequence of each file: int64 `(N,)`, equal where two images are of one sequence.

        An image whose sequence is not known is one of its own.
        """
        numbers: dict[str, int] = {}
        names = [self.images.get(file, {}).get("sequence") or f"alone: {file}" for file in files]
        return torch.tensor([numbers.setdefault(name, len(numbers)) for name in names])

    def masks(self, files: Sequence[str], size: int) -> Tensor:
        """The boxes of each file as masks, float32 `(N, size, size)`: see `box_mask`.

        They are 0 for an image without boxes, which the metrics of localisation leave out.
        """
        return torch.stack(
            [box_mask(self.images.get(file, {}).get("boxes", ()), size) for file in files]
        )
