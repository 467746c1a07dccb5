"""One archive from the first of several mirrors that has it, whole and verified, or not at all.

gdown carries the bytes (Google Drive and plain HTTP alike) and resumes what was cut; pooch
checks the hash and gives the file its final name.
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


class DownloadError(RuntimeError):
    """An archive that could not be had; the message says from where and what to do."""


@dataclass(frozen=True)
class Mirror:
    """A place that has an archive.

    Args:
        url: `https://...`; a Google Drive file is `https://drive.google.com/uc?id=...`.
        verified: whether its file must have the archive's hash. False is for a copy of which
            nobody stated one: what it unpacks to is counted instead.
    """

    url: str
    verified: bool = True


@dataclass(frozen=True)
class Archive:
    """A file to get.

    Args:
        name: its file name.
        bytes: about how large it is, for the look at the free space.
        mirrors: where it is, in the order they are tried.
        hash: `"md5:..."` or `"sha256:..."`; None where nobody published one.
    """

    name: str
    bytes: int
    mirrors: tuple[Mirror, ...]
    hash: str | None = None

    def also_from(self, urls: Sequence[str]) -> Archive:
        """The same archive with the reader's own mirrors tried first."""
        return replace(self, mirrors=(*(Mirror(url) for url in urls), *self.mirrors))


def fetch(archive: Archive, folder: Path, *, progress: bool = True) -> Path:
    """Get an archive, or take the one that is there.

    Args:
        archive: what to get.
        folder: where it goes; made if it is not there. Parts of a broken download stay in it and
            are carried on by the next call.
        progress: show a progress bar.

    Returns:
        The file's path. It has the known hash, and under its name nothing half-written ever lies.

    Raises:
        DownloadError: if no mirror has it, or the disk is too small; the message names every
            mirror tried and how to place the file by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    final = folder / archive.name
    if final.exists():
        return _placed(archive, final)
    _remove_strays(folder)
    check_space(folder, archive.bytes - _present(archive, folder), f"download {archive.name}")
    tried = []
    for mirror in archive.mirrors:
        try:
            return _from_mirror(archive, mirror, folder, progress)
        except OSError as error:
            if error.errno in FULL:
                raise DownloadError(
                    f"the disk of {folder} is full ({error.strerror}); free about "
                    f"{_size(archive.bytes)} and run the same again, it carries on where it stopped"
                ) from error
            tried.append((mirror.url, _reason(error)))
        except (ValueError, DownloadError) as error:
            tried.append((mirror.url, _reason(error)))
    raise DownloadError(_nowhere(archive, final, tried))


def check_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        DownloadError: if fewer bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DownloadError(
            f"{_size(needed)} are needed in {folder} to {purpose} and {_size(free)} are free; free "
            "some, or choose another folder with --root"
        )


def _placed(archive: Archive, final: Path) -> Path:
    """The file that somebody, or an earlier run, put there."""
    import pooch

    if archive.hash is None:
        return final
    kind, _, expected = archive.hash.partition(":")
    found = pooch.file_hash(str(final), alg=kind)
    if found != expected:
        # A copy of which no hash is known may stand here on purpose: it is counted after unpacking.
        if any(not mirror.verified for mirror in archive.mirrors):
            print(
                f"{final} has the {kind} {found}, not {expected}: its files will be counted",
                file=sys.stderr,
            )
            return final
        raise DownloadError(
            f"{final} is there but is not the archive expected ({kind} {found}, expected "
            f"{expected}); delete it or move it away and run the same again"
        )
    return final


def _from_mirror(archive: Archive, mirror: Mirror, folder: Path, progress: bool) -> Path:
    import pooch

    pooch.get_logger().setLevel("ERROR")
    partial = _partial(archive, mirror, folder)
    carried_on = bool(_parts(partial))

    def carry(url: str, target: str, _: object) -> None:
        os.replace(_carry(url, partial, progress), target)

    known = archive.hash if mirror.verified else None
    try:
        found = pooch.retrieve(mirror.url, known, archive.name, folder, downloader=carry)
    except ValueError as error:
        if "hash of downloaded file" in str(error):
            if carried_on:  # of a file that may have changed there since: once more from the start
                return _from_mirror(archive, mirror, folder, progress)
            raise DownloadError("what it sent has another hash than the archive") from error
        raise
    return Path(found)


def _carry(url: str, partial: Path, progress: bool) -> Path:
    """Bring a file to this disk; what an earlier, broken attempt left is carried on."""
    import gdown

    options = {
        "url": url,
        "output": str(partial),
        "quiet": not progress,
        "use_cookies": False,
        "resume": True,
        "timeout": TIMEOUT,
        "retries": RETRIES,
    }
    try:
        gdown.download(**options)
    except gdown.exceptions.DownloadError as error:
        if "byte range" not in str(error):
            raise DownloadError(str(error)) from error
        # The server cannot carry on (or the file has changed there): once more from the start.
        for left in _parts(partial):
            left.unlink()
        try:
            gdown.download(**options)
        except gdown.exceptions.DownloadError as again:
            raise DownloadError(str(again)) from again
    _check_signature(partial)
    return partial


def _check_signature(path: Path) -> None:
    with open(path, "rb") as file:
        head = file.read(512)
    if head.startswith(SIGNATURES):
        return
    path.unlink()
    if b"<html" in head.lower() or b"<!doctype" in head.lower():
        raise DownloadError(
            "it sent a web page instead of the archive (a quota, a login or a moved file)"
        )
    raise DownloadError("what it sent is no archive")


def _partial(archive: Archive, mirror: Mirror, folder: Path) -> Path:
    # A name for each mirror, so that one's bytes are never carried on with another's.
    mark = hashlib.sha256(mirror.url.encode()).hexdigest()[:8]
    return folder / f"{archive.name}.from-{mark}"


def _parts(partial: Path) -> list[Path]:
    return list(partial.parent.glob(f"{partial.name}*.part"))


def _present(archive: Archive, folder: Path) -> int:
    """Bytes of the broken download that will be carried on first."""
    for mirror in archive.mirrors:
        if parts := _parts(_partial(archive, mirror, folder)):
            return sum(part.stat().st_size for part in parts)
    return 0


def _remove_strays(folder: Path) -> None:
    """Delete what a process left that was killed while its file was being verified."""
    for stray in folder.glob("tmp*"):
        if stray.is_file():
            stray.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".:")


def _nowhere(archive: Archive, final: Path, tried: Sequence[tuple[str, str]]) -> str:
    known = f", {archive.hash.replace(':', ' ')}" if archive.hash else ""
    mirrors = "\n".join(f"  {url}\n    {reason}" for url, reason in tried)
    return (
        f"{archive.name} could not be had from any of {len(tried)} mirrors:\n{mirrors}\n"
        f"Get it in any other way ({_size(archive.bytes)}{known}), put it at\n  {final}\n"
        "and run the same again: it is verified and used. A copy elsewhere on the net can be given "
        "with --mirror URL."
    )


def _size(count: int) -> str:
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"
