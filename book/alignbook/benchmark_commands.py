"""`align benchmark`: make runs, see what is done, gather them, make one again."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from align.cli.commands import Root

benchmark_app = typer.Typer(help="Recorded runs: make them, see what is done, show what they say.")

Grid = Annotated[str, typer.Argument(help="A grid's name; `align benchmark status` lists them.")]


class Launcher(StrEnum):
    """Who starts the runs."""

    local = "local"
    ray = "ray"


@benchmark_app.command("run")
def run(
    grid: Grid,
    root: Root = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes; they share the cores.")] = 1,
    shard: Annotated[str | None, typer.Option(help="i/n: the i-th of n parts of the grid.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A method, or name=value; may be repeated.")
    ] = None,
    launcher: Annotated[Launcher, typer.Option(help="local, or ray for a Ray cluster.")] = (
        Launcher.local
    ),
) -> None:
    """Make the runs of a grid that are not recorded yet; stop and start it as you like."""
    from alignbook.campaign.grid import experiments, records_file
    from alignbook.campaign.runner import choose, missing, run_all

    wanted = choose(experiments(grid), shard, only or ())
    if only and not choose(experiments(grid), None, only):
        raise ValueError(f"no run of grid '{grid}' has {' and '.join(only)}")
    path, work = records_file(grid), Path("runs") / grid
    try:
        if launcher is Launcher.ray:
            from alignbook.campaign.ray_launcher import run_all as run_all_on_ray

            threads = max(1, (os.cpu_count() or 1) // jobs)
            made = run_all_on_ray(wanted, path, root=root, work=work, threads=threads)
        else:
            made = run_all(wanted, path, root=root, work=work, jobs=jobs)
    except (RuntimeError, ModuleNotFoundError) as error:
        print(f"align: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    left = len(missing(wanted, path))
    print(f"{made} runs recorded now in {path.name}, {len(wanted) - left} of {len(wanted)} in all")


@benchmark_app.command("status")
def status(
    grid: Annotated[str | None, typer.Argument(help="A grid's name; default all.")] = None,
) -> None:
    """Say for each grid how many of its runs are recorded, and how long they took."""
    from align import records
    from alignbook.campaign.grid import GRIDS, experiments, records_file

    for name in GRIDS if grid is None else (grid,):
        wanted = {e.key() for e in experiments(name)}
        done = [r for r in records.read(records_file(name)) if r["key"] in wanted]
        took = sum(record["seconds"] for record in done) / 60
        spent = f", {took:.0f} minutes of training" if done else ""
        print(f"{name}: {len(done)} of {len(wanted)} runs recorded{spent}")


@benchmark_app.command("merge")
def merge(
    grid: Grid,
    files: Annotated[list[Path], typer.Argument(help="Files of records of other machines.")],
) -> None:
    """Add what other machines have recorded of a grid, each run once."""
    from alignbook.campaign.grid import experiments, records_file
    from alignbook.campaign.merging import merge as add

    experiments(grid)  # refuses a name that is none
    merged = add(records_file(grid), files)
    print(f"{merged.added} records added, {merged.known} were there already")
    for key in merged.other:
        print(f"  {key}: other numbers than before, which stay; machines differ in rounding")


@benchmark_app.command("rerun")
def rerun(
    record: Annotated[str, typer.Argument(help="A record.json, a key, or FILE.jsonl:KEY.")],
    root: Root = None,
    tolerance: Annotated[float, typer.Option(help="Largest difference that passes.")] = 0.0,
) -> None:
    """Make a recorded run again from its record alone and compare every number."""
    from alignbook.campaign import rerun as again

    made = again.rerun(again.find(record), root=root)
    for name, (before, after) in made.place().items():
        print(f"{name}: {before} then, {after} now")
    differences = made.differences()
    for path, (before, after) in list(differences.items())[:20]:
        print(f"  {path}: {before} then, {after} now")
    print(f"{len(differences)} numbers differ; the largest difference is {made.largest():.3g}")
    if made.largest() > tolerance:
        raise typer.Exit(1)
