"""`align data`: get, check and pack the benchmarks of photographs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from align.data.install import Finding

data_app = typer.Typer(help="Benchmarks of photographs: get them, check them, pack them.")

Root = Annotated[Path | None, typer.Option(help="Folder with the data; default $ALIGN_DATA.")]
Names = Annotated[
    list[str] | None, typer.Argument(help="vlcs, terra, pacs, waterbirds; default all.")
]


@data_app.command()
def get(
    name: Annotated[str, typer.Argument(help="vlcs, terra or waterbirds.")],
    root: Root = None,
    version: Annotated[
        str | None, typer.Option(help="terra: eccv18 (24,788 images) or lila2021 (24,330).")
    ] = None,
    mirror: Annotated[
        list[str] | None, typer.Option(help="An address to try first; may be repeated.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Keep the archives after unpacking.")] = False,
) -> None:
    """Download, verify and unpack a benchmark; one that is there is used as it is."""
    from align.data import install

    found = install.get(name, root, version=version, mirrors=mirror or (), keep=keep)
    _show(install.Finding(name, found, tuple(install.problems(found, root))))


@data_app.command()
def check(names: Names = None, root: Root = None) -> None:
    """Count what is there and print the fingerprint that two readers can compare."""
    from align.data.install import ON_DISK, survey

    findings = survey(names or ON_DISK, root)
    for finding in findings:
        _show(finding)
    there = [finding for finding in findings if finding.manifest]
    # What is asked for by name must be there; else it is enough that what is there is whole.
    if not there or any(finding.said for finding in (findings if names else there)):
        raise typer.Exit(1)


@data_app.command()
def pack(
    names: Names = None,
    root: Root = None,
    size: Annotated[int, typer.Option(help="Side of the images, in pixels.")] = 224,
) -> None:
    """Decode every image once, into the cache, so that training starts at once."""
    from align.data import load
    from align.data.install import ON_DISK

    packed = 0
    for name in names or ON_DISK:
        began = time.perf_counter()
        try:
            benchmark = load(name, root, size=size)
        except FileNotFoundError:
            if names:
                raise
            continue
        packed += 1
        total = sum(len(domain) for domain in benchmark)
        seconds = time.perf_counter() - began
        print(f"{name}: {total:,} images at {size} px in the cache, {seconds:.1f} s")
        for sentence in benchmark.missing:
            print(f"  {sentence}")
    if not packed:
        raise FileNotFoundError(
            f"nothing to pack: none of {', '.join(ON_DISK)} found; "
            "`align data get vlcs --root DIR` gets one"
        )


def _show(finding: Finding) -> None:
    """Print counts and fingerprint, and what is lacking."""
    found = finding.manifest
    if found is None:
        print(f"{finding.name}: {finding.said[0]}")
        return
    version = f" {found.version}" if found.version else ""
    print(f"{found.name}{version}: {found.total:,} images, fingerprint {found.fingerprint}")
    classes = list(next(iter(found.counts.values())))
    width = max(8, *(len(domain) for domain in found.counts))
    columns = [max(10, len(kind) + 2) for kind in (*classes, "total")]
    heads = zip((*classes, "total"), columns, strict=True)
    print(f"  {'':{width}}" + "".join(f"{kind:>{wide}}" for kind, wide in heads))
    for domain, row in found.counts.items():
        numbers = zip((*row.values(), sum(row.values())), columns, strict=True)
        print(f"  {domain:{width}}" + "".join(f"{number:>{wide},}" for number, wide in numbers))
    for sentence in finding.said or ("complete",):
        print(f"  {sentence}")
