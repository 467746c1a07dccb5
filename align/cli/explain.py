"""`align explain`: pictures from the disk to numbers and figures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from tqdm.auto import tqdm

from align import explanation
from align.explanation import Explanation, draw, pictures, pretrained, read
from align.networks.classifier import Classifier
from align.training import Run

FIGURES = (".png", ".svg", ".pdf")
LATEST = Path("runs/latest")
MOST = 100
"""Pictures in one figure: a row each."""

Size = Annotated[int | None, typer.Option(help="Side of the images, in pixels.")]
Out = Annotated[Path | None, typer.Option(help="A .png or .svg for all, or a folder: one each.")]


def explain(
    paths: Annotated[list[str], typer.Argument(help="Pictures, folders, or patterns.")],
    run: Annotated[Path | None, typer.Option(help=f"A trained run; default {LATEST}.")] = None,
    backbone: Annotated[str | None, typer.Option(help="A torchvision model, not a run.")] = None,
    weights: Annotated[str, typer.Option(help="Its weights: a name or a file.")] = "DEFAULT",
    size: Size = None,
    out: Out = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print numbers as JSON.")] = False,
) -> None:
    """Say of pictures what they show, where the evidence is, and what the mask keeps of it."""
    model, classes, side = _model(run, backbone, weights, size)
    files = pictures(paths)
    done: list[tuple[Path, Explanation]] = []
    for path, image in tqdm(read(files, side), total=len(files), unit="picture", disable=None):
        if isinstance(image, str):
            print(f"align: '{path}' cannot be read: {image}", file=sys.stderr)
            continue
        found = explanation.explain(model, image[None], classes=classes)
        done.append((path, found))
        if not as_json:
            print(f"{path}: {_sentence(found)}")
    if as_json:
        print(json.dumps([{"file": path.as_posix()} | found.row(0) for path, found in done]))
    if out is not None and done:
        _draw(done, out)
    if len(done) < len(files):
        raise typer.Exit(1)


def _model(
    run: Path | None, backbone: str | None, weights: str, size: int | None
) -> tuple[Run | Classifier, tuple[str, ...] | None, int]:
    if backbone is not None:
        if run is not None:
            raise ValueError("--run and --backbone are both given, expected one of them")
        return *pretrained(backbone, weights), size or 224
    trained = Run.load(folder := run or LATEST)
    if trained.contract is None:
        raise ValueError(
            f"the run in '{folder}' does not say what it was trained on; train it anew"
        )
    return trained, None, size or trained.contract.size[0]


def _sentence(found: Explanation) -> str:
    row = found.row(0)
    words = f"{row['predicted']} ({found.probabilities.max():.0%})"
    if found.masks is None:
        return words
    return (
        f"{words}; {row['evidence_inside']:.0%} of the evidence inside the mask; "
        f"{row['kept']:.0%} when it is kept, {row['removed']:.0%} when it is removed"
    )


def _draw(done: list[tuple[Path, Explanation]], out: Path) -> None:
    if out.suffix.lower() in FIGURES:
        if len(done) > MOST:
            raise ValueError(
                f"--out is one figure, '{out}', for {len(done)} pictures, expected at most {MOST}; "
                "name a folder, which gets a figure a picture, or explain fewer"
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        whole = Explanation.join([found for _, found in done])
        draw(whole, [path.name for path, _ in done]).savefig(out, dpi=120)
        return
    if out.suffix:
        raise ValueError(f"--out is '{out}', expected a folder, or a file of {', '.join(FIGURES)}")
    out.mkdir(parents=True, exist_ok=True)
    for path, found in done:
        name, number = path.stem, 1
        while (out / f"{name}.png").exists() and number < 10**4:
            number += 1
            name = f"{path.stem}-{number}"
        draw(found, [path.name]).savefig(out / f"{name}.png", dpi=120)
