"""What lies in a folder of a tree: pictures, folders, and what is passed over, in words.

Names are compared as people read them: a letter with its accent may be stored as one sign or as two
(macOS and Linux differ), and is one name here.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from align.files import same

from .decoding import SUFFIXES

UNREAD = (
    *(".apng", ".avif", ".bmp", ".cr2", ".dng", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2"),
    *(".jpe", ".jxl", ".nef", ".npy", ".pbm", ".pgm", ".ppm", ".raw", ".svg", ".tga", ".tif"),
    *(".tiff", ".webp"),
)
"""Suffixes of pictures that are not read."""


@dataclass(frozen=True)
class Contents:
    """What a folder of pictures holds.

    Args:
        images: names of the files that are read, sorted.
        unread: how many pictures of other types there are, by suffix.
        broken: names of links to pictures that are not there.
        loops: names of links to themselves.
        deeper: names of folders in it that hold pictures of any type.
    """

    images: tuple[str, ...] = ()
    unread: tuple[tuple[str, int], ...] = ()
    broken: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    deeper: tuple[str, ...] = ()

    @property
    def any_pictures(self) -> bool:
        """Whether there are, or should be, pictures in the folder itself."""
        return bool(self.images or self.unread or self.broken)

    def passed_over(self, place: str) -> list[str]:
        """In words, what is not read although it looks like pictures."""
        said = []
        if self.unread:
            types = ", ".join(f"{number:,} {suffix}" for suffix, number in self.unread)
            said.append(f"{place} holds files of types that are not read ({types})")
        if self.deeper:
            first = f"{place}/{self.deeper[0]}"
            more = f" and {len(self.deeper) - 1} more" if len(self.deeper) > 1 else ""
            said.append(f"pictures lie one folder deeper than they are read, in {first}{more}")
        said += [f"{place}/{name} is a link to itself" for name in self.loops]
        return said


def contents(folder: Path) -> Contents:
    """Look through a folder of pictures.

    Returns:
        What it holds; names that begin with a dot are passed over.
    """
    images, unread, broken, loops, deeper = [], Counter(), [], [], []
    for entry in _entries(folder):
        suffix = Path(entry.name).suffix.lower()
        kind = _kind(entry)
        if kind == "folder":
            if not _leads_back(entry) and _holds_pictures(Path(entry.path)):
                deeper.append(entry.name)
        elif suffix in SUFFIXES:
            {"file": images, "loop": loops, "gone": broken}.get(kind, []).append(entry.name)
        elif suffix in UNREAD and kind in ("file", "gone"):
            unread[suffix] += 1
    return Contents(
        *(tuple(sorted(images, key=_order)), tuple(sorted(unread.items())), tuple(sorted(broken))),
        *(tuple(sorted(loops)), tuple(sorted(deeper, key=_order))),
    )


def list_files(folder: Path) -> list[str]:
    """List the images in a folder.

    Returns:
        Names that end in .jpg, .jpeg or .png in any case and do not begin with a dot, sorted.
    """
    return sorted(
        (
            entry.name
            for entry in _entries(folder)
            if entry.name.lower().endswith(SUFFIXES) and _kind(entry) == "file"
        ),
        key=_order,
    )


def list_folders(folder: Path) -> tuple[str, ...]:
    """List the folders in a folder.

    Returns:
        Names in composed form that do not begin with a dot, sorted and each once; links to folders
        that are not there are among them, links to a folder that holds the link are not.
    """
    return tuple(
        sorted(
            {
                same(entry.name)
                for entry in _entries(folder)
                if (_kind(entry) == "folder" and not _leads_back(entry))
                or (_kind(entry) == "gone" and not re.search(r"\.\w{1,5}$", entry.name))
            }
        )
    )


def named(folder: Path, name: str) -> list[str]:
    """The names on disk of a folder in a folder, by the name that people read.

    Returns:
        More than one where it is there in several spellings; the name itself where there is none.
    """
    wanted = same(name)
    found = [
        entry.name
        for entry in _entries(folder)
        if same(entry.name) == wanted and _kind(entry) == "folder"
    ]
    return sorted(found) or [name]


def astray(folder: Path, place: str = "") -> list[str]:
    """In words, the links in a folder that lead nowhere or back to it."""
    said = []
    for entry in sorted(_entries(folder), key=lambda entry: entry.name):
        kind = _kind(entry)
        if kind == "loop" or (kind == "folder" and _leads_back(entry)):
            said.append(f"{place}{entry.name} is a link to itself or to a folder around it")
        elif kind == "gone" and Path(entry.name).suffix.lower() not in (*SUFFIXES, *UNREAD):
            said.append(f"{place}{entry.name} is a link to what is not there")
    return said


def domains_of(root: Path, masks: str | Path | None) -> tuple[str, ...]:
    """The folders of a tree's root."""
    found = list_folders(root)
    if masks is None:
        return found
    folder = Path(masks).expanduser().resolve()
    return tuple(
        name for name in found if all((root / n).resolve() != folder for n in named(root, name))
    )


def classes_of(root: Path, domains: Sequence[str], keep_empty: bool) -> tuple[str, ...]:
    """All class folders of the domains that hold pictures: an empty one keeps its label too.

    Returns:
        Their names, sorted.

    Raises:
        ValueError: if such a class is there and may not be.
    """
    held: dict[str, list[str]] = {}
    filled: set[str] = set()
    for domain in domains:
        shelves = [
            (kind, f"{place}/{folder}", contents(root / place / folder))
            for place in named(root, domain)
            for kind in list_folders(root / place)
            for folder in named(root / place, kind)
        ]
        if not any(inside.any_pictures for _, _, inside in shelves):
            continue  # no domain, but a folder of something else
        for kind, folder, inside in shelves:
            said = held.setdefault(kind, [])
            said += inside.passed_over(folder) or [f"{folder} holds no images"]
            filled |= {kind} if inside.images or inside.broken else set()
    empty = [kind for kind in sorted(held) if kind not in filled]
    if empty and len(empty) < len(held) and not keep_empty:
        raise ValueError(
            f"class '{empty[0]}' has no image that is read in any domain of {root} "
            f"({'; '.join(held[empty[0]][:3])}){f', nor has {empty[1]}' if empty[1:] else ''}: "
            "mend or remove its folders, name the classes to read with classes=, or pass "
            'on_error="skip" to keep its label'
        )
    return tuple(sorted(held))


def _entries(folder: Path) -> Sequence[os.DirEntry]:
    if not _is_folder(folder):
        return []
    with os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:
        return False


def _kind(entry: os.DirEntry) -> str:
    """What an entry is: a file, a folder, gone (a link to nothing), a loop (to itself), other."""
    try:
        if entry.is_dir():
            return "folder"
        if entry.is_file():
            return "file"
        return "gone" if entry.is_symlink() else "other"
    except OSError:  # what Linux says of a link to itself; a file that may not be read is a file
        return "loop" if entry.is_symlink() else "file"


def _leads_back(entry: os.DirEntry) -> bool:
    """Whether it is a link to a folder that holds the link."""
    if not entry.is_symlink():
        return False
    holder = Path(entry.path).parent.resolve()
    return holder.is_relative_to(Path(entry.path).resolve())


def _holds_pictures(folder: Path) -> bool:
    return any(
        entry.name.lower().endswith((*SUFFIXES, *UNREAD)) and _kind(entry) == "file"
        for entry in _entries(folder)
    )


def _order(name: str) -> tuple[str, str]:
    return same(name), name
