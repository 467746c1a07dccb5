"""The published benchmarks as they lie on disk: names, domains, classes, counts, and their folders.

Source of the counts: DomainBed's lists of files for VLCS and PACS; the table of Waterbirds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from align.checks import check_path

PathLike = str | Path
# Images by domain and class.
Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Layout:
    """A published benchmark as it lies on disk.

    Args:
        name: the name it is loaded by.
        title: the name people use.
        folders: what its folder is called; the first is what it is built as.
        domains: the domains' names, in their customary order.
        classes: what is counted in each: the class folders in label order, or groups.
        counts: images by domain and class in the complete benchmark; empty where versions differ.
        remedy: the sentence that says how to get it; `{root}` stands for the data folder.
        table: the file that says what each picture is, where folders do not.
    """

    name: str
    title: str
    folders: tuple[str, ...]
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    counts: Counts
    remedy: str
    table: str = ""

    def find(self, root: PathLike | None) -> Path:
        """Its folder below the data folder `root`, or `root` itself: see `locate`."""
        marks = (self.table,) if self.table else self.domains
        return locate(self.folders, root, self.remedy, marks, self.table)


def locate(
    known: Sequence[str], root: PathLike | None, remedy: str, marks: Sequence[str], needed: str = ""
) -> Path:
    """Find a data set's folder.

    Args:
        known: the folder's customary paths below the data folder.
        root: the data folder, or the data set's folder itself; None means `$ALIGN_DATA`.
        remedy: what to do where it is absent; `{root}` stands for the data folder.
        marks: names by which the data set's own folder is known.
        needed: a file without which none of `known` is taken.

    Raises:
        FileNotFoundError: if it is not there; the message says where was looked and the remedy.
    """
    check_path("root", root)
    given = root or os.environ.get("ALIGN_DATA")
    if not given:
        raise FileNotFoundError(
            f"no data folder is given for {known[0]}: pass root=DIR or set ALIGN_DATA=DIR; if "
            f"you have no {known[0]} yet, {remedy.format(root='DIR')}"
        )
    base = Path(given).expanduser()
    places = [base / folder for folder in known]
    for place in places:
        if place.is_dir() and (place / needed).exists():
            return place
    if any((base / name).exists() for name in marks):
        return base
    raise FileNotFoundError(
        f"{known[0]} was not found: looked for {', '.join(map(str, places))} and for "
        f"{', '.join(marks) or 'nothing else'} in {base}; {remedy.format(root=base)}"
    )


def _counts(classes: Sequence[str], **rows: Sequence[int]) -> Counts:
    return {domain: dict(zip(classes, row, strict=True)) for domain, row in rows.items()}


VLCS_CLASSES = ("bird", "car", "chair", "dog", "person")
VLCS = Layout(
    "vlcs",
    "VLCS",
    ("VLCS",),
    ("Caltech101", "LabelMe", "SUN09", "VOC2007"),
    VLCS_CLASSES,
    _counts(
        VLCS_CLASSES,
        Caltech101=(237, 123, 118, 67, 870),
        LabelMe=(80, 1209, 88, 42, 1237),
        SUN09=(20, 932, 1036, 30, 1264),
        VOC2007=(330, 699, 428, 420, 1499),
    ),
    "run `align data get vlcs --root {root}`",
)

# Two versions of Terra Incognita are about (24,788 and 24,330 images), so no counts are expected.
TERRA = Layout(
    "terra",
    "Terra Incognita",
    ("terra_incognita",),
    ("location_100", "location_38", "location_43", "location_46"),
    (
        *("bird", "bobcat", "cat", "coyote", "dog"),
        *("empty", "opossum", "rabbit", "raccoon", "squirrel"),
    ),
    {},
    "run `align data get terra --root {root}`",
)

PACS_CLASSES = ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")
PACS = Layout(
    "pacs",
    "PACS",
    ("PACS",),
    ("art_painting", "cartoon", "photo", "sketch"),
    PACS_CLASSES,
    _counts(
        PACS_CLASSES,
        art_painting=(379, 255, 285, 184, 201, 295, 449),
        cartoon=(389, 457, 346, 135, 324, 288, 405),
        photo=(189, 202, 182, 186, 199, 280, 432),
        sketch=(772, 740, 753, 608, 816, 80, 160),
    ),
    "place its images by hand as {root}/PACS/DOMAIN/CLASS/*.jpg, with the domains "
    "art_painting, cartoon, photo, sketch (Li et al., ICCV 2017)",
)

KINDS, PLACES = ("landbird", "waterbird"), ("land", "water")
GROUPS = tuple(f"{kind} on {place}" for kind in KINDS for place in PLACES)
# Its folder in the authors' archive, by hand, and in the WILDS package.
WATERBIRDS = Layout(
    "waterbirds",
    "Waterbirds",
    ("waterbird_complete95_forest2water2", "waterbirds", "waterbirds_v1.0"),
    ("train", "val", "test"),
    GROUPS,
    _counts(
        GROUPS,
        train=(3498, 184, 56, 1057),
        val=(467, 466, 133, 133),
        test=(2255, 2255, 642, 642),
    ),
    "run `align data get waterbirds --root {root}`",
    "metadata.csv",
)
