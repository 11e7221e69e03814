"""Tables that the `rich` library draws in a log, and the one of them that a build is judged by: precision."""

import re

from helpers.logs.records import PrecisionRow

_SIDES = re.compile(r"[│┃║|]")
OPENING, _CLOSING = "┏┌╔", "└┗╚"
_EDGE = re.compile(rf"[{OPENING}┡├┠╞╠┢{_CLOSING}]|[|+][|+=-]{{2,}}$")
_MAX_LINES = 200  # physical lines of one row: one that never ends is no row

FIRST_CHARACTERS = frozenset(f"│┃║|+┡├┠╞╠┢{OPENING}{_CLOSING}")

# A column's name by its first letters: in a narrow terminal the rest may be cut or wrapped. DType was
# Data Type, and Cosin was Cosin Distance, up to 1.9.
_COLUMNS = {
    "op": "operator", "ty": "type", "ou": "output", "sh": "shape", "dt": "dtype", "da": "dtype",
    "co": "cosine", "ms": "mse",
}  # fmt: skip
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,25})?(?:[eE][-+]?\d{1,2})?")
_SHAPE = re.compile(r"[(\[][\d, ]{0,400}[)\]]")


class TableReader:
    """Turns the lines of one table into a header and rows; `closed` once its last border has come.

    Rows are told apart by the lines drawn between them; in a table without such lines, a row begins where the
    last column is not blank. Cells may be wrapped over several lines.
    """

    def __init__(self) -> None:
        self.header: list[str] | None = None
        self.columns: dict[str, int] = {}  # those of a precision table
        self.closed = False
        self._lines: list[list[str]] = []
        self._separated = False

    def feed(self, line: str) -> list[list[str]]:
        """Take in one stripped line of the table; returns the rows that it completes."""
        if not _EDGE.match(line):
            cells = _SIDES.split(line)[1:-1]
            if cells and len(self._lines) < _MAX_LINES:
                self._lines.append(cells)
        elif self._lines and self.header is None:
            self.header, self._lines = _join(self._lines), []
            self.columns = precision_columns(self.header)
        elif self._lines:
            self.closed = line[0] in f"+{_CLOSING}"
            self._separated = self._separated or not self.closed
            return self.finish()
        return []

    def finish(self) -> list[list[str]]:
        """The rows still held when the table, or the text, ends."""
        held, self._lines = self._lines, []
        rows: list[list[list[str]]] = []
        for cells in held if self.header else ():
            if not rows or (cells[-1].strip() and not self._separated):
                rows.append([])
            rows[-1].append(cells)
        return [_join(row) for row in rows]


def _join(lines: list[list[str]]) -> list[str]:
    """One text per column; a piece that fills its cell was cut inside a word, so no blank follows it."""
    if len(lines) == 1:
        return [cell.strip() for cell in lines[0]]
    texts = []
    for column in range(max(map(len, lines))):
        text, cut = "", True
        for cell in (cells[column] for cells in lines if column < len(cells)):
            if piece := cell.strip():
                text += piece if cut else f" {piece}"
                cut = len(piece) >= len(cell) - 2
        texts.append(text)
    return texts


def precision_columns(header: list[str]) -> dict[str, int]:
    """Which column holds which value; empty for another table, one without an operator or a cosine."""
    columns: dict[str, int] = {}
    for index, title in enumerate(header):
        if name := _COLUMNS.get(title[:2].lower()):
            columns.setdefault(name, index)
    return columns if {"operator", "cosine"} <= columns.keys() else {}


def precision_row(cells: list[str], columns: dict[str, int]) -> tuple[PrecisionRow, str | None]:
    """One row, and a warning where its cosine is no number."""
    text = {name: cells[index] for name, index in columns.items() if index < len(cells)}
    shape = text.get("shape", "")
    row = PrecisionRow(
        operator=text.get("operator", ""),
        type=text.get("type") or None,
        output=text.get("output") or None,
        shape=list(map(int, re.findall(r"\d{1,15}", shape))) if _SHAPE.fullmatch(shape) else None,
        dtype=text.get("dtype") or None,
        cosine=_number(text.get("cosine", "")),
        mse=_number(text.get("mse", "")),
    )
    if row.cosine is not None:
        return row, None
    return row, f"the cosine of {row.operator} is printed as {text.get('cosine') or None}"


def _number(text: str) -> float | None:
    digits = text.replace(" ", "")
    return float(digits) if _NUMBER.fullmatch(digits) else None
