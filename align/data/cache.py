"""Decoded pixels kept on disk: packed once, keyed by content, memory-mapped afterwards.

A pack holds one domain at one size. Its file is the pixels, then a JSON footer, then the footer's
length and a magic word; the pixels come first so that they can be mapped as they are. Files are
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
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from .decoding import UnreadableImageError

# Raised whenever the layout of a pack, or the way pixels are decoded, changes.
FORMAT_VERSION = 2
MAGIC = b"ALIGNPCK"
ABANDONED_AFTER_SECONDS = 24 * 3600
# Images decoded ahead of the disk at most, so that they do not pile up in memory.
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Pack:
    """Decoded images, uint8 `(n, channels, size, size)`, and `(index, reason)` of files left out.

    The pixels are a copy-on-write memory map where the cache could be written: reading touches only
    the pages that are indexed.
    """

    pixels: np.ndarray
    failed: tuple[tuple[int, str], ...]


def cache_dir(folder: str | Path | None = None) -> Path:
    """Where packs are kept: `folder`, `$ALIGN_CACHE`, or the user's cache (`~/.cache/align`)."""
    if folder := folder or os.environ.get("ALIGN_CACHE"):
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache("align"))


def digest_files(base: Path, files: Sequence[str], folder: Path) -> list[str]:
    """Hexadecimal digests of the files' bytes, in order, read again only where a file was touched.

    A memo in the cache folder holds each file's size, times and digest. A file changed within the
    last two seconds is not noted: it could change again without a change of its times.
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
        # Without the memo the bytes are read again next time, nothing else.
        with suppress(OSError), _replacing(memo_file) as temporary:
            temporary.write_text(json.dumps(memo | settled))
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
        count: the number of files; `len(pixels) + len(failed)` is the same.
        shape: `(channels, size, size)` of one decoded file.
        decode: from a position to uint8 pixels of that shape; raises `UnreadableImageError` for a
            file that is to be left out.
        folder: the cache folder.
        description: the progress bar's label.
        progress: whether to show a progress bar.
    """
    name = _hash(repr((FORMAT_VERSION, tuple(key), count, shape)))
    path = folder / f"{name}.pack"
    if (found := _open(path, count, shape)) is not None:
        return found
    with tqdm(total=count, desc=description, unit=" images", disable=not progress) as bar:
        failed: list[tuple[int, str]] = []
        rows = _rows(decode, count, bar, failed)
        try:
            _write(path, rows, shape, failed)
        except OSError as error:
            warnings.warn(
                f"the cache folder {folder} cannot be written ({error}): the images are kept in "
                "memory and decoded again next time; set ALIGN_CACHE to a folder with free space",
                RuntimeWarning,
                stacklevel=2,
            )
            rows.close()
            bar.reset()
            failed.clear()
            good = list(_rows(decode, count, bar, failed))
            return Pack(np.stack(good) if good else np.zeros((0, *shape), np.uint8), tuple(failed))
    if (found := _open(path, count, shape)) is None:
        raise OSError(f"the pack {path} was written but cannot be read back: check the disk")
    return found


def _rows(
    decode: Callable[[int], np.ndarray], count: int, bar: tqdm, failed: list[tuple[int, str]]
) -> Generator[np.ndarray, None, None]:
    """The pixels of every file that can be decoded, in order; the others go to `failed`."""

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
                if isinstance(row, str):
                    failed.append((index, row))
                else:
                    yield row


def _write(
    path: Path, rows: Iterable[np.ndarray], shape: tuple, failed: list[tuple[int, str]]
) -> None:
    with _replacing(path) as temporary:
        _remove_abandoned(path.parent)
        with open(temporary, "xb") as file:
            written = 0
            for row in rows:
                file.write(np.ascontiguousarray(row).data)
                written += 1
            footer = {"version": FORMAT_VERSION, "count": written, "shape": shape, "failed": failed}
            encoded = json.dumps(footer).encode()
            file.write(encoded + len(encoded).to_bytes(8, "little") + MAGIC)
            file.flush()
            os.fsync(file.fileno())


def _open(path: Path, count: int, shape: tuple[int, int, int]) -> Pack | None:
    """Map a pack; None where there is none or where it is not what it should be."""
    try:
        with open(path, "rb") as file:
            total = file.seek(-16, os.SEEK_END) + 16
            length, magic = int.from_bytes(file.read(8), "little"), file.read(8)
            if magic != MAGIC or length > total - 16:
                return None
            file.seek(total - 16 - length)
            footer = json.loads(file.read(length))
        written, failed = footer["count"], tuple((i, reason) for i, reason in footer["failed"])
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
    if not written:  # nothing to map
        return Pack(np.zeros((0, *shape), np.uint8), failed)
    return Pack(np.memmap(path, np.uint8, mode="c", shape=(written, *shape)), failed)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A temporary path that takes a file's place when all is written; its folder is made."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        try:
            os.replace(temporary, path)
        except PermissionError:
            # Windows refuses to replace a file that another process has mapped; it is the same.
            if not path.exists():
                raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Delete what killed processes left behind: temporary files that nobody wrote for a day."""
    for leftover in folder.glob("*.tmp"):
        with suppress(FileNotFoundError):  # another process was faster
            if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER_SECONDS:
                leftover.unlink()


def _read_memo(path: Path) -> dict[str, tuple[list[int], str]]:
    try:
        entries = json.loads(path.read_text())
        return {name: (list(stamp), str(digest)) for name, (stamp, digest) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _hash(text: str) -> str:
    return _blake2b(text.encode(errors="surrogateescape")).hexdigest()


def _blake2b(data: bytes = b""):
    return hashlib.blake2b(data, digest_size=20)


def _threads() -> int:
    return min(8, os.cpu_count() or 1)
