"""A line that lives while a notebook runs: which chapter, which heading, how long, about how long still."""

import shutil
import sys
import threading
import time
from typing import Any, Self

_TICK_SECONDS = 1.0


class Progress:
    """Redrawn in place on a terminal, once a second; elsewhere the name first, and the rest at the end.

    `place`: such as "3/9"; `expected`: the seconds that the notebook will take, and `ahead`: those of what
    runs after it. Who runs it says how many `cells` it has.
    """

    def __init__(self, name: str, *, place: str = "", expected: float = 0.0, ahead: float = 0.0) -> None:
        self.name, self.place, self.expected, self.ahead = name, place, expected, ahead
        self.cell = self.cells = 0
        self.heading, self.seconds = "", 0.0
        self._live = sys.stdout.isatty()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        if self._live:
            self._ticker.start()
        else:
            print(self._first(), end="", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self._over.set()
        if self._live:
            self._ticker.join()
        first = f"\r\033[K{self._first()}" if self._live else ""
        print(f"{first} cell {self.cell:>2}/{self.cells}  {self.seconds:6.1f} s", flush=True)

    def cell_started(self, cell: Any, cell_index: int) -> None:
        """Papermill calls it for every cell, of text too."""
        self.cell = cell_index + 1
        if cell.cell_type == "markdown" and cell.source.startswith("#"):
            self.heading = cell.source.splitlines()[0].lstrip("# ")

    def line(self, seconds: float) -> str:
        """What a terminal shows after so many seconds."""
        number = self.name.partition("_")[0]  # the whole name would leave the heading no room
        left = max(self.expected - seconds, 0) + self.ahead
        about = f"about {left / 60:.0f} min left" if left > 90 else f"about {left:.0f} s left"
        cell = f"cell {self.cell}/{self.cells}"
        parts = (self.place, number, cell, f"{seconds:.0f} s", about, self.heading)
        return " · ".join(filter(None, parts))[: shutil.get_terminal_size().columns - 1]

    def _first(self) -> str:
        return f"{self.place} {self.name:<40}".lstrip()

    def _tick(self) -> None:
        while not self._over.is_set():
            print(f"\r\033[K{self.line(time.perf_counter() - self._started)}", end="", flush=True)
            self._over.wait(_TICK_SECONDS)
