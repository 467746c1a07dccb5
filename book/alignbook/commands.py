"""What the book adds to `align` on the command line: doctor, demo, timings, tables, figures."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import torch
import torchvision
import typer

from align.checks import check_choice
from align.cli.commands import Root, note
from alignbook.benchmark_commands import Grid, benchmark_app
from alignbook.getting.commands import data_app
from alignbook.getting.install import survey

MAIN_METRICS = (
    *("accuracy", "balanced_accuracy", "worst_group", "mean_group", "confidence"),
    *("insertion_auc", "deletion_auc", "energy_inside", "evidence_inside", "pointing_game"),
    *("iou", "masker_iou", "sufficiency_zero", "comprehensiveness_zero"),
)
"""What an answer to an unknown metric names, as far as the grid has them."""


def add(app: typer.Typer) -> None:
    """Add the commands; `pyproject.toml` names this function as the entry point.

    Args:
        app: of `align`.
    """
    for command in (doctor, demo, speed, gpu):
        app.command()(command)
    for command in (table, figure):
        benchmark_app.command()(command)
    app.add_typer(benchmark_app, name="benchmark", no_args_is_help=True)
    app.add_typer(data_app, name="data", no_args_is_help=True)


def doctor() -> None:
    """Print device, versions, data found and the next step."""
    versions = {"python": sys.version.split()[0], "torch": torch.__version__}
    versions["torchvision"] = torchvision.__version__
    print(" · ".join(f"{name} {version}" for name, version in versions.items()))
    cpu = f"CPU, {os.cpu_count()} cores (the toy worlds are sized for it)"
    print("device:", torch.cuda.get_device_name(0) if torch.cuda.is_available() else cpu)
    print("ALIGN_DATA:", os.environ.get("ALIGN_DATA") or "not set")
    print(f"next: align train --benchmark {_photographs() or 'toy-vlcs'}")
    print("      (or `align demo` for a comparison in a few minutes)")


def demo(
    out: Annotated[Path, typer.Option(help="Where the figure goes.")] = Path("runs/demo.png"),
    seed: int = 0,
) -> None:
    """Train ERM and ALIGN on the embedded benchmark, print the comparison, save the figure."""
    from alignbook.demo import compare

    table, figure = compare(seed)
    print(table.to_string(float_format="{:.3f}".format))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=150)
    print(f"figure saved in {out}")


def speed(backbone: str = "small-cnn", size: int = 64, batch_size: int = 64) -> None:
    """Measure steps, the training loop and metrics against their floors and others' ways."""
    from alignbook.speed import report

    for heading, text in report(backbone, size, batch_size):
        print(f"{heading}\n{text}\n", flush=True)


def gpu(
    minutes: Annotated[float, typer.Option(help="Length of the session, 4 or more.")] = 8.0,
    device: Annotated[str | None, typer.Option(help="cuda, or cpu for a rehearsal.")] = None,
    out: Annotated[
        Path | None, typer.Option(envvar="OUT", help="Folder; default results/gpu/DEVICE.")
    ] = None,
    packed: Annotated[Path | None, typer.Option(help="Folder of packed pictures.")] = None,
    root: Root = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print the plan and do nothing.")] = False,
) -> None:
    """Check, time and train on this GPU what fits the minutes, most valuable first."""
    from alignbook.gpu.command import run

    raise typer.Exit(run(minutes, device, out, packed=packed, root=root, only_plan=plan))


def table(
    grid: Grid,
    metric: Annotated[str, typer.Option(help="Any metric of the records.")] = "accuracy",
) -> None:
    """Print a grid's tables: each domain's mean and 95 % interval, and the comparison with ERM."""
    from alignbook import ablations, groups, results, tables, weighting
    from alignbook.campaign import same_data
    from alignbook.show import show

    found = results.current(grid)
    if not found:
        raise FileNotFoundError(
            f"nothing of grid '{grid}' is recorded; `align benchmark run {grid}` makes the runs"
        )
    recorded = results.frame(found)
    _check_metric(metric, found, grid)
    note(same_data.mixed(found, rendered=True))
    if grid == "ablations":
        print(f"change in {metric} out of distribution against ALIGN's default, paired by seed\n")
        print(show(ablations.effects(recorded, metric)))
        return
    if grid == "weights":
        print("accuracy against ERM, each form with the weight that is best in distribution\n")
        print(show(weighting.chosen(recorded)))
        return
    for setting, part in results.settings(recorded).items():
        heading = f"\n{setting}\n" if setting else ""
        print(f"{heading}{show(tables.per_domain(part, metric))}")
        for shift, words in (("in", "in distribution"), ("out", "out of distribution")):
            compared = tables.comparison(part, metric, shift)
            if len(compared):
                print(f"\n{words}\n{show(compared)}")
    if told := groups.note(found):
        print(f"\n{told}")


def _photographs() -> str:
    """Print what is there of the photographs; return the name of a whole benchmark, or ""."""
    try:
        findings = survey(fingerprint=False)
    except FileNotFoundError as error:
        print(f"  {error}")
        return ""
    for finding in findings:
        if finding.manifest:
            print(f"  {finding.name}: {finding.manifest.total:,} images")
        for sentence in finding.notes:
            print(f"    {sentence}" if finding.manifest else f"  {finding.name}: {sentence}")
    return next((f.name for f in findings if f.manifest and not f.notes), "")


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
            f"no record of grid '{grid}' has a table of metric '{metric}', "
            f"{_instead(metric, known)}"
        )


def _instead(metric: str, known: Collection[str]) -> str:
    """What may have been meant, and the main metrics; over a hundred names would hide them."""
    near = get_close_matches(metric, known, 3)
    main = [name for name in MAIN_METRICS if name in known][:12]
    rest = [name for name in known if name not in main]
    controls = sum(name.startswith("control_") for name in rest)
    meant = f"which is near {', '.join(near)}; " if near else ""
    others = f", or one of {len(rest)} others" if rest else ""
    others += f" ({controls} begin with control_)" if controls else ""
    return f"{meant}expected {', '.join(main)}{others}"


def figure(
    name: Annotated[str, typer.Argument(help="A figure's name; a wrong one lists them.")],
    out: Annotated[Path | None, typer.Option(help="Where it goes; default runs/NAME.png.")] = None,
) -> None:
    """Draw a figure of the book from the records."""
    from alignbook.figures import FIGURES

    check_choice("figure", name, tuple(FIGURES))
    out = out or Path("runs") / f"{name}.png"
    out.parent.mkdir(parents=True, exist_ok=True)
    drawn = FIGURES[name].draw()
    drawn.figure.savefig(out, dpi=150)
    print(f"{drawn.alt}\nfigure saved in {out}")
