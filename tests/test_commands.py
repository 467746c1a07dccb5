"""The command line: the library's own commands, and those that other packages add."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

from align.cli import commands as cli
from alignbook.benchmark_commands import benchmark_app
from book.tools import project

BOOK = EntryPoint("book", "alignbook.commands:add", cli.FURTHER)


def names(app):
    return {one.name or one.callback.__name__ for one in app.registered_commands}


def test_the_book_adds_its_commands():
    assert {"train", "demo", "speed", "gpu"} <= names(cli.app)
    assert {"run", "table", "figure"} <= names(benchmark_app)
    assert benchmark_app in [group.typer_instance for group in cli.app.registered_groups]


def test_a_checkout_says_itself_what_is_added():
    assert list(cli.further()) == [BOOK]


def test_what_is_installed_is_asked_where_there_is_no_checkout(tmp_path, monkeypatch):
    other = EntryPoint("other", "json:dumps", cli.FURTHER)
    gone = EntryPoint("gone", "alignbook.nowhere:add", cli.FURTHER)
    nobody = EntryPoint("nobody", "no_such_package.commands:add", cli.FURTHER)
    asked = []

    def installed(group):
        asked.append(group)
        return [other, gone, nobody]

    monkeypatch.setattr(cli, "entry_points", installed)
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "align" / "cli" / "commands.py"))
    assert list(cli.further()) == [other] and asked == [cli.FURTHER]
    (tmp_path / "pyproject.toml").write_text("[tool.other]\n")  # somebody else's
    assert list(cli.further()) == [other]


def test_the_library_alone_has_its_own_commands_only():
    """Without the book on the path nothing of it is missed."""
    program = (
        "import sys; sys.path[:] = [p for p in sys.path if 'book' not in p.split('/')]; "
        "sys.modules['alignbook'] = None; "
        "from align import cli; print([c.callback.__name__ for c in cli.app.registered_commands])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout and "demo" not in done.stdout
