"""Terra Incognita from the Caltech Camera Traps archive and its annotations.

DomainBed's folder is four cameras and ten classes of it. Two versions are about, because two
annotation files are: see `VERSIONS`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from align.data.boxes import Box
from align.data.layouts import TERRA
from align.data.terra import NOTES

from .archives import damage_told, entries, unpack
from .download import Archive, Mirror

CAMERAS = {domain.removeprefix("location_"): domain for domain in TERRA.domains}

_PLACES = (
    "https://storage.googleapis.com/public-datasets-lila/caltechcameratraps",
    "https://lilawildlife.blob.core.windows.net/lila-wildlife/caltechcameratraps",
)


def _archive(path: str, size: int) -> Archive:
    name = path.rpartition("/")[2]
    return Archive(name, size, tuple(Mirror(f"{place}/{path}") for place in _PLACES))


IMAGES = _archive("eccv_18_all_images_sm.tar.gz", 6_493_000_000)


@dataclass(frozen=True)
class Version:
    """One of the two sets of images that are called Terra Incognita."""

    annotations: Archive
    total: int
    counts: Mapping[str, int]  # by domain; {} where nobody published them
    boxes: bool  # whether its annotations have boxes


VERSIONS = {
    "eccv18": Version(
        _archive("eccv_18_annotations.tar.gz", 3_000_000),
        24_788,
        dict(zip(TERRA.domains, (4_879, 9_767, 4_020, 6_122), strict=True)),
        boxes=True,
    ),
    "lila2021": Version(
        _archive("labels/caltech_camera_traps.json.zip", 9_000_000), 24_330, {}, boxes=False
    ),
}
"""By name: the paper's annotations (with boxes), and those of 2021 for the whole collection."""


@dataclass
class Picture:
    """What the annotations say of one image."""

    camera: str  # the domain
    kinds: set[str] = field(default_factory=set)  # of two animals it is filed under both
    sequence: str | None = None  # what the camera took in one go has one name
    boxes: dict[str, list[Box]] = field(default_factory=dict)  # by class


def read_annotations(archive: Path) -> dict[str, Picture]:
    """What a `.tar.gz` or `.zip` of COCO Camera Traps files says, by file name.

    Kept are the images of the four cameras that show one of the ten classes.
    """
    pictures: dict[str, Picture] = {}
    with damage_told(archive):
        for name, content in entries(archive):
            if name.endswith(".json") and not name.rpartition("/")[2].startswith("."):
                _add_file(pictures, content.read(), f"{archive.name}: '{name}'")
    pictures = {name: picture for name, picture in pictures.items() if picture.kinds}
    if not pictures:
        raise ValueError(
            f"{archive} annotates no image of the cameras {', '.join(CAMERAS)}; it is not the "
            "archive expected, delete it and get it again"
        )
    return pictures


def _add_file(pictures: dict[str, Picture], text: bytes, what: str) -> None:
    try:
        _add(pictures, json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"{what} is no annotation file in the COCO Camera Traps form ({type(error).__name__}: "
            f"{error}); delete the archive and get it again"
        ) from error


def _add(pictures: dict[str, Picture], data: dict[str, Any]) -> None:
    kinds = {entry["id"]: entry["name"] for entry in data["categories"]}
    known: dict[Any, tuple[Picture, dict]] = {}
    for image in data["images"]:
        # A number in one file, a text in the other.
        if (camera := CAMERAS.get(str(image["location"]))) is None:
            continue
        picture = pictures.setdefault(image["file_name"].rpartition("/")[2], Picture(camera))
        picture.sequence = image.get("seq_id") or picture.sequence
        known[image["id"]] = picture, image
    for entry in data["annotations"]:
        if entry["image_id"] not in known or kinds[entry["category_id"]] not in TERRA.classes:
            continue
        picture, image = known[entry["image_id"]]
        kind = kinds[entry["category_id"]]
        picture.kinds.add(kind)
        if entry.get("bbox") and (box := _share(entry["bbox"], image)):
            picture.boxes.setdefault(kind, []).append(box)


def _share(box: Sequence[float], image: Mapping[str, Any]) -> Box | None:
    """A box in pixels of the full image as shares of it: the archive's images are smaller."""
    width, height = float(image["width"]), float(image["height"])
    left, top = max(0.0, box[0] / width), max(0.0, box[1] / height)
    right, bottom = min(1.0, (box[0] + box[2]) / width), min(1.0, (box[1] + box[3]) / height)
    if right <= left or bottom <= top:
        return None
    return (round(left, 5), round(top, 5), round(right - left, 5), round(bottom - top, 5))


def build(images: Path, pictures: Mapping[str, Picture], folder: Path, version: str) -> list[str]:
    """Sort an archive's images into `location_*/CLASS/`, and keep sequences and boxes beside them.

    The archive is read once, front to back; only what is wanted is written.

    Args:
        images: the `.tar.gz` of images; only the last part of a name in it counts.
        pictures: from `read_annotations`.
        folder: an empty folder.
        version: the annotations' name, kept in the notes.

    Returns:
        The names of annotated images that the archive does not hold.
    """
    wanted = dict(pictures)

    def place(name: str) -> list[str]:
        file = name.rpartition("/")[2]
        picture = wanted.pop(file, Picture(""))
        return [f"{picture.camera}/{kind}/{file}" for kind in sorted(picture.kinds)]

    written = unpack(images, folder, place)
    if not written:
        raise ValueError(
            f"{images} holds none of the {len(pictures):,} annotated images; it is not the archive "
            "expected, delete it and get it again"
        )
    notes = {}
    for name in sorted(written):
        _, kind, file = name.split("/")
        boxes = pictures[file].boxes.get(kind, [])
        notes[name] = {"sequence": pictures[file].sequence, "boxes": boxes}
    (folder / NOTES).write_text(json.dumps({"version": version, "images": notes}))
    return sorted(wanted)
