"""`align data`: get, check and pack the benchmarks of photographs."""

from __future__ import annotations

import time
from textwrap import indent
from typing import Annotated

import typer

from align.cli.commands import Root
from align.cli.explain import Size
from align.data import load

from . import install

data_app = typer.Typer(help="Benchmarks of photographs: get them, check them, pack them.")

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
    found = install.get(name, root, version=version, mirrors=mirror or (), keep=keep)
    _show(install.finding(found, root))


@data_app.command()
def check(names: Names = None, root: Root = None) -> None:
    """Count what is there and print the fingerprint that two readers can compare."""
    findings = install.survey(names or install.ON_DISK, root)
    for finding in findings:
        _show(finding)
    installed = [finding for finding in findings if finding.manifest]
    # What is asked for by name must be there; else it is enough that what is there is whole.
    if not installed or any(finding.notes for finding in (findings if names else installed)):
        raise typer.Exit(1)


@data_app.command()
def pack(
    names: Names = None,
    root: Root = None,
    size: Size = 224,
) -> None:
    """Decode every image once, into the cache, so that training starts at once."""
    packed = 0
    for name in names or install.ON_DISK:
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
            f"nothing to pack: none of {', '.join(install.ON_DISK)} found; "
            "`align data get vlcs --root DIR` gets one"
        )


def _show(finding: install.Finding) -> None:
    """Print counts and fingerprint, and what is lacking."""
    import pandas as pd  # slow to import, and needed here alone

    found = finding.manifest
    if found is None:
        print(f"{finding.name}: {finding.notes[0]}")
        return
    version = f" {found.version}" if found.version else ""
    print(f"{found.name}{version}: {found.total:,} images, fingerprint {found.fingerprint}")
    table = pd.DataFrame(found.counts).T
    table = table.assign(total=table.sum(axis=1)).map("{:,}".format)
    print(indent(table.to_string(), "  "))
    for sentence in (*(finding.notes or ("complete",)), *finding.remarks):
        print(f"  {sentence}")
