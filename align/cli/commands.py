"""`align` on the command line: the library's functions, with the same names and defaults."""

from __future__ import annotations

import codecs
import io
import json
import os
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from align.cli.data import Root, data_app
from align.config import METHODS
from align.data.download import DownloadError
from align.files import found, same

if TYPE_CHECKING:
    from align.data import Benchmark

app = typer.Typer(
    help="ALIGN: train classifiers that look where they should.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data", no_args_is_help=True)

FURTHER = "align.commands"
"""Entry points: each a function that is given `app` and adds to it."""

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A value of the configuration, such as lambda3=2; may be repeated."),
]
Size = Annotated[int | None, typer.Option(help="Side of the images, in pixels.")]
Masks = Annotated[Path | None, typer.Option(help="Parallel folder of mask images.")]


@app.command()
def train(
    method: Annotated[str, typer.Argument(help=f"One of {', '.join(METHODS)}.")] = "align",
    benchmark: Annotated[str, typer.Option(help="A name that align.load takes.")] = "toy-vlcs",
    source: Annotated[
        str | None, typer.Option(help="Domain to train on; default the first.")
    ] = None,
    root: Root = None,
    size: Size = None,
    masks: Masks = None,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="Folder for the run and its checkpoint.")] = Path(
        "runs/latest"
    ),
    settings: Settings = None,
) -> None:
    """Train on one domain, test on its held-out part and on every other domain."""
    from align.config import Config
    from align.data import load
    from align.experiment import Experiment, run

    options = _options(size, masks)
    if source is None:
        source = load(benchmark, root, **_found(options, root)).domains[0]
    config = Config(**{"method": method, "seed": seed} | _settings(settings))
    experiment = Experiment(benchmark, same(source), config, options)
    _say_missing(experiment.data(root))
    record, result = run(experiment, root=root, folder=out)
    result.save(out)
    (out / "record.json").write_text(json.dumps(record, indent=1))
    _print_metrics(record["metrics"], experiment.source)
    print(f"saved in {out}")


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(help="A folder that `align train` wrote.")],
    benchmark: Annotated[str, typer.Option(help="A name that align.load takes.")] = "toy-vlcs",
    domain: Annotated[str | None, typer.Option(help="Domain to test on; default all.")] = None,
    root: Root = None,
    size: Size = None,
    masks: Masks = None,
    controls: Annotated[bool, typer.Option(help="Also measure control explanations.")] = False,
) -> None:
    """Measure a trained run: accuracy, faithfulness, and localisation where masks exist."""
    from align.data import load
    from align.evaluation import evaluate as measure
    from align.training import Run

    run = Run.load(folder)
    if size is None and run.contract is not None:
        size = run.contract.size[0]
    data = load(benchmark, root, **_found(_options(size, masks), root))
    _say_missing(data)
    names = data.test_domains if domain is None else (domain,)
    result = {name: measure(run, data[name], controls=controls) for name in names}
    print(json.dumps(result, indent=1))


@app.command()
def explain(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders, or patterns.")],
    run: Annotated[
        Path | None, typer.Option(help="A folder that `align train` wrote; default runs/latest.")
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="A torchvision model, not a run.")] = None,
    weights: Annotated[str, typer.Option(help="Its weights: a name or a file.")] = "DEFAULT",
    size: Size = None,
    out: Annotated[
        Path | None, typer.Option(help="A .png or .svg for all, or a folder: one each.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers as JSON.")] = False,
) -> None:
    """Say of pictures what they show, where the evidence is, and what the mask keeps of it."""
    from align.cli.explain import explain_files

    broken = explain_files(paths, run, backbone, weights, size, out, as_json)
    if broken:
        raise typer.Exit(1)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder that `align train` wrote.")],
    out: Annotated[Path, typer.Option(help="The file.")] = Path("model.pt2"),
) -> None:
    """Write a run's classifier as a torch.export program, which needs torch and nothing else."""
    from align.training import Run
    from align.training.export import export as write

    print(f"saved in {write(Run.load(folder), out)}")


