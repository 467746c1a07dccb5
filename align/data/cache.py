"""Decoded pixels kept on disk: packed once, keyed by content, memory-mapped afterwards.

A pack holds one domain at one size. Its file is the pixels, then a JSON footer, then the footer's
length and a magic word; the pixels come first so that they can be mapped as they are. Packs are
written under a temporary name and renamed when whole, so a file under its final name is complete.
The folder may be deleted at any time: packs are made again when they are needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from tqdm.auto import tqdm

from .decoding import UnreadableImageError

# Raised whenever the layout of a pack, or the way pixels are decoded, changes.
FORMAT_VERSION = 2
MAGIC = b"ALIGNPCK"
ABANDONED_AFTER_SECONDS = 24 * 3600
# Images decoded ahead of the disk at most, so that they do not pile up in memory.
BLOCK = 256

# Every position with its pixels, or with the reason why it has none, in order.
Rows = Generator[tuple[int, np.ndarray | str], None, None]


@dataclass(frozen=True, eq=False)
class Pack:
    """Decoded images, and which of the files could not be decoded.

    Args:
        pixels: uint8 `(n, channels, size, size)`, a copy-on-write memory map where the cache could
            be written: reading touches only the pages that are indexed.
        failed: `(index, reason)` of every file left out, by its position among all files.
    """

    pixels: np.ndarray
    failed: tuple[tuple[int, str], ...]


def cache_dir(folder: str | Path | None = None) -> Path:
    """Where packs are kept.

    Args:
        folder: a folder to use; None means `$ALIGN_CACHE`, else the user's cache folder
            (`~/.cache/align` on Linux).
    """
    if folder := folder or os.environ.get("ALIGN_CACHE"):
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache("align"))


def digest_files(base: Path, files: Sequence[str], folder: Path) -> list[str]:
    """Digests of the files' bytes, read again only where a file was touched.

    A memo in the cache folder holds each file's size, times and digest. A file changed within the
    last two seconds is not noted: it could change again without a change of its times.

    Returns:
        One hexadecimal digest a file, in the order of `files`.
    """
    base = base.resolve()
    memo_file = folder / f"{_hash(str(base))}.digests.json"
    memo = _read_memo(memo_file)
    now = time.time_ns()

    def digest(name: str) -> tuple[list[int], str]:
        stat = os.stat(base / name)
        stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        if name in memo and memo[name][0] == stamp:
            return stamp, memo[name][1]
        with open(base / name, "rb") as file:
            return stamp, hashlib.file_digest(file, _blake2b).hexdigest()

    with ThreadPoolExecutor(_threads()) as pool:
        found = dict(zip(files, pool.map(digest, files), strict=True))
    settled = {k: v for k, v in found.items() if max(v[0][1:]) < now - 2_000_000_000}
    if any(memo.get(name) != entry for name, entry in settled.items()):
        _write_memo(memo_file, memo | settled)
    return [found[name][1] for name in files]


def pack(
    key: Sequence[object],
    count: int,
    shape: tuple[int, int, int],
    decode: Callable[[int], np.ndarray],
    folder: Path,
    *,
    description: str = "packing",
    progress: bool = True,
) -> Pack:
    """Return the pack for a key, decoding only if the cache does not hold it.

    Several processes may pack the same key at once: each writes its own temporary file, and the
    last rename wins with the same content. Where the cache folder cannot be written, the pixels
    are kept in memory and a RuntimeWarning names the folder.

    Args:
        key: all that the pixels depend on (contents, size, rules), in a form that `repr` tells
            apart; this format's version is added.
        count: the number of files.
        shape: `(channels, size, size)` of one decoded file.
        decode: from a position to uint8 pixels of that shape; raises `UnreadableImageError` for a
            file that is to be left out.
        folder: the cache folder.
        description: the progress bar's label.
        progress: whether to show a progress bar.

    Returns:
        The pack; `len(pixels) + len(failed) == count`.
    """
    name = _hash(repr((FORMAT_VERSION, tuple(key), count, shape)))
    path = folder / f"{name}.pack"
    if (found := _open(path, count, shape)) is not None:
        return found
    bar = tqdm(total=count, desc=description, unit=" images", disable=not progress)
    with bar:
        rows = _rows(decode, count, bar)
        try:
            _write(path, rows, shape)
        except OSError as error:
            warnings.warn(
                f"the cache folder {folder} cannot be written ({error}): the images are kept in "
                "memory and decoded again next time; set ALIGN_CACHE to a folder with free space",
                RuntimeWarning,
                stacklevel=2,
            )
            rows.close()
            bar.reset()
            return _in_memory(_rows(decode, count, bar), shape)
    if (found := _open(path, count, shape)) is None:
        raise OSError(f"the pack {path} was written but cannot be read back: check the disk")
    return found


def _rows(decode: Callable[[int], np.ndarray], count: int, bar: tqdm) -> Rows:
    def attempt(index: int) -> np.ndarray | str:
        try:
            return decode(index)
        except UnreadableImageError as error:
            return str(error)
        except OSError as error:
            # The disk or the network failed, not the image: nothing to remember in a pack.
            raise RuntimeError(f"reading stopped: {error}") from error

    with ThreadPoolExecutor(_threads()) as pool:
        for start in range(0, count, BLOCK):
            block = range(start, min(start + BLOCK, count))
            for index, row in zip(block, pool.map(attempt, block), strict=True):
                bar.update()
                yield index, row


def _write(path: Path, rows: Rows, shape: tuple) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path.parent)
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            _write_rows(file, rows, shape)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.replace(temporary, path)
        except PermissionError:
            # Windows refuses to replace a file that another process has mapped; it is the same.
            if not path.exists():
                raise
    finally:
        temporary.unlink(missing_ok=True)


def _write_rows(file: BinaryIO, rows: Rows, shape: tuple) -> None:
    failed = []
    written = 0
    for index, row in rows:
        if isinstance(row, str):
            failed.append((index, row))
        else:
            file.write(np.ascontiguousarray(row).data)
            written += 1
    footer = {"version": FORMAT_VERSION, "count": written, "shape": shape, "failed": failed}
    encoded = json.dumps(footer).encode()
    file.write(encoded + len(encoded).to_bytes(8, "little") + MAGIC)


def _open(path: Path, count: int, shape: tuple[int, int, int]) -> Pack | None:
    """Map a pack; None where there is none or where it is not what it should be."""
    try:
        with open(path, "rb") as file:
            file.seek(-16, os.SEEK_END)
            tail = file.read(16)
            length = int.from_bytes(tail[:8], "little")
            total = file.tell()
            if tail[8:] != MAGIC or length > total - 16:
                return None
            file.seek(-16 - length, os.SEEK_END)
            footer = json.loads(file.read(length))
        written, failed = footer["count"], footer["failed"]
        fits = (
            footer["version"] == FORMAT_VERSION
            and tuple(footer["shape"]) == shape
            and written + len(failed) == count
            and total == written * int(np.prod(shape)) + length + 16
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not fits:
        return None
    if written == 0:
        pixels = np.zeros((0, *shape), np.uint8)
    else:
        pixels = np.memmap(path, np.uint8, mode="c", shape=(written, *shape))
    return Pack(pixels, tuple((index, reason) for index, reason in failed))


def _in_memory(rows: Rows, shape: tuple) -> Pack:
    good, failed = [], []
    for index, row in rows:
        if isinstance(row, str):
            failed.append((index, row))
        else:
            good.append(row)
    return Pack(np.stack(good) if good else np.zeros((0, *shape), np.uint8), tuple(failed))


def _remove_abandoned(folder: Path) -> None:
    """Delete what killed processes left behind: temporary files that nobody wrote for a day."""
    for leftover in folder.glob("*.tmp"):
        try:
            if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                leftover.unlink()
        except FileNotFoundError:
            pass  # another process was faster


def _read_memo(path: Path) -> dict[str, tuple[list[int], str]]:
    try:
        entries = json.loads(path.read_text())
        return {name: (list(stamp), str(digest)) for name, (stamp, digest) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_memo(path: Path, memo: dict[str, tuple[list[int], str]]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(memo))
        os.replace(temporary, path)
    except OSError:
        pass  # without the memo the bytes are read again next time, nothing else
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _hash(text: str) -> str:
    return _blake2b(text.encode(errors="surrogateescape")).hexdigest()


def _blake2b(data: bytes = b""):
    return hashlib.blake2b(data, digest_size=20)


def _threads() -> int:
    return min(8, os.cpu_count() or 1)
