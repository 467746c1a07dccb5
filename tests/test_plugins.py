"""Plug-ins: benchmarks and commands of other packages, found by their entry points."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
import torch
import typer
from typer.main import get_command

import align
from align import files
from align.cli import app
from align.cli import commands as cli
from align.data import benchmarks, is_rendered
from align.data.mask_sources import brightness, mask_source
from align.experiment import Experiment, run
from book.tools import project

BOOK = EntryPoint("book", "alignbook.commands:add", cli.FURTHER)
STRIPES = '''
"""Light pictures and dark ones."""
import torch
import align

def load(*, size=16, seed=0, count=20):
    def drawn(name):
        rng = torch.Generator().manual_seed(2 * seed + (name == "there"))
        images = torch.rand(count, 3, size, size, generator=rng)
        labels = torch.arange(count) % 2
        images = (images * 100 + 100 * labels[:, None, None, None]).to(torch.uint8)
        return align.Domain(name, images, labels, ("dark", "light"))
    return align.Benchmark("stripes", ("dark", "light"),
                           {name: lambda name=name: drawn(name) for name in ("here", "there")})

def read(root, **options):
    raise FileNotFoundError(f"nothing in {root}: {sorted(options)}")

def bright(images, seed):
    return (images.float().mean(1) > 255 * seed / 10).float()

def other():
    return 3

number = 3
'''


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install a package `stripes` that declares what it is given; return nothing."""

    def install(group="align.benchmarks", **points):
        site = tmp_path / "site"
        site.mkdir()
        (site / "stripes.py").write_text(STRIPES)
        (site / "wrong.py").write_text("raise RuntimeError('no such device')\n")
        metadata = site / "stripes-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stripes\nVersion: 1.0\n")
        lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(site)
        files.plugins.cache_clear()

    yield install
    sys.modules.pop("stripes", None)
    files.plugins.cache_clear()


def run_align(words, monkeypatch):
    """The exit status of a new command line."""
    monkeypatch.setattr(sys, "argv", ["align", *words])
    monkeypatch.setattr(cli, "app", typer.Typer(no_args_is_help=True))
    monkeypatch.setattr(cli, "whole", cli.whole.__wrapped__)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code


def every_command(command):
    """A click command and all below it, each with what it is called by."""
    yield command
    for one in getattr(command, "commands", {}).values():
        yield from every_command(one)


def test_a_benchmark_of_ones_own_is_loaded_and_trained_on_by_its_name(installed):
    installed(stripes="stripes:load")
    data = align.load("stripes", size=24)
    assert data.domains == ("here", "there") and data["here"].images.shape == (20, 3, 24, 24)
    config = align.Config("erm", epochs=1, batch_size=4, seed=3)
    one = Experiment("stripes", "here", config, {"count": 30}, explained=4)
    record, _ = run(one, progress=False)
    assert record["key"] == one.key() and record["benchmark"] == "stripes"
    # It draws its pictures, so it is given the experiment's seed.
    assert record["data"]["there"] == align.load("stripes", count=30, seed=3)["there"].fingerprint()
    assert record["metrics"]["there"]["count"] == 30


def test_its_options_are_checked_as_those_of_the_others(installed):
    installed(stripes="stripes:load", files="stripes:read")
    with pytest.raises(ValueError, match="no option colour, expected some of count, seed, size"):
        align.load("stripes", colour="red")
    with pytest.raises(ValueError, match="'stripes' is rendered, not read: leave out root"):
        align.load("stripes", "pictures")
    with pytest.raises(FileNotFoundError, match=r"nothing in pictures: \['masks', 'size'\]"):
        align.load("files", "pictures", size=32, masks="boxes")
    with pytest.raises(ValueError, match="'files' has no option colour, expected some of cache"):
        align.load("files", "pictures", colour="red")


