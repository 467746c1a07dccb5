"""Put a benchmark where the readers look for it: download, verify, unpack, count, rename.

All happens in `ROOT/.align-downloads` under a lock; the benchmark's folder appears at the end, in
one step. A folder that is there already is used as it is, and never written to.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from align.checks import check_choice
from align.data.decoding import SUFFIXES
from align.data.layouts import PACS, TERRA, VLCS, WATERBIRDS, Layout, PathLike
from align.data.terra import NOTES, Notes
from align.data.waterbirds_tables import BOXES, METADATA

from . import terra, waterbirds
from .archives import Bounds, unpack
from .download import FULL, Archive, DownloadError, Mirror, check_space, fetch, hash_of
from .manifest import Manifest, describe, differences

WORKSHOP = ".align-downloads"

UNPACKED = {"vlcs": 4_000_000_000, "terra": 3_500_000_000, "waterbirds": 1_000_000_000}
"""Bytes, on the safe side, for the look at the free space: nobody states the sizes."""

VLCS_ARCHIVE = Archive(
    "VLCS.tar.gz",
    UNPACKED["vlcs"],
    (
        Mirror("https://drive.google.com/uc?id=1skwblH1_okBwxWxmRsp9_qi15hyPpxg8"),
        Mirror(
            "https://huggingface.co/datasets/PTeterwak/DomainBed_EasyHard/resolve/main/VLCS.tar.gz"
        ),
        # A reader's copy, from DomainBed's issue 165; nobody stated its hash.
        Mirror("https://drive.google.com/uc?id=1yDuLrJdPSvMbTmpq-7XmwG0HnJengD-T", verified=False),
    ),
    "md5:8870171eba660927d9668f4e515928e4",
)
# Nobody published its hash: it is taken if it unpacks to the known number of pictures.
WATERBIRDS_ARCHIVE = Archive(
    f"{WATERBIRDS.folders[0]}.tar.gz",
    UNPACKED["waterbirds"],
    tuple(
        Mirror(f"https://{place}/dro/{WATERBIRDS.folders[0]}.tar.gz")
        for place in ("nlp.stanford.edu/data", "downloads.cs.stanford.edu/nlp/data")
    ),
)
VERSIONS = {"vlcs": ("domainbed",), "terra": tuple(terra.VERSIONS), "waterbirds": ("1.0",)}
ON_DISK = ("vlcs", "terra", "pacs", "waterbirds")


def get(
    name: str,
    root: PathLike | None = None,
    *,
    version: str | None = None,
    mirrors: Sequence[str] = (),
    keep: bool = False,
    progress: bool = True,
) -> Manifest:
    """Get a benchmark of photographs, or describe the one that is there.

    Args:
        name: "vlcs", "terra" or "waterbirds".
        root: the data folder; None means `$ALIGN_DATA`. The benchmark becomes `root/VLCS`,
            `root/terra_incognita` or `root/waterbird_complete95_forest2water2`.
        version: for "terra" "eccv18" (24,788 images, with boxes; the default) or "lila2021"
            (24,330).
        mirrors: addresses to try before the known ones, for the archive of images.
        keep: keep the archives after unpacking.
        progress: show progress bars.

    Returns:
        What is there now; it is also written to `root/NAME.manifest.json` if it was built now,
        with the hash of an archive of images of which nobody published one.

    Raises:
        ValueError: if an argument is unknown, or an archive is not what it should be.
        DownloadError: if an archive cannot be had or the disk is too small.
        FileNotFoundError: if no data folder is given.
        OSError: if the data folder cannot be written.
    """
    version = _check_request(name, version)
    layout, base = _layout(name), _root(root, name)
    if (installed := _installed(layout, base)) is not None:
        return installed
    workshop = base / WORKSHOP
    try:
        workshop.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the data folder {base} cannot be written ({error.strerror}); choose another with "
            "--root"
        ) from error
    with _alone(workshop):
        if (installed := _installed(layout, base)) is not None:  # another process was faster
            return installed
        partial = workshop / f"{layout.folders[0]}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        try:
            found, archives = _build(layout, version, base, partial, mirrors, progress)
            found.write(base / f"{name}.manifest.json")
            os.replace(partial, base / layout.folders[0])
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise DownloadError(
                f"the disk of {base} is full ({error.strerror}); free some and run the same again: "
                "what was downloaded is kept, and it carries on where it stopped"
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        if not keep:
            for archive in archives:
                archive.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: a broken download of the other benchmark
                workshop.rmdir()
    return found


@dataclass(frozen=True)
class Finding:
    """What is there of a benchmark; in sentences what it lacks or how to get it; and remarks."""

    name: str
    manifest: Manifest | None
    notes: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def survey(
    names: Sequence[str] = ON_DISK,
    root: PathLike | None = None,
    *,
    fingerprint: bool = True,
) -> list[Finding]:
    """Look for benchmarks in a data folder; nothing is written to it.

    Args:
        names: some of `ON_DISK`.
        root: the data folder, or one benchmark's own folder; None means `$ALIGN_DATA`.
        fingerprint: whether to read the images, or only to count them.

    Raises:
        ValueError: if a name is unknown.
        FileNotFoundError: if no data folder is given, or it is not there.
    """
    base = _root(root, "vlcs")
    if not base.is_dir():
        raise FileNotFoundError(
            f"{base} is no folder: give the data folder with --root or ALIGN_DATA; `align data get "
            f"vlcs --root {base}` makes it"
        )
    findings = []
    for name in names:
        layout = _layout(name)
        try:
            found = _describe(layout, layout.find(base), fingerprint)
        except FileNotFoundError as error:
            one = Finding(name, None, (str(error),))
        except ValueError as error:  # it is there and its tables cannot be read
            empty = {domain: dict.fromkeys(row, 0) for domain, row in layout.counts.items()}
            one = Finding(name, Manifest(name, "", empty, ""), (str(error),))
        else:
            one = finding(found, base)
        findings.append(one)
    return findings


def finding(found: Manifest, root: PathLike | None = None) -> Finding:
    """A benchmark on disk beside the published counts, its own manifest and its table of boxes.

    Args:
        found: from `survey`.
        root: the data folder, where a manifest may lie; None means `$ALIGN_DATA`.

    Returns:
        In `notes` one sentence on each thing that it lacks, with what to do behind them, none if
        all is there; in `remarks` what there is of boxes.
    """
    given = root or os.environ.get("ALIGN_DATA")
    layout, notes = _layout(found.name), _lacking(found)
    if notes and layout.table:
        notes += waterbirds.absent(layout.find(root))
    if before := _stored(found.name, Path(given).expanduser()) if given else None:
        notes += [f"since it was built, {one}" for one in differences(found.counts, before.counts)]
        if found.fingerprint not in ("", before.fingerprint):
            notes.append(
                f"{found.name}: the fingerprint is {found.fingerprint} and was "
                f"{before.fingerprint} when it was built: files have changed"
            )
    if notes:
        remedy = layout.remedy.format(root=given or "DIR")
        notes.append(f"it is used as it is; for a whole copy move this one away and {remedy}")
    wrong, remark = waterbirds.boxes(layout.find(root)) if layout.table else ([], "")
    return Finding(found.name, found, (*notes, *wrong), (remark,) if remark else ())


def _build(
    layout: Layout,
    version: str,
    base: Path,
    folder: Path,
    mirrors: Sequence[str],
    progress: bool,
) -> tuple[Manifest, list[Path]]:
    """Fetch the archives, the images' last, and unpack them; what is not whole is refused."""
    workshop, name = base / WORKSHOP, layout.name
    images = {"vlcs": VLCS_ARCHIVE, "terra": terra.IMAGES, "waterbirds": WATERBIRDS_ARCHIVE}[name]
    before = _stored(name, base)
    known = images.hash or (before.archives.get(images.name) if before else None)
    request = replace(images, hash=known).also_from(mirrors)
    needed = UNPACKED[name] + (0 if (workshop / request.name).exists() else request.bytes)
    check_space(workshop, needed, f"get {name}")
    archives, pictures = [], {}
    if name == "terra":
        archives = [fetch(terra.VERSIONS[version].annotations, workshop, progress=progress)]
        pictures = terra.read_annotations(archives[0])
    archives.append(fetch(request, workshop, progress=progress))
    _say(f"unpacking {request.name}", progress)
    folder.mkdir()
    if name == "terra":
        if absent := terra.build(archives[-1], pictures, folder, version):
            _say(f"{len(absent):,} annotated images are not in {request.name} and left out", True)
    else:
        place = _place_vlcs if name == "vlcs" else _place_waterbirds
        unpack(archives[-1], folder, place, Bounds(bytes=4 * UNPACKED[name]))
    lacking = [] if (folder / layout.table).exists() else [f"no {layout.table}"]
    found = None if lacking else replace(_describe(layout, folder), version=version)
    if lacking := lacking or _lacking(found):
        shown = "; ".join(lacking[:4]) + ("; ..." if len(lacking) > 4 else "")
        raise ValueError(
            f"{archives[-1]} unpacks to another set of images than the published one ({shown}); "
            "delete it and give another with --mirror, or unpack it yourself into the data folder, "
            "where it is used as it is"
        )
    unpublished = {} if images.hash else {request.name: hash_of(archives[-1], "sha256")}
    return replace(found, archives=unpublished), archives


