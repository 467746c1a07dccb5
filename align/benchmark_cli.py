"""`align benchmark`: make runs, see what is done, print tables, draw figures."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

benchmark_app = typer.Typer(help="Recorded runs: make them, see what is done, show what they say.")

Grid = Annotated[str, typer.Argument(help="A grid's name; `align benchmark status` lists them.")]


class Launcher(StrEnum):
    """Who starts the runs."""

    local = "local"
    ray = "ray"


@benchmark_app.command("run")
def run(
    grid: Grid,
    root: Annotated[
        Path | None, typer.Option(help="Folder with the data; default $ALIGN_DATA.")
    ] = None,
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
    from align.benchmark.grid import experiments, records_file
    from align.benchmark.runner import choose, missing, run_all

    wanted = choose(experiments(grid), shard, only or ())
    if only and not choose(experiments(grid), None, only):
        raise ValueError(f"no run of grid '{grid}' has {' and '.join(only)}")
    path, work = records_file(grid), Path("runs") / grid
    try:
        if launcher is Launcher.ray:
            from align.benchmark.ray_launcher import run_all as run_all_on_ray

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
    from align.benchmark import records
    from align.benchmark.grid import GRIDS, experiments, records_file

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
    from align.benchmark.grid import experiments, records_file
    from align.benchmark.merging import merge as add

    experiments(grid)  # refuses a name that is none
    merged = add(records_file(grid), files)
    print(f"{merged.added} records added, {merged.known} were there already")
    for key in merged.other:
        print(f"  {key}: other numbers than before, which stay; machines differ in rounding")


@benchmark_app.command("table")
def table(
    grid: Grid,
    metric: Annotated[str, typer.Option(help="Any metric of the records.")] = "accuracy",
) -> None:
    """Print a grid's tables: each domain's mean and 95 % interval, and the comparison with ERM."""
    from align.benchmark import records
    from alignbook import ablations, results, tables, weights
    from alignbook.show import show

    found = results.current(grid)
    if not found:
        raise FileNotFoundError(
            f"nothing of grid '{grid}' is recorded; `align benchmark run {grid}` makes the runs"
        )
    recorded = results.frame(found)
    _check_metric(metric, found, grid)
    for sentence in records.mixed(found, rendered=True):
        print(f"align: note: {sentence}", file=sys.stderr)
    if grid == "ablations":
        print(f"change in {metric} out of distribution against ALIGN's default, paired by seed\n")
        print(show(ablations.effects(recorded, metric)))
        return
    if grid == "weights":
        print("accuracy against ERM, each form with the weight that is best in distribution\n")
        print(show(weights.chosen(recorded)))
        return
    for setting, part in results.settings(recorded).items():
        heading = f"\n{setting}\n" if setting else ""
        print(f"{heading}{show(tables.per_domain(part, metric))}")
        for shift, words in (("in", "in distribution"), ("out", "out of distribution")):
            compared = tables.comparison(part, metric, shift)
            if len(compared):
                print(f"\n{words}\n{show(compared)}")


def _check_metric(metric: str, recorded: list[dict], grid: str) -> None:
    """Refuse a metric that no record has, or that the grid's table does not show."""
    known = {
        name: None
        for record in recorded
        for values in record["metrics"].values()
        for name, value in values.items()
        if isinstance(value, int | float)
    }
    known = {"accuracy": None} if grid == "weights" else known
    if metric not in known:
        raise ValueError(
            f"no record of grid '{grid}' has a table of metric '{metric}', expected one of "
            f"{', '.join(known)}"
        )


@benchmark_app.command("figure")
def figure(
    name: Annotated[str, typer.Argument(help="A figure's name; a wrong one lists them.")],
    out: Annotated[Path | None, typer.Option(help="Where it goes; default runs/NAME.png.")] = None,
) -> None:
    """Draw a figure of the book from the records."""
    from alignbook.figures import FIGURES

    if name not in FIGURES:
        raise ValueError(f"figure '{name}' is unknown, expected one of {', '.join(FIGURES)}")
    out = out or Path("runs") / f"{name}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = FIGURES[name].draw()
    drawn.figure.savefig(out, dpi=150)
    print(f"{drawn.alt}\nfigure saved in {out}")


@benchmark_app.command("rerun")
def rerun(
    record: Annotated[str, typer.Argument(help="A record.json, a key, or FILE.jsonl:KEY.")],
    root: Annotated[
        Path | None, typer.Option(help="Folder with the data; default $ALIGN_DATA.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Largest difference that passes.")] = 0.0,
) -> None:
    """Make a recorded run again from its record alone and compare every number."""
    from align.benchmark import rerun as again

    made = again.rerun(again.find(record), root=root)
    for name, (before, after) in made.place().items():
        print(f"{name}: {before} then, {after} now")
    differences = made.differences()
    for path, (before, after) in list(differences.items())[:20]:
        print(f"  {path}: {before} then, {after} now")
    print(f"{len(differences)} numbers differ; the largest difference is {made.largest():.3g}")
    if made.largest() > tolerance:
        raise typer.Exit(1)
