"""One archive from the first of several mirrors that has it, whole and verified, or not at all.

gdown carries the bytes (Google Drive and plain HTTP alike) and resumes what was cut.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

RETRIES = 4
"""How often a mirror that was cut off is asked again, each time from where it stopped."""

TIMEOUT = (15, 60)
"""Seconds to wait for a connection, and for the next bytes."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SIGNATURES = (b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ")
"""How `.tar.gz`, `.zip` and `.tar.xz` begin."""


class DownloadError(OSError):
    """An archive that could not be had; the message says from where and what to do."""


@dataclass(frozen=True)
class Mirror:
    """A place that has an archive; a Google Drive file is `https://drive.google.com/uc?id=...`."""

    url: str
    # Whether its file must have the archive's hash: of a copy without one the contents are counted.
    verified: bool = True


@dataclass(frozen=True)
class Archive:
    """A file to get."""

    name: str
    bytes: int  # about, for the look at the free space
    mirrors: tuple[Mirror, ...]  # in the order they are tried
    hash: str | None = None  # "md5:..." or "sha256:..."; None where nobody published one

    def also_from(self, urls: Sequence[str]) -> Archive:
        """The same archive with the reader's own mirrors tried first."""
        return replace(self, mirrors=(*(Mirror(url) for url in urls), *self.mirrors))


def fetch(archive: Archive, folder: Path, *, progress: bool = True) -> Path:
    """Get an archive, or take the one that is there.

    Parts of a broken download stay in the folder and are carried on by the next call. What is
    returned has the known hash, and under its name nothing half-written ever lies.

    Raises:
        DownloadError: if no mirror has it, or the disk is too small; the message names every
            mirror tried and how to place the file by hand.
        OSError: if the disk fills on the way.
    """
    import gdown

    folder.mkdir(parents=True, exist_ok=True)
    final = folder / archive.name
    if final.exists():
        _check_placed(archive, final)
        return final
    left = [_parts(_partial(archive, mirror, folder)) for mirror in archive.mirrors]
    present = next((sum(part.stat().st_size for part in parts) for parts in left if parts), 0)
    check_space(folder, archive.bytes - present, f"download {archive.name}")
    tried = ""
    for mirror in archive.mirrors:
        try:
            os.replace(_carry(archive, mirror, folder, progress), final)
            return final
        except (OSError, ValueError, DownloadError, gdown.exceptions.DownloadError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise
            lines = str(error).strip().splitlines() or [type(error).__name__]
            tried += f"\n  {mirror.url}\n    {lines[0].strip().rstrip('.:')}"
    known = f", {archive.hash}" if archive.hash else ""
    raise DownloadError(
        f"{archive.name} could not be had from any of {len(archive.mirrors)} mirrors:{tried}\n"
        f"Get it in any other way ({_size(archive.bytes)}{known}), put it at\n  {final}\n"
        "and run the same again: it is verified and used. A copy elsewhere on the net can be given "
        "with --mirror URL."
    )


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{_size(needed)} are needed in {folder} to {purpose} and {_size(free)} are free; free "
            "some, or choose another folder with --root"
        )


def hash_of(path: Path, kind: str) -> str:
    """A file's hash, as `Archive.hash` is written."""
    with open(path, "rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _check_placed(archive: Archive, final: Path) -> None:
    """Look at the file that somebody, or an earlier run, put there."""
    found = archive.hash and hash_of(final, archive.hash.partition(":")[0])
    if found == archive.hash:
        return
    if all(mirror.verified for mirror in archive.mirrors):
        raise DownloadError(
            f"{final} is there but is not the archive expected ({found}, expected {archive.hash}); "
            "delete it or move it away and run the same again"
        )
    # A copy of which no hash is known may stand here on purpose: it is counted after unpacking.
    print(f"{final} has {found}, not {archive.hash}: its files will be counted", file=sys.stderr)


def _carry(archive: Archive, mirror: Mirror, folder: Path, progress: bool) -> Path:
    """Bring a file from one mirror; what an earlier, broken attempt left is carried on."""
    import gdown

    partial = _partial(archive, mirror, folder)
    carried_on = bool(_parts(partial))
    options = {"use_cookies": False, "resume": True, "timeout": TIMEOUT, "retries": RETRIES}
    for last in (False, True):
        try:
            gdown.download(mirror.url, str(partial), not progress, **options)
            _check(partial, archive.hash if mirror.verified else None)
            break
        except (DownloadError, gdown.exceptions.DownloadError) as error:
            # The server cannot carry on, or the file has changed there since: once more from the
            # start.
            changed = carried_on and "another hash" in str(error)
            if last or not (changed or "byte range" in str(error)):
                raise
            for part in _parts(partial):
                part.unlink()
    return partial


def _check(path: Path, known: str | None) -> None:
    """Delete and refuse what is no archive, or another one."""
    with open(path, "rb") as file:
        head = file.read(512)
    if not head.startswith(SIGNATURES):
        page = b"<html" in head.lower() or b"<!doctype" in head.lower()
        wrong = "it sent a web page instead of the archive (a quota, a login or a moved file)"
        wrong = wrong if page else "what it sent is no archive"
    elif known and hash_of(path, known.partition(":")[0]) != known:
        wrong = "what it sent has another hash than the archive"
    else:
        return
    path.unlink()
    raise DownloadError(wrong)


def _partial(archive: Archive, mirror: Mirror, folder: Path) -> Path:
    # A name for each mirror, so that one's bytes are never carried on with another's.
    mark = hashlib.sha256(mirror.url.encode()).hexdigest()[:8]
    return folder / f"{archive.name}.from-{mark}"


def _parts(partial: Path) -> list[Path]:
    return list(partial.parent.glob(f"{partial.name}*.part"))


def _size(count: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