def _place_vlcs(name: str) -> list[str]:
    """`DOMAIN/CLASS/NAME`, below whatever folders a copy may have around it."""
    parts = name.split("/")[-3:]
    fits = len(parts) == 3 and parts[0] in VLCS.domains and parts[1] in VLCS.classes
    return ["/".join(parts)] if fits and not parts[2].startswith(".") else []


def _place_waterbirds(name: str) -> list[str]:
    """The tables, and `SPECIES/NAME.jpg`, below whatever a copy has around them."""
    *around, file = name.split("/")
    if file in (METADATA, BOXES):
        return [file]
    is_picture = file.lower().endswith(SUFFIXES) and not file.startswith(".")
    return [f"{around[-1]}/{file}"] if is_picture and around else []


def _describe(layout: Layout, folder: Path, fingerprint: bool = True) -> Manifest:
    if layout.table:
        return waterbirds.describe(folder, fingerprint=fingerprint)
    version = Notes.read(folder).version if (folder / NOTES).is_file() else ""
    domains, classes = layout.domains, layout.classes
    return describe(layout.name, folder, domains, classes, version, fingerprint=fingerprint)


def _lacking(found: Manifest) -> list[str]:
    """Where the counts are not the published ones."""
    if found.name != "terra":
        return differences(found.counts, _layout(found.name).counts)
    known = terra.VERSIONS
    known = {found.version: known[found.version]} if found.version in known else known
    totals = {domain: sum(row.values()) for domain, row in found.counts.items()}
    totalled = [one.counts for one in known.values() if one.total == found.total]
    if any(counts.items() <= totals.items() for counts in totalled):
        return []
    expected = (f"{one.total:,} ({_words(one.counts) or name})" for name, one in known.items())
    return [f"terra: {found.total:,} images ({_words(totals)}), expected {' or '.join(expected)}"]


