"""Unpacking archives from the network: only plain files, only below one folder, within bounds."""

from __future__ import annotations

import errno
import gzip
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

CHUNK = 1 << 20
DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    # What broken numbers and names in a header lead to; RuntimeError is zipfile's word for
    # encrypted files and unknown compressions.
    *(EOFError, RuntimeError, struct.error, OverflowError, ValueError, OSError),
    *(TypeError, LookupError, AttributeError),
)


class ArchiveError(ValueError):
    """An archive that is damaged, or that holds what a data set has no use for."""


@dataclass(frozen=True)
class Bounds:
    """How much an archive may hold: entries of any kind, and bytes of all files, unpacked."""

    files: int = 1_000_000
    bytes: int = 40 * 10**9


BOUNDS = Bounds()


def unpack(
    archive: Path,
    folder: Path,
    place: Callable[[str], Sequence[str]] = lambda name: (name,),
    bounds: Bounds = BOUNDS,
) -> list[str]:
    """Write an archive's files below a folder.

    Refused are absolute names, `..`, links, devices, names that stand twice, and more files or
    bytes than the bounds allow. What was written before the refusal stays: unpack into a folder
    that is thrown away on failure.

    Args:
        archive: a `.tar`, `.tar.gz`, `.tar.xz` or `.zip` file, told apart by content.
        folder: an existing folder.
        place: from a file's name in the archive to the names it gets below the folder.
        bounds: how much the archive may hold.

    Returns:
        The names written, relative to the folder.
    """
    written: list[str] = []
    with damage_told(archive):
        for name, content in entries(archive, bounds):
            paths = [folder / safe_name(target, archive) for target in place(name)]
            for number, path in enumerate(paths):
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.exists():
                    raise _refused(archive, f"holds '{name}' twice")
                if number:  # a stream is read only once
                    shutil.copyfile(paths[0], path)
                    continue
                with open(path, "xb") as file:
                    shutil.copyfileobj(content, file, CHUNK)
            written += [path.relative_to(folder).as_posix() for path in paths]
    return written


def entries(archive: Path, bounds: Bounds = BOUNDS) -> Iterator[tuple[str, BinaryIO]]:
    """`(name, content)` of every plain file, in order; read one before the next is asked for."""
    count = total = 0
    with damage_told(archive):
        for name, size, content in _raw_entries(archive):
            count, total = count + 1, total + size
            if count > bounds.files or total > bounds.bytes:
                raise _refused(
                    archive,
                    f"unpacks to more than {bounds.files:,} files or {bounds.bytes:,} bytes, which "
                    "this data set does not have",
                )
            if content is not None:
                yield safe_name(name, archive), content


def safe_name(name: str, archive: Path) -> str:
    """A name that stays below the folder it is joined to, on every system."""
    path = PurePosixPath(name)
    bad = any(ord(letter) < 32 or letter in "\\:" for letter in name)
    if bad or path.is_absolute() or ".." in path.parts or not path.parts:
        raise _refused(
            archive,
            f"holds a file named {name!r}, which points outside the folder it is unpacked into",
        )
    return str(path)


@contextmanager
def damage_told(archive: Path) -> Iterator[None]:
    """Turn the many errors of a damaged archive into one sentence."""
    try:
        yield
    except ArchiveError:
        raise
    except DAMAGE as error:
        # Of the system's own errors only "invalid argument" is the archive's fault: a bad offset.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise ArchiveError(
            f"{archive} is damaged or no archive ({error}); delete it and get it again"
        ) from error


def _raw_entries(archive: Path) -> Iterator[tuple[str, int, BinaryIO | None]]:
    """`(name, bytes, content)` of every entry; the content of a folder is None."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for member in file.infolist():
                if member.external_attr >> 28 not in (0, 0o4, 0o10):  # unknown, folder, plain file
                    raise _not_plain(archive, member.filename)
                if member.is_dir():
                    yield member.filename, 0, None
                    continue
                # Reading stops with an error at the size that the entry claims to have.
                with file.open(member) as content:
                    yield member.filename, member.file_size, content
        return
    with tarfile.open(archive, "r|*") as file:
        for member in file:
            plain = member.isreg() and not member.issparse()
            if not plain and not member.isdir():
                raise _not_plain(archive, member.name)
            yield member.name, member.size, file.extractfile(member)


def _not_plain(archive: Path, name: str) -> ArchiveError:
    return _refused(archive, f"holds '{name}', a link or device where only plain files belong")


def _refused(archive: Path, what: str) -> ArchiveError:
    return ArchiveError(
        f"{archive.name} {what}; it is not the archive expected, delete it and get another copy"
    )
