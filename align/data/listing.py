"""What lies in a folder of a tree: pictures, folders, and what is passed over, in words.

Names are compared as people read them: a letter with its accent may be stored as one sign or as two
(macOS and Linux differ), and is one name here. Names that begin with a dot are passed over.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from align.files import same

from .decoding import SUFFIXES

UNREAD = (
    *(".apng", ".avif", ".bmp", ".cr2", ".dng", ".gif", ".heic", ".heif", ".j2k", ".jfif", ".jp2"),
    *(".jpe", ".jxl", ".nef", ".npy", ".pbm", ".pgm", ".ppm", ".raw", ".svg", ".tga", ".tif"),
    *(".tiff", ".webp"),
)
"""Suffixes of pictures that are not read."""


@dataclass
class Contents:
    """What a folder of pictures holds, names sorted."""

    images: list[str] = field(default_factory=list)  # .jpg, .jpeg or .png, in any case
    unread: Counter[str] = field(default_factory=Counter)  # of other types, by suffix
    broken: list[str] = field(default_factory=list)  # links to pictures that are not there
    loops: list[str] = field(default_factory=list)  # links to themselves
    deeper: list[str] = field(default_factory=list)  # folders that hold pictures of any type

    def passed_over(self, place: str) -> list[str]:
        """In words, what is not read although it looks like pictures."""
        notes = []
        if self.unread:
            types = ", ".join(
                f"{number:,} {suffix}" for suffix, number in sorted(self.unread.items())
            )
            notes.append(f"{place} holds files of types that are not read ({types})")
        if self.deeper:
            more = f" and {len(self.deeper) - 1} more" if self.deeper[1:] else ""
            notes.append(
                f"pictures lie one folder deeper than they are read, in {place}/{self.deeper[0]}"
                f"{more}"
            )
        return notes + [f"{place}/{name} is a link to itself" for name in self.loops]


# Class folders below the root, with their labels and what they hold.
Shelves = Sequence[tuple[str, int, Contents]]


def contents(folder: Path) -> Contents:
    """Look through a folder of pictures."""
    held = Contents()
    for name, kind in _entries(folder):
        suffix = Path(name).suffix.lower()
        if kind == "folder":
            inside = _entries(folder / name)
            if any(k == "file" and n.lower().endswith((*SUFFIXES, *UNREAD)) for n, k in inside):
                held.deeper.append(name)
        elif suffix in SUFFIXES:
            lists = {"file": held.images, "loop": held.loops, "gone": held.broken}
            lists.get(kind, []).append(name)
        elif suffix in UNREAD and kind in ("file", "gone"):
            held.unread[suffix] += 1
    return held


def list_folders(folder: Path) -> tuple[str, ...]:
    """The names of the folders in a folder, in composed form, sorted and each once.

    Links to folders that are not there are among them, links to a folder around them are not.
    """
    found = {
        same(name)
        for name, kind in _entries(folder)
        if kind == "folder" or (kind == "gone" and not re.search(r"\.\w{1,5}$", name))
    }
    return tuple(sorted(found))


def named(folder: Path, name: str) -> list[str]:
    """The spellings on disk of a folder's name; the name itself where there is none."""
    wanted = same(name)
    found = [n for n, kind in _entries(folder) if kind == "folder" and same(n) == wanted]
    return found or [name]


def shelves(root: Path, domain: str, classes: Sequence[str]) -> Shelves:
    """Each class's folder in a domain, in all spellings of both names."""
    return [
        (f"{place}/{folder}", label, contents(root / place / folder))
        for place in named(root, domain)
        for label, kind in enumerate(classes)
        for folder in named(root / place, kind)
    ]


def passed_over(root: Path, domain: str, held: Shelves) -> list[str]:
    """In words, what a domain's folders hold and what is not read of it."""
    notes = [words for place, _, inside in held for words in inside.passed_over(place)]
    for place in named(root, domain):
        notes += astray(root / place, f"{place}/")
        if count := len(contents(root / place).images):
            notes.append(f"{count:,} images in {place} itself belong to no class")
    return notes


def instead(root: Path, domains: Sequence[str]) -> list[str]:
    """In words, what is there where no image is read."""
    notes = []
    for domain in domains:
        kinds = {kind for place in named(root, domain) for kind in list_folders(root / place)}
        notes += passed_over(root, domain, shelves(root, domain, sorted(kinds)))
    return notes


def astray(folder: Path, place: str = "") -> list[str]:
    """In words, the links in a folder that lead nowhere or back to it."""
    notes = []
    for name, kind in _entries(folder):
        if kind == "loop":
            notes.append(f"{place}{name} is a link to itself or to a folder around it")
        elif kind == "gone" and Path(name).suffix.lower() not in (*SUFFIXES, *UNREAD):
            notes.append(f"{place}{name} is a link to what is not there")
    return notes


def domains_of(root: Path, masks: str | Path | None) -> tuple[str, ...]:
    """The folders of a tree's root, but for that of the masks."""
    folder = None if masks is None else Path(masks).expanduser().resolve()
    return tuple(
        name
        for name in list_folders(root)
        if all((root / spelled).resolve() != folder for spelled in named(root, name))
    )


def classes_of(root: Path, domains: Sequence[str], keep_empty: bool) -> tuple[str, ...]:
    """All class folders of the domains that hold pictures: an empty one keeps its label too.

    Raises:
        ValueError: if such a class is there and may not be.
    """
    empty: dict[str, list[str]] = {}
    filled: set[str] = set()
    for domain in domains:
        places = named(root, domain)
        kinds = sorted({kind for place in places for kind in list_folders(root / place)})
        held = shelves(root, domain, kinds)
        if not any(inside.images or inside.unread or inside.broken for _, _, inside in held):
            continue  # no domain, but a folder of something else
        for place, label, inside in held:
            notes = empty.setdefault(kinds[label], [])
            notes += inside.passed_over(place) or [f"{place} holds no images"]
            filled |= {kinds[label]} if inside.images or inside.broken else set()
    bare = sorted(empty.keys() - filled)
    if bare and filled and not keep_empty:
        raise ValueError(
            f"class '{bare[0]}' has no image that is read in any domain of {root} "
            f"({'; '.join(empty[bare[0]][:3])}){f', nor has {bare[1]}' if bare[1:] else ''}: "
            "mend or remove its folders, name the classes to read with classes=, or pass "
            'on_error="skip" to keep its label'
        )
    return tuple(sorted(empty))


def _entries(folder: Path) -> list[tuple[str, str]]:
    """Names in a folder, sorted as people read them, and what each is; none if it is no folder."""
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        found = [(entry.name, _kind(entry)) for entry in entries if entry.name[0] != "."]
    return sorted(found, key=lambda one: (same(one[0]), one[0]))


def _kind(entry: os.DirEntry) -> str:
    """A file, a folder, gone (a link to nothing), a loop (to itself or around it), or other."""
    try:
        if entry.is_dir():
            back = entry.is_symlink() and Path(entry.path).parent.resolve().is_relative_to(
                Path(entry.path).resolve()
            )
            return "loop" if back else "folder"
        if entry.is_file():
            return "file"
        return "gone" if entry.is_symlink() else "other"
    except OSError:  # what Linux says of a link to itself; a file that may not be read is a file
        return "loop" if entry.is_symlink() else "file"