def _words(totals: Mapping[str, int]) -> str:
    return ", ".join(f"{domain} {number:,}" for domain, number in totals.items())


def _stored(name: str, base: Path) -> Manifest | None:
    """What was written when the benchmark was built in a data folder."""
    path = base / f"{name}.manifest.json"
    return Manifest.read(path) if path.is_file() else None


@contextmanager
def _alone(workshop: Path) -> Iterator[None]:
    """One process at a time; the lock of a killed process is gone with it."""
    from filelock import FileLock, Timeout

    lock = FileLock(workshop.with_name(f"{WORKSHOP}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"another process is at work in {workshop.parent}: waiting for it", True)
        lock.acquire()
    try:
        workshop.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        lock.release()


def _installed(layout: Layout, base: Path) -> Manifest | None:
    """The benchmark that is in the data folder already."""
    try:
        folder = layout.find(base)
    except FileNotFoundError:
        return None
    found = _describe(layout, folder)
    if found.total:
        return found
    if any(folder.iterdir()):
        raise ValueError(
            f"{folder} is there and holds no image of {layout.name}; it is never written to: move "
            "it away and run the same again"
        )
    return None


def _check_request(name: str, version: str | None) -> str:
    if name not in VERSIONS:
        raise ValueError(
            f"'{name}' cannot be got, expected {', '.join(VERSIONS)} (pacs is placed by hand; the "
            "toy worlds are rendered)"
        )
    version = version or VERSIONS[name][0]
    check_choice("version", version, VERSIONS[name])
    return version


def _layout(name: str) -> Layout:
    check_choice("benchmark", name, ON_DISK)
    return next(one for one in (VLCS, TERRA, PACS, WATERBIRDS) if one.name == name)


def _root(root: PathLike | None, name: str) -> Path:
    given = root or os.environ.get("ALIGN_DATA")
    if not given:
        raise FileNotFoundError(
            "no data folder is given: pass --root DIR, or set ALIGN_DATA=DIR, so that the readers "
            f"find it there; `align data get {name} --root DIR` brings {name}"
        )
    return Path(given).expanduser()


def _say(text: str, progress: bool) -> None:
    if progress:
        print(text, file=sys.stderr, flush=True)
