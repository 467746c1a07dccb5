"""The published benchmarks as they lie on disk: names, domains, classes and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .trees import Counts


@dataclass(frozen=True)
class Layout:
    """A published benchmark as it lies on disk.

    Args:
        name: the name it is loaded by.
        title: the name people use.
        folder: its folder's customary name.
        domains: the domains' folder names, in their customary order.
        classes: the class folder names, in label order.
        remedy: the sentence that says how to get it; `{root}` stands for the data folder.
        counts: images by domain and class in the complete benchmark; empty where versions differ.
    """

    name: str
    title: str
    folder: str
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    remedy: str
    counts: Counts


def _table(classes: Sequence[str], rows: Mapping[str, Sequence[int]]) -> Counts:
    return {domain: dict(zip(classes, row, strict=True)) for domain, row in rows.items()}


VLCS_CLASSES = ("bird", "car", "chair", "dog", "person")
VLCS = Layout(
    name="vlcs",
    title="VLCS",
    folder="VLCS",
    domains=("Caltech101", "LabelMe", "SUN09", "VOC2007"),
    classes=VLCS_CLASSES,
    remedy="run `align data get vlcs --root {root}`",
    counts=_table(
        VLCS_CLASSES,
        {
            "Caltech101": (237, 123, 118, 67, 870),
            "LabelMe": (80, 1209, 88, 42, 1237),
            "SUN09": (20, 932, 1036, 30, 1264),
            "VOC2007": (330, 699, 428, 420, 1499),
        },
    ),
)

# Two versions of Terra Incognita are about (24,788 and 24,330 images), so no counts are expected.
TERRA = Layout(
    name="terra",
    title="Terra Incognita",
    folder="terra_incognita",
    domains=("location_100", "location_38", "location_43", "location_46"),
    classes=(
        *("bird", "bobcat", "cat", "coyote", "dog"),
        *("empty", "opossum", "rabbit", "raccoon", "squirrel"),
    ),
    remedy="run `align data get terra --root {root}`",
    counts={},
)

PACS_CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
PACS = Layout(
    name="pacs",
    title="PACS",
    folder="PACS",
    domains=("art_painting", "cartoon", "photo", "sketch"),
    classes=PACS_CLASSES,
    remedy=(
        "place its images by hand as {root}/PACS/DOMAIN/CLASS/*.jpg, with the domains "
        "art_painting, cartoon, photo, sketch (Li et al., ICCV 2017)"
    ),
    counts=_table(
        PACS_CLASSES,
        {
            "art_painting": (379, 255, 285, 184, 201, 295, 449),
            "cartoon": (389, 457, 346, 135, 324, 288, 405),
            "photo": (189, 202, 182, 186, 199, 280, 432),
            "sketch": (772, 740, 753, 608, 816, 80, 160),
        },
    ),
)
