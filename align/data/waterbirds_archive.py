"""The archive of Waterbirds: where it is, what it unpacks to, and by which hash it is known again.

Nobody published a hash. An archive is taken if it unpacks to the known number of pictures in every
group of every split; its own hash is then kept in the manifest and asked for the next time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import waterbirds
from .archives import Bounds, unpack
from .decoding import SUFFIXES
from .download import Archive, Mirror
from .manifest import Manifest, differences

UNPACKED = 1_000_000_000
"""Bytes, on the safe side, for the look at the free space: nobody states the size."""

ARCHIVE = Archive(
    f"{waterbirds.LAYOUT.folder}.tar.gz",
    UNPACKED,
    tuple(
        Mirror(f"https://{place}/dro/{waterbirds.LAYOUT.folder}.tar.gz")
        for place in ("nlp.stanford.edu/data", "downloads.cs.stanford.edu/nlp/data")
    ),
)


def known(root: Path) -> Archive:
    """The archive, with its hash if Waterbirds was built from it in this data folder before.

    Raises:
        ValueError: if the manifest that lies there is none.
    """
    stored = root / f"{waterbirds.LAYOUT.name}.manifest.json"
    found = Manifest.read(stored).archives if stored.is_file() else {}
    return replace(ARCHIVE, hash=found.get(ARCHIVE.name))


def hashes(archives: Sequence[Path]) -> dict[str, str]:
    """The hashes of files by name, "sha256:..."."""
    found = {}
    for archive in archives:
        with open(archive, "rb") as file:
            found[archive.name] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    return found


def build(archive: Path, folder: Path) -> list[str]:
    """Unpack the table and the pictures.

    Args:
        archive: `FOLDER/metadata.csv` and `FOLDER/SPECIES/NAME.jpg`, below whatever a copy has
            around them.
        folder: an empty folder.

    Returns:
        What it lacks, one sentence each; none if it is whole.

    Raises:
        align.data.archives.ArchiveError: if the archive is refused or damaged.
        ValueError: if its table is not what it should be.
    """

    def place(name: str) -> list[str]:
        parts = name.split("/")
        if parts[-1] in (waterbirds.METADATA, waterbirds.BOXES):
            return parts[-1:]
        is_picture = parts[-1].lower().endswith(SUFFIXES) and not parts[-1].startswith(".")
        return ["/".join(parts[-2:])] if is_picture and len(parts) > 1 else []

    unpack(archive, folder, place, Bounds(bytes=4 * UNPACKED))
    if not (folder / waterbirds.METADATA).is_file():
        return [f"no {waterbirds.METADATA}"]
    found = waterbirds.describe(folder, fingerprint=False)
    return differences(found.counts, waterbirds.LAYOUT.counts)