def test_an_unknown_name_lists_every_other(installed):
    installed(stripes="stripes:load")
    with pytest.raises(ValueError, match="benchmark is 'strips', expected one of") as said:
        align.load("strips")
    listed = {"stripes", "toy-vlcs", "toy-terra", "composite", "vlcs", "waterbirds", "folder"}
    assert listed <= {*str(said.value).rpartition(" of ")[2].split(", ")}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("stripes_of_old:load", "ModuleNotFoundError: No module named 'stripes_of_old'"),
        ("stripes:draw", "AttributeError: module 'stripes' has no attribute 'draw'"),
        ("stripes:number", "TypeError: 3 is not a callable object"),
        ("wrong:load", "RuntimeError: no such device"),
    ],
)
def test_a_broken_one_says_so_and_leaves_the_others_alone(installed, value, why):
    installed(stripes=value)
    sentence = f"'stripes' is declared as {value}, expected a function .* {why}; mend or remove"
    with pytest.raises(ValueError, match=sentence):
        align.load("stripes")
    with pytest.raises(ValueError, match=sentence):
        Experiment("stripes", "here", align.Config()).data()
    assert len(align.load("toy-vlcs", n=10, size=16)) == 4
    with pytest.raises(ValueError, match="expected one of .*stripes"):
        align.load("strips")


def test_one_that_returns_something_else_says_so(installed):
    installed(stripes="stripes:other")
    with pytest.raises(ValueError, match="'stripes' returns is 3, expected an align.Benchmark"):
        align.load("stripes")


def test_a_mask_source_of_ones_own(installed):
    installed("align.masks", bright="stripes:bright", gray="stripes:other", gone="gone:masks")
    domain = align.load("toy-vlcs", n=10, size=16)["noon"]
    masked = mask_source("bright", domain, seed=4)
    assert torch.equal(masked.masks, (domain.images.float().mean(1) > 102).float())
    assert masked.mask_source == "bright" and masked.masks.mean() > 0
    assert torch.equal(mask_source("gray", domain).masks, brightness(domain.images))
    with pytest.raises(ValueError, match="mask source 'gone' is declared as gone:masks, expected"):
        mask_source("gone", domain)
    one = Experiment(
        "toy-vlcs", "noon", align.Config("guided", seed=4), {"n": 10}, mask_source="bright"
    )
    assert one.split(one.data())[0].mask_source == "bright"


def test_nothing_stands_in_for_a_reader_of_the_library(installed):
    installed(vlcs="stripes:other")
    assert benchmarks()["vlcs"].value == "align.data.folders:load_vlcs"


def test_what_is_rendered_takes_a_seed_and_no_root(installed):
    installed(stripes="stripes:load", files="stripes:read")
    drawn = {name for name in benchmarks() if is_rendered(name)}
    assert drawn == {"toy-vlcs", "toy-terra", "stripes"}
    assert not is_rendered("strips")


