"""Tables that the `rich` library draws in a log, and the one of them that a build is judged by: precision."""

import math
import re
from dataclasses import dataclass
from typing import Any

_SIDES = re.compile(r"[│┃║|]")
_ASCII_EDGE = re.compile(r"[|+][|+=-]{2,}")
_OPENING, _INNER, _CLOSING = "┏┌╔", "┡├┠╞╠┢", "└┗╚"
_MAX_LINES = 200  # physical lines of one row: one that never ends is no row

FIRST_CHARACTERS = frozenset("│┃║|+" + _OPENING + _INNER + _CLOSING)

# A column's name by its first letters: in a narrow terminal the rest may be cut or wrapped.
_COLUMNS = {
    "op": "operator",
    "ty": "type",
    "ou": "output",
    "sh": "shape",
    "dt": "dtype",  # DType; QDType beside it
    "da": "dtype",  # Data Type, up to 1.9
    "qd": "quantized_dtype",
    "co": "cosine",  # Cosin; Cosin Distance up to 1.9
    "ms": "mse",
}
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,25})?(?:[eE][-+]?\d{1,3})?")


class TableReader:
    """Turns the lines of one table into a header and rows; `closed` once its last border has come.

    Rows are told apart by the lines drawn between them; in a table without such lines, a row begins where the
    last column is not blank. Cells may be wrapped over several lines.
    """

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.closed = False
        self._lines: list[list[str]] = []
        self._separated = False

    def feed(self, line: str) -> list[list[str]]:
        """Take in one stripped line of the table; returns the rows that it completes."""
        first = line[:1]
        if first in _OPENING or first in _INNER or first in _CLOSING or _ASCII_EDGE.fullmatch(line):
            return self._edge(closing=first in _CLOSING or first == "+")
        cells = _SIDES.split(line)[1:-1]
        if cells and len(self._lines) < _MAX_LINES:
            self._lines.append(cells)
        return []

    def finish(self) -> list[list[str]]:
        """The rows still held when the table, or the text, ends."""
        held, self._lines = self._lines, []
        if not held or self.header is None:
            return []
        if self._separated:
            return [_join(held)]
        rows: list[list[list[str]]] = []
        for cells in held:
            if not rows or cells[-1].strip():
                rows.append([])
            rows[-1].append(cells)
        return [_join(row) for row in rows]

    def _edge(self, *, closing: bool) -> list[list[str]]:
        if not self._lines:
            return []
        if self.header is None:
            self.header, self._lines = _join(self._lines), []
            return []
        self._separated = self._separated or not closing
        self.closed = closing
        return self.finish()


def _join(lines: list[list[str]]) -> list[str]:
    """One text per column; a piece that fills its cell was cut inside a word, so no blank follows it."""
    if len(lines) == 1:
        return [cell.strip() for cell in lines[0]]
    texts = []
    for column in range(max(map(len, lines))):
        text = ""
        cut = False
        for cells in lines:
            cell = cells[column] if column < len(cells) else ""
            if piece := cell.strip():
                text += piece if cut or not text else f" {piece}"
                cut = len(piece) >= len(cell) - 2
        texts.append(text)
    return texts


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One layer of the precision table: how near the quantised output is to the float one.

    `dtype` is the column DType (Data Type up to 1.9), `quantized_dtype` the column QDType of newer versions.
    A number that is cut short by the table's width is None.
    """

    operator: str
    type: str | None
    output: str | None
    shape: list[int] | None
    dtype: str | None
    quantized_dtype: str | None
    cosine: float | None
    mse: float | None

    def to_json(self) -> dict[str, Any]:
        """The row as plain data with exactly the keys of the `parse-log` contract."""
        keys = ("operator", "type", "output", "shape", "dtype", "cosine", "mse")
        return {key: getattr(self, key) for key in keys}


def precision_columns(header: list[str]) -> dict[str, int]:
    """Which column holds which value; empty for another table, one without an operator or a cosine."""
    columns: dict[str, int] = {}
    for index, title in enumerate(header):
        if name := _COLUMNS.get(title[:2].lower()):
            columns.setdefault(name, index)
    return columns if {"operator", "cosine"} <= columns.keys() else {}


def precision_row(cells: list[str], columns: dict[str, int]) -> tuple[PrecisionRow, str | None]:
    """One row, and a warning where its cosine is no number."""
    text = {name: cells[index] or None for name, index in columns.items() if index < len(cells)}
    row = PrecisionRow(
        operator=text.get("operator") or "",
        type=text.get("type"),
        output=text.get("output"),
        shape=_shape(text.get("shape") or ""),
        dtype=text.get("dtype"),
        quantized_dtype=text.get("quantized_dtype"),
        cosine=_number(text.get("cosine") or ""),
        mse=_number(text.get("mse") or ""),
    )
    printed = text.get("cosine")
    return row, None if row.cosine is not None else f"the cosine of {row.operator} is printed as {printed}"


def _number(text: str) -> float | None:
    digits = text.replace(" ", "")
    value = float(digits) if _NUMBER.fullmatch(digits) else math.inf
    return value if math.isfinite(value) else None


def _shape(text: str) -> list[int] | None:
    if not re.fullmatch(r"[(\[][\d, ]{0,400}[)\]]", text):
        return None
    return [int(size) for size in re.findall(r"\d{1,15}", text)]
