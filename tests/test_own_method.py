"""A method of one's own: a class is enough to train it, a file and a line make it the library's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

import align
from align import Config
from align.data.batches import Batch, Batches
from align.methods import METHODS, Align, Method, Mixup
from align.training import checkpoint, start, train_epoch
from align.training.loop import CHECKPOINT, flushed_denormals
from book.tools import project

TINY = Config(epochs=3, batch_size=32, warmup=1, head_start=1, alignment="energy", rounds=1)


class Swap(Method):
    """Objects before other images' scenes; draws random numbers at each step."""

    needs_masks = True
    reads = ("lambda3",)

    def loss(self, batch, epoch, generator):
        order = torch.randperm(len(batch.labels), generator=generator)
        masks = batch.masks[:, None].to(batch.images)
        swapped = masks * batch.images + (1 - masks) * batch.images[order]
        return {"loss": self.config.lambda3 * cross_entropy(self.classifier(swapped), batch.labels)}


class Slower(Align):
    """A variant with a masker."""


def bits(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def train(kind, domain, **options):
    return align.train(kind, domain, **{"config": TINY, "progress": False} | options)


def test_a_class_trains_to_the_bits_of_its_name(domain):
    by_name, by_class = train("mixup", domain), train(Mixup, domain)
    assert same(bits(by_name.classifier), bits(by_class.classifier))
    assert by_name.config == by_class.config and by_name.history == by_class.history


@pytest.mark.parametrize("kind", [Swap, Mixup, Slower])
def test_the_loop_written_out_gives_the_bits_of_the_librarys(kind, domain):
    """Every random number of a run, from the seed alone."""
    config = replace(TINY, method=kind, seed=7)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        classifier = align.Classifier("small-cnn", 5).to(memory_format=torch.channels_last)
        masker = align.Masker().to(memory_format=torch.channels_last)
    method = kind(classifier.train(), config, masker)
    batches = Batches(domain, 32, seed=7, augment=True)
    with flushed_denormals():
        for epoch in range(3):
            generator = torch.Generator().manual_seed(7 * 100_003 + 50_000 + epoch)
            method.begin(epoch)
            for step, batch in enumerate(batches.epoch(epoch)):
                method.set_progress((epoch + step / 5) / 3)
                method.update(batch, epoch, generator)
    run = train(kind, domain, seed=7)
    assert same(bits(classifier), bits(run.classifier))
    if kind.learns_masks:
        assert same(bits(masker), bits(run.masker))
    again = start(kind, domain, config)
    for epoch in range(3):
        train_epoch(again, batches, epoch)
    assert same(bits(again.classifier), bits(run.classifier))


def test_an_epoch_puts_its_networks_into_training_mode(domain):
    method = start("align", domain, TINY)
    method.classifier.eval(), method.masker.eval()
    train_epoch(method, Batches(domain, 160), 0)
    assert method.classifier.training and method.masker.training


def test_a_variant_of_align_has_its_masker_its_head_start_and_its_own_name(domain):
    run = train(Slower, domain)
    assert run.masker is not None and run.config.joint_from == 2
    assert "alignment" not in run.history[1] and "alignment" in run.history[2]
    assert (Slower.label, Align.label, Mixup.label) == ("Slower", "ALIGN", "Mixup")


def test_a_run_by_class_goes_on_from_its_checkpoint(domain, tmp_path, monkeypatch):
    whole = train(Swap, domain)

    def stop(bar):
        raise KeyboardInterrupt

    monkeypatch.setattr(align.training.loop.tqdm, "set_postfix", lambda bar, row: None)
    steps = iter(range(100))
    monkeypatch.setattr(
        align.training.loop.tqdm, "update", lambda bar: stop(bar) if next(steps) == 12 else None
    )
    with pytest.raises(KeyboardInterrupt):
        train(Swap, domain, checkpoint=tmp_path)
    assert len(checkpoint.read(tmp_path / CHECKPOINT)[1]["history"]) == 2
    monkeypatch.undo()
    resumed = train(Swap, domain, checkpoint=tmp_path)
    assert same(bits(whole.classifier), bits(resumed.classifier))
    with pytest.raises(ValueError, match=r"checkpoint of another run \(differs in method\)"):
        train("erm", domain, checkpoint=tmp_path)


def test_a_saved_run_is_read_once_its_method_has_a_name(domain, tmp_path, monkeypatch):
    run = train(Swap, domain)
    run.save(tmp_path)
    before = run.config.hash()
    with pytest.raises(ValueError, match="method is 'swap', .* once it stands in .*METHODS"):
        align.Run.load(tmp_path)
    monkeypatch.setitem(METHODS, "swap", Swap)
    found = align.Run.load(tmp_path)
    assert same(bits(run.classifier), bits(found.classifier))
    assert found.config.method == "swap" and found.config.hash() == before
    assert found.config == Config(**run.config.values()) == replace(TINY, method=Swap)


def test_what_a_new_method_reads_leaves_the_others_hashes_alone(monkeypatch):
    before = {name: Config(method=name).hash() for name in METHODS}

    class Greedy(Method):
        reads = ("lr", "lambda1", "seed")

    monkeypatch.setitem(METHODS, "greedy", Greedy)
    assert {name: Config(method=name).hash() for name in before} == before
    assert "lambda1" in Config(method="greedy").used()


@pytest.mark.parametrize("kind", [k for k in [*METHODS.values(), Swap] if k.needs_masks])
def test_a_method_that_needs_masks_says_so_of_a_domain_without(kind, domain):
    bare = replace(domain, masks=None)
    name = Config(method=kind).method_name
    message = f"method '{name}' needs masks and the training domain has none; load the data with"
    for call in (lambda: train(kind, bare), lambda: start(kind, bare)):
        with pytest.raises(ValueError, match=message) as error:
            call()
        assert "\n" not in str(error.value)
    batch = Batch(domain.images[:4].float() / 255, domain.labels[:4], None)
    with pytest.raises(ValueError, match=message):
        start(kind, domain).update(batch, 0, torch.Generator())


def test_what_is_no_method_or_has_the_name_of_another_is_refused(domain):
    another = type("Align", (Method,), {})
    with pytest.raises(ValueError, match="class Align, .*'align', another method has"):
        train(another, domain)
    for wrong in (dict, 3, None, object()):
        with pytest.raises(ValueError, match="expected one of erm, .* or a class that inherits"):
            train(wrong, domain)


@pytest.mark.parametrize("reads", [("lamda3",), "lambda3", ["lambda3"]])
def test_a_method_that_reads_what_is_not_there_is_refused_where_it_is_defined(reads):
    with pytest.raises(ValueError, match="Typo.reads is .*, expected a tuple of names of values"):
        type("Typo", (Method,), {"reads": reads})


PAGE = project.ROOT / "book" / "add_a_method.ipynb"

TOP = '''"""Objects before other images' scenes."""

import torch
from torch.nn.functional import cross_entropy

from align.methods.base import Method


'''
"""What the page's steps have a reader write above the class: its source and its imports."""


def steps():
    """What the page's steps name: the file, the method and the class."""
    text = "\n".join(cell.source for cell in project.notebook(PAGE).cells)
    (path,) = set(re.findall(r"`(align/methods/(?!__)\w+\.py)`", text))
    ((name, kind),) = re.findall(r'`"([\w-]+)": (\w+),`', text)
    return path, name, kind


def pasted(kind):
    """A file with the class of the page's first code, as it is but for the class's name."""
    (code,) = [c.source for c in project.notebook(PAGE).cells if "\nclass Swap(" in c.source]
    return TOP + code[code.index("class Swap(") :].replace("class Swap(", f"class {kind}(") + "\n"


def defined(kind):
    """The page's class under a name."""
    names = {"__name__": "pasted"}
    exec(pasted(kind), names)
    return names[kind]


def test_after_the_pages_steps_the_pages_own_class_still_trains(domain, monkeypatch):
    """Whoever does what the page says can run the page again, and has one method twice."""
    _, name, kind = steps()
    monkeypatch.setitem(METHODS, name, defined(kind))
    run, own = train(name, domain), train(defined("Swap"), domain)
    assert run.config.method == name
    assert same(bits(run.classifier), bits(own.classifier))


@pytest.mark.parametrize("check", [["check"], ["format", "--check"]])
def test_the_pages_class_in_its_file_passes_make_lint(check):
    path, _, kind = steps()
    command = [sys.executable, "-m", "ruff", *check, "--no-cache", "--stdin-filename", path, "-"]
    done = subprocess.run(
        command, cwd=project.ROOT, input=pasted(kind), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


USE = """
import json, sys
from pathlib import Path
import align
from align import records
from alignbook.campaign import grid
from align.experiment import Experiment, run
from align.cli import app
from alignbook import plotting, results, speed
from typer.testing import CliRunner

name = sys.argv[2]
config = align.Config(method=name, epochs=1, batch_size=16)
one = Experiment("toy-vlcs", "noon", config, {"n": 60, "size": 32}, explained=4)
record, trained = run(one, progress=False)
path = Path(sys.argv[1]) / "r.jsonl"
records.append(path, record)
(kept,) = records.read(path)
ran = CliRunner().invoke(app, ["train", "--help"])
print(json.dumps({
    "key": kept["key"] == one.key(),
    "table": sorted(set(results.frame([kept])["label"])),
    "style": plotting.method_style(name).label,
    "timed": name in speed.step_times(size=32, batch_size=8, steps=1, device="cpu").index,
    "grids": [grids for grids in ("toy", "toy-leave-one-out", "vlcs")
              if any(e.config.method == name for e in grid.experiments(grids))],
    "help": name in ran.output,
}))
"""


def test_one_file_and_one_line_make_it_the_librarys(tmp_path):
    """The page's steps in a copy: trained, recorded, tabled, drawn, timed, in grids, and tested."""
    skip = shutil.ignore_patterns("__pycache__", "*.ipynb", "mathjax", "results")
    for name in ("align", "book", "tests", "pyproject.toml", "_config.yml", "_toc.yml"):
        source = project.ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name, **({"ignore": skip} if source.is_dir() else {}))
    path, name, kind = steps()
    (tmp_path / path).write_text(pasted(kind))
    table = tmp_path / "align" / "methods" / "__init__.py"
    text = table.read_text()
    line = f"from {path.removesuffix('.py').replace('/', '.')} import {kind}\n"
    text = text.replace("import Mixup\n", f"import Mixup\n{line}", 1)
    entry = f'    "{name}": {kind},\n'
    table.write_text(text.replace('    "align": Align,\n', f'    "align": Align,\n{entry}'))
    paths = os.pathsep.join([str(tmp_path), str(tmp_path / "book"), str(tmp_path / "tests")])
    environment = os.environ | {"PYTHONPATH": paths, "TQDM_DISABLE": "1"}

    def python(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    assert python("-c", USE, str(tmp_path), name).splitlines()[-1] == (
        f'{{"key": true, "table": ["{kind}"], "style": "{kind}", "timed": true, '
        '"grids": ["toy", "toy-leave-one-out"], "help": true}'
    )
    tests = ["tests/test_methods.py", "tests/test_training.py"]
    said = python("-m", "pytest", "-q", "-k", name, "-p", "no:cacheprovider", *tests)
    assert " passed" in said
