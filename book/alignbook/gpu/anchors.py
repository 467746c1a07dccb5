"""What others report, and what a GPU should show; each number with its source."""

from __future__ import annotations

from dataclasses import dataclass

ERM_RESNET50 = (
    ("FFCV, ResNet-50, one A100", 3040.0),
    ("NVIDIA's DeepLearningExamples and timm, ResNet-50, one A100, from", 2470.0),
    ("MLPerf training 3.0, ResNet-50, one of eight H100s, from", 6500.0),
)
"""Published rates of plain training at 224 px in half precision, images per second. Other cards,
other loaders and other recipes: a place on a ruler, not a race."""

ERM_RESNET18 = (("FFCV, ResNet-18, one A100", 10030.0),)


@dataclass(frozen=True)
class Goal:
    """What a measured number should reach.

    Args:
        row: the row of the device's table.
        wanted: the number.
        at_least: whether it is a floor; else it is a ceiling.
        only: a part of the device's name where the goal is for one card only.
    """

    row: str
    wanted: float
    at_least: bool
    only: str = ""

    def met(self, value: float) -> bool:
        """Whether a number reaches the goal."""
        return value >= self.wanted if self.at_least else value <= self.wanted

    @property
    def text(self) -> str:
        """The goal in words."""
        card = f" on an {self.only}" if self.only else ""
        return f"{self.row}: at {'least' if self.at_least else 'most'} {self.wanted:g}{card}"


RATE = "ERM, ResNet-50, 224 px, images/s"
COUNT = "ALIGN's step over its count, ResNet-50"
LOOP = "loop over fixed batch, ResNet-50, the lesser of ERM and ALIGN"
METRICS = "metrics over inference, ResNet-50, the least"
DATA = "what the data could feed over ERM's rate, ResNet-50"

GOALS = (
    Goal(RATE, 3000, at_least=True, only="H100"),
    Goal(COUNT, 1.15, at_least=False),
    Goal(LOOP, 0.95, at_least=True),
    Goal(METRICS, 0.90, at_least=True),
    Goal(DATA, 2.0, at_least=True),
)
