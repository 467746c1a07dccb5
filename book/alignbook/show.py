"""The last line of every table: numbers become text here, and nowhere before.

A table holds numbers. Its columns are what is measured, or pairs (what, part): the parts of one
cell are `mean` or `difference`, with `low` and `high` where there is an interval, `verdict` (the
sign of a comparison that is told by its mark alone) and `error` (a reported standard error).
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from alignbook.measures import words

NOT_RUN = "not run here"
MISSING = "–"
PARTS = ("mean", "difference", "low", "high", "verdict", "error", "")
MARKS = {1: "*", -1: "†"}
SENTENCE = 44
"""Characters from which on a cell holds a sentence, which may wrap."""

SHORT = 12
"""Characters up to which a row's name stays on one line."""


class Shown:
    """A table for a reader: HTML in a notebook, plain text on the command line.

    Args:
        text: cells of text.
        note: a sentence that stands under it.
    """

    def __init__(self, text: pd.DataFrame, note: str = "") -> None:
        self.text, self.note = text, note

    def __repr__(self) -> str:
        table = "" if self.text.empty else self.text.to_string()
        return "\n\n".join(filter(None, (table, self.note)))

    def _repr_html_(self) -> str:
        said = re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(self.note))
        note = f'<p class="table-note">{said}</p>\n' if said else ""
        if self.text.empty:
            return note
        text = self.text.map(_joined).rename(index=_joined, columns=_joined)
        long = text.map(len) > SENTENCE
        classes = text.mask(long, "sentence").where(long, "")
        uuid = f"{zlib.crc32(self.text.to_string().encode()):08x}"
        style = Styler(text, uuid=uuid, cell_ids=False).format(escape="html")
        short = max(len(str(name)) for name in text.index) <= SHORT
        kinds = " short-names" * short + " two-names" * (text.index.nlevels > 1)
        style.set_table_attributes(f'class="dataframe{kinds}"')
        if classes.index.is_unique and classes.columns.is_unique:  # else pandas takes no classes
            style.set_td_classes(classes)
        return _one_head(style.to_html()) + note


BLANK = r'(?:<th class="blank[^>]*>&nbsp;</th>\s*)'
HEADS = re.compile(
    rf"(<thead>\s*<tr>)\s*{BLANK}+(.*?</tr>)\s*"
    rf'<tr>\s*((?:<th class="index_name[^>]*>[^<]*</th>\s*)+){BLANK}*</tr>\s*(</thead>)',
    re.DOTALL,
)
"""Two rows of headings, of which the second names the index alone."""


def _one_head(table: str) -> str:
    """The table with what its index is in the row of the other headings, not in one below."""
    return HEADS.sub(r"\1\n\3\2\4", table, count=1)


PARTED = re.compile(
    r"(?<=\d,) (?=[+−\d])| (?=[±=×])|(?<=[±=×]) | (?=s\.e\.)"
    r"|(?<=[−:]) (?=[\dA-Zλ])|(?<=\d) (?=px|epochs|%)"
)
"""Where no line may end, as in an interval, before an error or a unit, in `λ = 3` or `− ERM`."""

SUBSCRIPTS = str.maketrans("01234", "₀₁₂₃₄")


def _joined(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return PARTED.sub("\N{NO-BREAK SPACE}", subscripted(text))


def subscripted(text: str) -> str:
    """A text in which the number of a weight stands low, as in λ₁."""
    return re.sub(r"(?<=λ)\d", lambda found: found[0].translate(SUBSCRIPTS), text)


def show(table: pd.DataFrame | pd.Series, *, digits: int = 3, note: str = "") -> Shown:
    """Write a table of numbers for a reader.

    A mean is written `0.812 [0.790, 0.834]` with its 95 % interval, a difference with its sign and
    a mark: `*` where the interval lies above 0, `†` where it lies below.

    Args:
        table: rows and columns of numbers, see the module; an empty one says "not run here".
        digits: decimals of a number that is not whole. `attrs["digits"]` of the table may name
            another number for a column by its heading; −1 writes as few as there are.
        note: a sentence under it; without one, what the table's `attrs["note"]` says.

    Returns:
        The table in text.
    """
    note = note or table.attrs.get("note", "")
    of_columns: Mapping[Hashable, int] = table.attrs.get("digits", {})
    table = table.to_frame() if isinstance(table, pd.Series) else table
    if table.empty:
        return Shown(pd.DataFrame(), note or f"{NOT_RUN.capitalize()}.")
    text = {
        head: [cell(row, of_columns.get(head, digits)) for row in block.to_dict("records")]
        for head, block in _blocks(table).items()
    }
    return Shown(_named(pd.DataFrame(text, index=table.index), table), note)


def cell(parts: Mapping[Any, Any], digits: int = 3) -> str:
    """Write one cell of a table.

    Args:
        parts: the cell's numbers by part, see the module, or one value under any name.
        digits: decimals of a number that is not whole; −1 for as few as there are.
    """
    key = next((name for name in ("mean", "difference") if name in parts), next(iter(parts)))
    value, sign = parts[key], "+" if key == "difference" else ""
    if value is None or isinstance(value, float | np.floating) and np.isnan(value):
        return MISSING
    if not isinstance(value, float | np.floating):
        return str(value)
    low, high, error = (parts.get(name, np.nan) for name in ("low", "high", "error"))
    text = _signed(value, sign, digits) if digits >= 0 else f"{value:{sign}g}"
    told = int(low > 0) - int(high < 0) if sign else parts.get("verdict", 0)
    if not np.isnan(low):
        ends = (_end(end, sign, digits, told) for end in (low, high))
        text += f" [{', '.join(ends)}]"
    if not np.isnan(error):
        text += f" ± {error:.{digits}f} s.e."
    return text.replace("-", "−") + MARKS.get(told, "")


def _end(value: float, sign: str, digits: int, told: int) -> str:
    """An interval's end; one that excludes zero has the digits that show it."""
    while sign and told and value and digits < 9 and not float(f"{value:.{digits}f}"):
        digits += 1
    return _signed(value, sign, digits)


def _signed(value: float, sign: str, digits: int) -> str:
    """A number of so many decimals; what rounds to nothing has no sign."""
    text = f"{value:{sign}.{digits}f}"
    return text if float(text) else f"{0:.{digits}f}"


def _blocks(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    """The columns that make up each cell, by what they measure."""
    names = list(table.columns)
    if table.columns.nlevels > 1 and {name[-1] for name in names} <= set(PARTS):
        blocks = {}
        for head in dict.fromkeys(name[:-1] for name in names):
            block = table.loc[:, [name[:-1] == head for name in names]]
            block.columns = [name[-1] for name in names if name[:-1] == head]
            blocks[head[0] if len(head) == 1 else head] = block
        return blocks
    whole = ["difference", "low", "high"]
    if set(whole) <= set(names):
        others = {name: table[[name]] for name in names if name not in whole}
        return others | {"difference": table[whole]}
    return {name: table.loc[:, [name]] for name in names}


def _named(text: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The headings in words; what the rows are stands in the corner, not in a row of its own."""
    text.columns.names = table.columns.names[: text.columns.nlevels]
    if text.columns.nlevels == text.index.nlevels == 1 and text.columns.name is None:
        text.columns.name, text.index.name = text.index.name, None
    return text.rename(columns=_heading, index=_heading)


def _heading(name: Any) -> Any:
    if isinstance(name, float | np.floating):
        return f"{name:g}"
    return words(name) if isinstance(name, str) and "_" in name else name