@app.command()
def doctor() -> None:
    """Print device, versions, data found and the next step."""
    import torch
    import torchvision

    print(
        f"python {sys.version.split()[0]} · torch {torch.__version__} · "
        f"torchvision {torchvision.__version__}"
    )
    if torch.cuda.is_available():
        print(f"device: {torch.cuda.get_device_name(0)}")
    else:
        print(f"device: CPU, {os.cpu_count()} cores (the toy worlds are sized for it)")
    print(f"ALIGN_DATA: {os.environ.get('ALIGN_DATA') or 'not set'}")
    print(
        f"next: align train --benchmark {_photographs() or 'toy-vlcs'}"
        "   (or `align demo` for a two-minute comparison)"
    )


def main() -> None:
    """Run the command line; an error that a reader can mend is one sentence, not a traceback."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    try:
        app()
    except (ValueError, OSError, KeyError, FloatingPointError, DownloadError) as error:
        # A KeyError's text is its argument's repr; an OSError's first argument is a number.
        message = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
        print(f"align: {message}", file=sys.stderr)
        raise SystemExit(2) from None


def further() -> Iterator[EntryPoint]:
    """What other packages add to the command line: those of this checkout, or those installed."""
    project, group = Path(__file__).parents[2] / "pyproject.toml", {}
    if project.is_file():  # a checkout that nobody installed has no metadata
        declared = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        group = declared.get("entry-points", {}).get(FURTHER, {})
    points = [EntryPoint(name, value, FURTHER) for name, value in group.items()]
    for point in points or entry_points(group=FURTHER):
        if find_spec(point.module.partition(".")[0]) and find_spec(point.module):
            yield point


PLAIN = {"±": "+/-", "†": "+", "×": "x", "−": "-", "·": "-", "…": "...", "ρ": "rho", "λ": "lambda"}
"""What a terminal that lacks a sign is given in its place."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Signs that a terminal cannot print, in letters that it can."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in lacking), error.end


def _photographs() -> str:
    """Print what is there of the photographs; return the name of a whole benchmark, or ""."""
    from align.data.install import survey

    try:
        findings = survey(fingerprint=False)
    except FileNotFoundError as error:
        print(f"  {error}")
        return ""
    for finding in findings:
        if finding.manifest:
            print(f"  {finding.name}: {finding.manifest.total:,} images")
        for sentence in finding.said:
            print(f"    {sentence}" if finding.manifest else f"  {finding.name}: {sentence}")
    return next((f.name for f in findings if f.manifest and not f.said), "")


def _options(size: int | None, masks: Path | None) -> dict:
    options = {} if size is None else {"size": size}
    return options if masks is None else options | {"masks": str(masks)}


def _found(options: dict, root: Path | None) -> dict:
    masks = options.get("masks")
    return options if masks is None else options | {"masks": str(found(masks, root))}


def _say_missing(data: Benchmark) -> None:
    """Say on the error stream what the data lack: no picture is left out in silence."""
    for sentence in data.missing:
        print(f"align: note: {sentence}", file=sys.stderr)


def _settings(pairs: list[str] | None) -> dict:
    """`name=value` texts as values of the configuration: JSON, or else a text as it stands."""
    from align.config import Config

    names = [field.name for field in fields(Config)]
    values: dict = {}
    for pair in pairs or []:
        name, mark, text = pair.partition("=")
        if not mark or name not in names:
            raise ValueError(
                f"--set {pair}: expected name=value with one of the names {', '.join(names)}"
            )
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = {"True": True, "False": False, "None": None}.get(text, text)
    return values


def _print_metrics(metrics: dict, source: str) -> None:
    for name, values in metrics.items():
        shift = "held out" if name == source else "elsewhere"
        print(
            f"{name:>14} ({shift}): accuracy {values['accuracy']:.3f}, "
            f"insertion AUC {values['insertion_auc']:.3f}"
        )


for point in further():
    point.load()(app)
