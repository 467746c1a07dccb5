"""Put a benchmark where the readers look for it: download, verify, unpack, count, rename.

All happens in `ROOT/.align-downloads` under a lock; the benchmark's folder appears at the end, in
one step. A folder that is there already is used as it is, and never written to.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from . import terra, waterbirds, waterbirds_archive
from .archives import Bounds, unpack
from .download import FULL, Archive, DownloadError, Mirror, check_space, fetch
from .folders import locate
from .layouts import PACS, TERRA, VLCS, Layout
from .manifest import Manifest, describe, differences
from .trees import PathLike

WORKSHOP = ".align-downloads"

# Nobody states VLCS's size; this is on the safe side, for the look at the free space.
VLCS_UNPACKED = 4_000_000_000
VLCS_ARCHIVE = Archive(
    "VLCS.tar.gz",
    VLCS_UNPACKED,
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
TERRA_UNPACKED = 3_500_000_000
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
            `root/terra_incognita` or `root/waterbird_complete95_forest2water2`; if that is there
            it is used as it is.
        version: for "terra" "eccv18" (24,788 images, with boxes; the default) or "lila2021"
            (24,330).
        mirrors: addresses to try before the known ones, for the archive of images.
        keep: keep the archives after unpacking.
        progress: show progress bars.

    Returns:
        What is there now; it is also written to `root/NAME.manifest.json` if it was built now.

    Raises:
        ValueError: if an argument is unknown, or an archive is not what it should be.
        align.data.download.DownloadError: if an archive cannot be had or the disk is too small.
        FileNotFoundError: if no data folder is given.
        OSError: if the data folder cannot be written.
    """
    layout, version = _asked(name, version)
    base = _root(root, name)
    if (there := _there(name, base)) is not None:
        return there
    workshop = base / WORKSHOP
    try:
        workshop.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the data folder {base} cannot be written ({error.strerror}); choose another with "
            "--root"
        ) from error
    with _alone(workshop):
        if (there := _there(name, base)) is not None:  # another process was faster
            return there
        make = {"vlcs": _make_vlcs, "terra": _make_terra, "waterbirds": _make_waterbirds}[name]
        partial = workshop / f"{layout.folder}.partial"
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        try:
            archives = make(workshop, partial, version, mirrors, progress)
            found = _describe(name, partial, version)
            found = replace(found, archives=_unpublished(name, archives))
            found.write(base / f"{name}.manifest.json")
            os.replace(partial, base / layout.folder)
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise DownloadError(
                f"the disk of {base} is full ({error.strerror}); free some and run the same again, "
                "what was downloaded is kept"
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
    """What a look into a data folder found of one benchmark.

    Args:
        name: the benchmark's name.
        manifest: what is there, or None.
        said: what it lacks, or how to get it, one sentence each; none if all is there.
    """

    name: str
    manifest: Manifest | None
    said: tuple[str, ...]


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

    Returns:
        One finding a name.

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
        try:
            found = look(name, base, fingerprint=fingerprint)
        except FileNotFoundError as error:
            findings.append(Finding(name, None, (str(error),)))
        except ValueError as error:  # it is there and its tables cannot be read
            empty = {domain: dict.fromkeys(row, 0) for domain, row in _layout(name).counts.items()}
            findings.append(Finding(name, Manifest(name, "", empty, ""), (str(error),)))
        else:
            findings.append(Finding(name, found, tuple(problems(found, base))))
    return findings


def look(name: str, root: PathLike | None = None, *, fingerprint: bool = True) -> Manifest:
    """Count and fingerprint a benchmark on disk; nothing is written to it.

    Args:
        name: one of `ON_DISK`.
        root: the data folder, or the benchmark's own folder; None means `$ALIGN_DATA`.
        fingerprint: whether to read the images, or only to count them.

    Raises:
        ValueError: if the name is unknown, or the tables of "waterbirds" cannot be read.
        FileNotFoundError: if it is not there; the message says how to get it.
    """
    layout = _layout(name)
    if name == "waterbirds":
        return waterbirds.describe(waterbirds.locate(root), fingerprint=fingerprint)
    folder = locate(layout.folder, root, layout.remedy, layout.domains)
    version = terra.Notes.read(folder).version if (folder / terra.NOTES).is_file() else ""
    return describe(name, folder, layout.domains, layout.classes, version, fingerprint=fingerprint)


def problems(found: Manifest, root: PathLike | None = None) -> list[str]:
    """What a benchmark on disk lacks, against the published counts and its own manifest.

    Args:
        found: from `look`.
        root: the data folder, where a manifest may lie; None means `$ALIGN_DATA`.

    Returns:
        One sentence each, the last of them what to do; none if all is there.
    """
    given = root or os.environ.get("ALIGN_DATA")
    layout = _layout(found.name)
    said = differences(found.counts, layout.counts)
    if said and found.name == "waterbirds":
        said += waterbirds.absent(waterbirds.locate(root))
    if found.name == "terra" and found.total not in {v.total for v in terra.VERSIONS.values()}:
        known = ", ".join(f"{v.total:,} ({v.name})" for v in terra.VERSIONS.values())
        said.append(f"terra: {found.total:,} images, expected one of {known}")
    stored = Path(given).expanduser() / f"{found.name}.manifest.json" if given else None
    if stored and stored.is_file():
        before = Manifest.read(stored)
        said += [f"since it was built, {one}" for one in differences(found.counts, before.counts)]
        if found.fingerprint not in ("", before.fingerprint):
            said.append(
                f"{found.name}: the fingerprint is {found.fingerprint} and was "
                f"{before.fingerprint} when it was built: files have changed"
            )
    if said:
        remedy = layout.remedy.format(root=given or "DIR")
        said.append(f"it is used as it is; for a whole copy move this one away and {remedy}")
    return said


def _make_vlcs(
    workshop: Path, partial: Path, version: str, mirrors: Sequence[str], progress: bool
) -> list[Path]:
    check_space(
        workshop, VLCS_ARCHIVE.bytes * _absent(workshop, VLCS_ARCHIVE) + VLCS_UNPACKED, "get vlcs"
    )
    archive = fetch(VLCS_ARCHIVE.also_from(mirrors), workshop, progress=progress)
    _say(f"unpacking {archive.name}", progress)
    partial.mkdir()

    def place(name: str) -> list[str]:
        # `VLCS/DOMAIN/CLASS/NAME`, below whatever folders a copy may have around it.
        parts = name.split("/")[-3:]
        fits = len(parts) == 3 and parts[0] in VLCS.domains and parts[1] in VLCS.classes
        return ["/".join(parts)] if fits and not parts[2].startswith(".") else []

    unpack(archive, partial, place, Bounds(bytes=4 * VLCS_UNPACKED))
    found = describe("vlcs", partial, VLCS.domains, VLCS.classes)
    _complete(archive, differences(found.counts, VLCS.counts))
    return [archive]


def _make_terra(
    workshop: Path, partial: Path, version: str, mirrors: Sequence[str], progress: bool
) -> list[Path]:
    chosen = terra.VERSIONS[version]
    needed = terra.IMAGES.bytes * _absent(workshop, terra.IMAGES) + TERRA_UNPACKED
    check_space(workshop, needed, "get terra")
    labels = fetch(chosen.annotations, workshop, progress=progress)
    pictures = terra.read_annotations(labels)
    images = fetch(terra.IMAGES.also_from(mirrors), workshop, progress=progress)
    _say(f"sorting {len(pictures):,} images of {images.name}", progress)
    partial.mkdir()
    absent = terra.build(images, pictures, partial, version)
    if absent:
        _say(f"{len(absent):,} annotated images are not in {images.name} and left out", True)
    found = describe("terra", partial, TERRA.domains, TERRA.classes, version)
    said = [
        f"{domain}: {sum(found.counts[domain].values()):,} images, expected {number:,}"
        for domain, number in chosen.counts.items()
        if sum(found.counts[domain].values()) != number
    ]
    if found.total != chosen.total and not said:
        said = [f"{found.total:,} images, expected {chosen.total:,}"]
    _complete(images, said)
    return [labels, images]


def _make_waterbirds(
    workshop: Path, partial: Path, version: str, mirrors: Sequence[str], progress: bool
) -> list[Path]:
    asked = waterbirds_archive.known(workshop.parent).also_from(mirrors)
    unpacked = waterbirds_archive.UNPACKED
    check_space(workshop, asked.bytes * _absent(workshop, asked) + unpacked, "get waterbirds")
    archive = fetch(asked, workshop, progress=progress)
    _say(f"unpacking {archive.name}", progress)
    partial.mkdir()
    _complete(archive, waterbirds_archive.build(archive, partial))
    return [archive]


def _describe(name: str, folder: Path, version: str) -> Manifest:
    if name == "waterbirds":
        return waterbirds.describe(folder, version)
    layout = _layout(name)
    return describe(name, folder, layout.domains, layout.classes, version)


def _unpublished(name: str, archives: Sequence[Path]) -> dict[str, str]:
    """The hashes of archives of which nobody published one."""
    return waterbirds_archive.hashes(archives) if name == "waterbirds" else {}


def _complete(archive: Path, said: Sequence[str]) -> None:
    if said:
        shown = "; ".join(said[:4]) + ("; ..." if len(said) > 4 else "")
        raise ValueError(
            f"{archive} unpacks to another set of images than the published one ({shown}); delete "
            "it and give another with --mirror, or unpack it yourself into the data folder, where "
            "it is used as it is"
        )


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


def _there(name: str, base: Path) -> Manifest | None:
    """The benchmark that is in the data folder already."""
    try:
        found = look(name, base)
    except FileNotFoundError:
        return None
    if found.total:
        return found
    folder = waterbirds.locate(base) if name == "waterbirds" else base / _layout(name).folder
    if any(folder.iterdir()):
        raise ValueError(
            f"{folder} is there and holds no image of {name}; it is never written to: move it away "
            "and run the same again"
        )
    return None


def _asked(name: str, version: str | None) -> tuple[Layout, str]:
    if name not in VERSIONS:
        raise ValueError(
            f"'{name}' cannot be got, expected {', '.join(VERSIONS)} (pacs is placed by hand; the "
            "toy worlds are rendered)"
        )
    version = version or VERSIONS[name][0]
    if version not in VERSIONS[name]:
        raise ValueError(
            f"{name} has no version '{version}', expected {' or '.join(VERSIONS[name])}"
        )
    return _layout(name), version


def _layout(name: str) -> Layout:
    if name not in ON_DISK:
        raise ValueError(f"'{name}' is no benchmark on disk, expected one of {', '.join(ON_DISK)}")
    return dict(zip(ON_DISK, (VLCS, TERRA, PACS, waterbirds.LAYOUT), strict=True))[name]


def _root(root: PathLike | None, name: str) -> Path:
    given = root or os.environ.get("ALIGN_DATA")
    if not given:
        raise FileNotFoundError(
            "no data folder is given: pass --root DIR, or set ALIGN_DATA=DIR, so that the readers "
            f"find it there; `align data get {name} --root DIR` brings {name}"
        )
    return Path(given).expanduser()


def _absent(workshop: Path, archive: Archive) -> bool:
    return not (workshop / archive.name).exists()


def _say(text: str, progress: bool) -> None:
    if progress:
        print(text, file=sys.stderr, flush=True)