def test_no_benchmark_is_imported_before_it_is_asked_for():
    program = (
        "import sys, align; from align.data import benchmarks; assert 'toy-vlcs' in benchmarks();"
        "print([m for m in sys.modules if m.startswith(('alignbook', 'align.data.folders'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_one_experiment_looks_for_benchmarks_once(installed, monkeypatch):
    installed(stripes="stripes:load")
    looked, look = [], files.entry_points

    def entry_points(group):
        looked.append(group)
        return look(group=group)

    monkeypatch.setattr(files, "entry_points", entry_points)
    one = Experiment("stripes", "here", align.Config(seed=3), {"size": 8})
    assert len(one.data()["here"]) == len(one.data()["there"]) == 20
    assert looked == ["align.benchmarks"]


def test_the_book_adds_its_commands_once():
    assert align.cli.app is app  # asked for again
    commands = [one.callback.__name__ for one in app.registered_commands]
    assert {"train", "demo", "speed", "gpu"} <= {*commands}
    assert [one.name for one in app.registered_groups] == ["benchmark", "data"]
    assert len({*commands}) == len(commands)
    found = get_command(app).commands
    assert {"run", "table", "figure"} <= {*found["benchmark"].commands}
    assert {"get", "check", "pack"} <= {*found["data"].commands}


def test_an_option_says_the_same_wherever_it_is():
    options = [one for command in every_command(get_command(app)) for one in command.params]
    roots = [one.help for one in options if one.name == "root"]
    assert len(roots) == 8 and {*roots} == {"Folder with the data; default $ALIGN_DATA."}


def test_a_shell_completes_the_books_commands(monkeypatch, capsys):
    monkeypatch.setenv("_ALIGN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "align d")
    monkeypatch.setenv("COMP_CWORD", "1")
    monkeypatch.setattr(sys.modules["__main__"], "__package__", None, raising=False)
    assert run_align([], monkeypatch) == 0
    assert capsys.readouterr().out.split() == ["doctor", "demo", "data"]


def test_a_checkout_says_itself_what_is_added():
    assert files.plugins(cli.FURTHER)["book"] == BOOK


def test_what_is_installed_is_asked_as_well(installed, tmp_path, monkeypatch):
    installed(cli.FURTHER, stripes="stripes:other", book="stripes:number")
    other = EntryPoint("stripes", "stripes:other", cli.FURTHER)
    found = files.plugins(cli.FURTHER)
    assert found["stripes"] == other and found["book"] == BOOK  # the checkout's comes first
    monkeypatch.setattr(files, "__file__", str(tmp_path / "align" / "files.py"))
    files.plugins.cache_clear()
    assert files.plugins(cli.FURTHER)["stripes"] == other
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")  # somebody else's
    files.plugins.cache_clear()
    assert files.plugins(cli.FURTHER)["stripes"] == other
    assert files.plugins("align.nothing") == {}


def test_commands_that_are_not_there_are_passed_over(installed, monkeypatch, capsys):
    installed(cli.FURTHER, gone="alignbook.nowhere:add", nobody="no_such_package.commands:add")
    assert {"gone", "nobody", "book"} <= {*files.plugins(cli.FURTHER)}
    assert run_align(["--help"], monkeypatch) == 0
    assert "doctor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("stripes:draw", "AttributeError: module 'stripes' has no attribute 'draw'"),
        ("stripes:number", "TypeError: 'int' object is not callable"),
        ("stripes:other", "TypeError: other() takes 0 positional arguments but 1 was given"),
        ("wrong:add", "RuntimeError: no such device"),
        ("wrong.commands:add", "RuntimeError: no such device"),
    ],
)
def test_broken_commands_are_told_in_one_sentence(installed, value, why, monkeypatch, capsys):
    installed(cli.FURTHER, stripes=value)
    assert run_align(["doctor"], monkeypatch) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err == (
        f"align: plug-in 'stripes' is declared as {value}, expected a function that can be "
        f"imported and called, but {why}; mend or remove that package\n"
    )


@pytest.mark.parametrize(
    "module", ["align.cli.commands", "alignbook.benchmark_commands", "alignbook.getting.commands"]
)
def test_whatever_is_imported_first_the_command_line_is_whole_and_not_before(module):
    program = (
        f"import sys, {module}; before = 'alignbook.commands' in sys.modules; "
        "from align.cli import app; print(before, *(g.name for g in app.registered_groups))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.ROOT, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "benchmark", "data"], done.stderr


def test_the_library_alone_has_its_own_commands_and_readers_only():
    """Without the book on the path nothing of it is missed, but by who asks for it."""
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if 'book' not in p.split('/')]; "
        "sys.modules['alignbook'] = None; import align; "
        "from align import cli; print([c.callback.__name__ for c in cli.app.registered_commands])\n"
        "try: align.load('toy-vlcs')\nexcept ValueError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout and "demo" not in done.stdout
    assert "'toy-vlcs' is declared as alignbook.worlds.toy:toy_vlcs, expected" in done.stdout
