"""Tables that the `rich` library draws in a log: cells, also when they are wrapped over several lines."""

import re

_SIDES = re.compile(r"[│┃║|]")
_ASCII_EDGE = re.compile(r"[|+][|+=-]{2,}")
_OPENING, _INNER, _CLOSING = "┏┌╔", "┡├┠╞╠┢", "└┗╚"
_MAX_LINES = 200  # physical lines of one row: one that never ends is no row

FIRST_CHARACTERS = frozenset("│┃║|+" + _OPENING + _INNER + _CLOSING)


class TableReader:
    """Turns the lines of one table into a header and rows; `closed` once its last border has come.

    Rows are told apart by the lines drawn between them; in a table without such lines, a row begins where the
    last column is not blank.
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
            self.header = _join(self._lines)
            self._lines = []
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
