"""`align` on the command line: the library's functions, with the same names and defaults."""

from __future__ import annotations

import codecs
import io
import json
import sys
from dataclasses import fields, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from align import evaluation
from align import experiment as experiments
from align.cli.explain import LATEST, Size, explain
from align.config import METHODS, Config
from align.data import load
from align.files import blamed, found, plugins, same
from align.training import Run
from align.training import export as exporting

app = typer.Typer(
    help="ALIGN: train classifiers that look where they should.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

FURTHER = "align.commands"
"""Entry points: each a function that is given `app` and adds to it; see `whole`."""

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A value of the configuration, such as lambda3=2; may be repeated."),
]
Folder = Annotated[Path, typer.Argument(help="A folder that `align train` wrote.")]
Root = Annotated[Path | None, typer.Option(help="Folder with the data; default $ALIGN_DATA.")]
Data = Annotated[str, typer.Option(help="A name that align.load takes.")]
Masks = Annotated[Path | None, typer.Option(help="Parallel folder of mask images.")]


@app.command()
def train(
    method: Annotated[str, typer.Argument(help=f"One of {', '.join(METHODS)}.")] = "align",
    benchmark: Data = "toy-vlcs",
    source: Annotated[str, typer.Option(help="Domain to train on; default the first.")] = "",
    root: Root = None,
    size: Size = None,
    masks: Masks = None,
    seed: int = 0,
    out: Annotated[Path, typer.Option(help="Folder for the run and its checkpoint.")] = LATEST,
    settings: Settings = None,
) -> None:
    """Train on one domain, test on its held-out part and on every other domain."""
    config = Config(**{"method": method, "seed": seed} | _settings(settings))
    experiment = experiments.Experiment(
        benchmark, same(source) or "first", config, _options(size, masks)
    )
    data = experiment.data(root)
    experiment = experiment if source else replace(experiment, source=data.domains[0])
    note(data.missing)
    record, result = experiments.run(experiment, root=root, folder=out)
    result.save(out)
    (out / "record.json").write_text(json.dumps(record, indent=1))
    for name, values in record["metrics"].items():
        shift = "held out" if name == experiment.source else "elsewhere"
        print(
            f"{name:>14} ({shift}): accuracy {values['accuracy']:.3f}, "
            f"insertion AUC {values['insertion_auc']:.3f}"
        )
    print(f"saved in {out}")


@app.command()
def evaluate(
    folder: Folder,
    benchmark: Data = "toy-vlcs",
    domain: Annotated[str | None, typer.Option(help="Domain to test on; default all.")] = None,
    root: Root = None,
    size: Size = None,
    masks: Masks = None,
    controls: Annotated[bool, typer.Option(help="Also measure control explanations.")] = False,
) -> None:
    """Measure a trained run: accuracy, faithfulness, and localisation where masks exist."""
    run = Run.load(folder)
    if size is None and run.contract is not None:
        size = run.contract.size[0]
    data = load(benchmark, root, **_options(size, masks and found(masks, root)))
    note(data.missing)
    names = data.test_domains if domain is None else (domain,)
    result = {name: evaluation.evaluate(run, data[name], controls=controls) for name in names}
    print(json.dumps(result, indent=1))


app.command()(explain)


@app.command()
def export(
    folder: Folder, out: Annotated[Path, typer.Option(help="The file.")] = Path("model.pt2")
) -> None:
    """Write a run's classifier as a torch.export program, which needs torch and nothing else."""
    print(f"saved in {exporting.export(Run.load(folder), out)}")


@cache
def whole() -> typer.Typer:
    """`app` with other packages' commands; they may import this module, so it does not load them.

    Raises:
        ValueError: if a package that is there does not add its commands.
    """
    for point in plugins(FURTHER).values():
        with blamed(point, "plug-in"):
            if find_spec(point.module.partition(".")[0]) and find_spec(point.module):
                point.load()(app)
    return app


def note(sentences: list[str] | tuple[str, ...]) -> None:
    """Say on the error stream what numbers do not, such as what the data lack."""
    for sentence in sentences:
        print(f"align: note: {sentence}", file=sys.stderr)


def main() -> None:
    """Run the command line; an error that a reader can mend is one sentence, not a traceback."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")
    try:
        whole()()
    except (ValueError, OSError, KeyError, FloatingPointError) as error:
        # A KeyError's text is its argument's repr; an OSError's first argument is a number.
        message = error.args[0] if isinstance(error, KeyError) and error.args else str(error)
        print(f"align: {message}", file=sys.stderr)
        raise SystemExit(2) from None


PLAIN = {"±": "+/-", "†": "+", "×": "x", "−": "-", "·": "-", "…": "...", "ρ": "rho", "λ": "lambda"}
"""What a terminal that lacks a sign is given in its place."""


def _plain(error: UnicodeError) -> tuple[str, int]:
    """Signs that a terminal cannot print, in letters that it can."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(sign, "?") for sign in lacking), error.end


def _options(size: int | None, masks: Path | None) -> dict:
    options = {"size": size, "masks": masks and str(masks)}
    return {name: value for name, value in options.items() if value is not None}


def _settings(pairs: list[str] | None) -> dict:
    """`name=value` texts as values of the configuration: JSON, or else a text as it stands."""
    names = [field.name for field in fields(Config)]
    values: dict = {}
    for pair in pairs or []:
        name, mark, text = pair.partition("=")
        if not mark or name not in names:
            listed = ", ".join(names)
            raise ValueError(f"--set {pair}: expected name=value with one of the names {listed}")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = {"True": True, "False": False, "None": None}.get(text, text)
    return values
