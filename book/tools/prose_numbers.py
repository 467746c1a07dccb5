"""Find numbers in prose that look measured, and ask where each comes from.

    python -m book.tools.prose_numbers

A number *looks measured* if it has a decimal point, is a percentage, counts seconds, minutes or
hours, or says how many times. It is *bound* if one of these holds:

1. a record says it: an HTML comment follows, which no reader sees, with an expression over the
   recorded runs, as in `0.083<!--= gain("toy-vlcs", "true masks, energy") -->`. The expression is
   evaluated and must round to what is written;
2. code says it: the same number stands as a literal in a code cell of the same notebook, where it
   sets something up or is asserted;
3. it is a constant by definition, listed with its reason in `book/constants.yml`.

Code, links and the names of files are not prose; formulas are, as far as their decimals go.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from book.tools import plain, project

CONSTANTS = project.ROOT / "book" / "constants.yml"
NUMBER = r"(?<![\w./-])[+−-]?(?:\d+(?:[.,]\d+)*|\.\d+)"
UNITS = r"%|percent|per cent|seconds?|s|ms|minutes?|min|hours?|h|times|-fold|×|images/s"
LOOKS = re.compile(
    rf"(?P<number>{NUMBER})(?P<unit>\s?(?:{UNITS})(?![\w]))?"
    r"(?P<bound><!--=(?P<expression>.*?)-->)?"
)
FENCE = re.compile(r"^\s*(?P<mark>`{3,}|~{3,}|:{3,})(?P<name>\{[\w:-]+\})?")
NOT_PROSE = (
    r"(?m)^:[\w-]+:.*$",  # its options
    r"\{[\w:]+\}`[^`]*`",  # roles
    r"`[^`]*`",  # code
    r"\]\([^)]*\)",  # targets of links
    r"<?https?://\S+",
    r"(?s)<!--(?!=).*?-->",
    plain.LEVEL,  # an exercise's estimate
)


def measured(markdown: str) -> Iterator[tuple[str, str, float, str | None]]:
    """Yield what looks measured: its text, its line, its value and the expression that binds it."""
    prose = "\n".join(_outside_code(markdown))
    for pattern in NOT_PROSE:
        prose = re.sub(pattern, lambda found: "\n" * found[0].count("\n") or " ", prose)
    for line in prose.splitlines():
        for found in LOOKS.finditer(line):
            number, unit = found["number"], (found["unit"] or "").strip()
            if "." not in number and not unit:
                continue
            value = float(number.replace("−", "-").replace(",", ""))
            yield f"{number}{found['unit'] or ''}", line.strip(), value, found["expression"]


def _outside_code(markdown: str) -> Iterator[str]:
    """Yield each line; one of fenced code, or of a fence itself, as an empty line."""
    open_fences: list[str] = []  # a directive's words are prose, and it may hold further fences
    code = ""
    for line in markdown.splitlines():
        fence = FENCE.match(line)
        if code:
            code = "" if line.strip() and not line.strip().strip(code[0]) else code
            yield ""
        elif fence and open_fences and line.strip() == open_fences[-1]:
            open_fences.pop()
            yield ""
        elif fence and fence["name"]:
            open_fences.append(fence["mark"])
            yield ""
        elif fence:
            code = fence["mark"]
            yield ""
        else:
            yield line


def problems(page: str, markdown: str, code: str, constants: dict[str, Any]) -> list[str]:
    """Return one sentence for each number of a page that nothing binds.

    Args:
        page: its name, such as `book/saliency`.
        markdown: its prose.
        code: the source of its code cells, or nothing.
        constants: the page's part of `book/constants.yml`.
    """
    literals = set(_literals(code))
    found = []
    for text, line, value, expression in measured(markdown):
        if expression is not None:
            said = _evaluate(expression)
            if round(said, _digits(text)) != value:
                found.append(f"{page}: the records say {said:.6g} and the prose {text}: {line}")
        elif text not in constants and not {abs(value), abs(value) / 100} & literals:
            found.append(f"{page}: nothing binds '{text}' in: {line}")
    return found


def parsed(code: str) -> ast.Module:
    """The syntax of a notebook's code, in which magics and commands do nothing."""
    return ast.parse(re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", code))


def _literals(code: str) -> Iterator[float]:
    for node in ast.walk(parsed(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield float(node.value)


def _digits(text: str) -> int:
    return len(re.match(NUMBER, text)[0].partition(".")[2])


def _evaluate(expression: str) -> float:
    return float(eval(expression, {"__builtins__": {}}, names()))  # the book's own pages, not input


def names() -> dict[str, Any]:
    """What an expression over the records may call."""
    from alignbook import estimates, results

    def rows(grids: str, where: dict[str, Any]) -> Any:
        """The recorded rows of one grid, or of `several + grids`, with these values.

        A tuple stands for any of its values.
        """
        table = results.recorded(*grids.split(" + "))
        for column, value in where.items():
            table = table[table[column].isin(value if isinstance(value, tuple) else (value,))]
        return table

    def mean(
        grids: str, label: str, metric: str = "accuracy", shift: str = "out", **where: Any
    ) -> float:
        return results.by_seed(rows(grids, where), metric, shift)[label].mean()

    def gap(
        grids: str, first: str, second: str = "ERM", metric: str = "accuracy", **where: Any
    ) -> Any:
        shift = where.pop("shift", "out")
        return estimates.compare(rows(grids, where), first, second, metric, shift=shift)

    return {
        "mean": mean,
        "gap": gap,
        "gain": lambda *words, **more: gap(*words, **more).mean,
        "effect": _effect,
        "round": round,
        "abs": abs,
    }


def _effect(row: str, metric: str = "accuracy", masks: str = "") -> Any:
    """What one changed choice does: `difference`, `low`, `high`.

    To ALIGN, or where `masks` names a kind of `swap_choices.KINDS`, to the swap at these.
    """
    return next(_effects(metric, masks).loc[[row]].itertuples())


@cache
def _effects(metric: str, masks: str) -> Any:
    from alignbook import ablations, results
    from alignbook.campaign import swap_choices

    if not masks:
        return ablations.effects(results.recorded("ablations"), metric)
    levels = swap_choices.levels(masks)
    return ablations.effects(results.recorded("swap-choices"), metric, levels=levels)


def pages() -> Iterator[tuple[str, str, str]]:
    """Yield name, prose and code of README.md and of each page of the book."""
    yield "README", (project.ROOT / "README.md").read_text(encoding="utf-8"), ""
    for name in project.pages():
        path = project.ROOT / f"{name}.md"
        if path.is_file():
            yield name, path.read_text(encoding="utf-8"), ""
            continue
        cells = project.notebook(path.with_suffix(".ipynb")).cells
        prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        # The first cell's minutes are an announcement, not a definition.
        codes = [cell.source for cell in cells if cell.cell_type == "code"][1:]
        yield name, prose, "\n".join(codes)


def constants(path: Path = CONSTANTS) -> dict[str, dict[str, str]]:
    """Return the definitional constants: page, then text, then reason."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def main() -> int:
    known = constants()
    found = [
        line
        for name, prose, code in pages()
        for line in problems(name, prose, code, known.get(name, {}))
    ]
    print("\n".join(found) or "every number in prose is bound")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(project.told(main))
