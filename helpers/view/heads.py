"""Attention heads: which channels each hears, and how far a token gets, from plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from helpers.view.diagrams import WIDTH, arrow, box, page
from helpers.view.style import BLUE, GREY, INK, PALE, TINT, bar

Mask = NDArray[np.bool_]

SPAN = 2.15  # inches that all channels are long
FAINT = 0.25


@dataclass(frozen=True)
class Kind:
    """A kind of attention with several heads.

    `reads[head, share]`: whether a head reads a share of the channels itself; `cascade`: whether it gets what
    the head before it found, too; `key_dim` and `value_dim`: channels of a head's Q and K, and of its V.
    """

    name: str
    says: str
    reads: Mask
    cascade: bool
    key_dim: int
    value_dim: int

    @property
    def hears(self) -> Mask:
        """[head, share]: what reaches a head, itself or through the heads before it."""
        return np.logical_or.accumulate(self.reads) if self.cascade else self.reads

    def weights(self, width: int) -> tuple[int, int]:
        """Of all heads together: those that make Q and K, and those that make V."""
        read = int(self.reads.sum()) * width // len(self.reads)
        return 2 * read * self.key_dim, read * self.value_dim

    def sources(self, head: int) -> list[str]:
        """The names of all parts of `three_ways` that light up when one looks at a head."""
        chain = range(head + 1) if self.cascade else [head]
        lit = [f"read-{one}-{share}" for one in chain for share in np.flatnonzero(self.reads[one])]
        lit += [f"share-{share}" for share in np.flatnonzero(self.hears[head])]
        lit += [f"head-{one}" for one in chain] + [f"hand-{one}" for one in chain if self.cascade and one]
        return [f"{self.name}-{part}" for part in (*lit, f"look-{head}", f"row-{head}")]


def lights(kinds: Sequence[Kind]) -> list[dict[str, Any]]:
    """For each head, the parts of `three_ways` that light up with it, and what they say."""
    made = []
    for head in range(len(kinds[0].reads)):
        heard = [", ".join(map(str, np.flatnonzero(kind.hears[head]) + 1)) for kind in kinds]
        says = "; ".join(f"{shares} ({kind.name})" for kind, shares in zip(kinds, heard, strict=True))
        parts = [part for kind in kinds for part in kind.sources(head)]
        made.append({"parts": parts, "says": f"Head {head + 1} hears shares {says}"})
    return made


def three_ways(kinds: Sequence[Kind], *, width: int, title: str, note: str) -> Figure:
    """A column per kind: shares of the channels on top, heads below, who hears whom, the weights to scale.

    Lengths are channels. What the last head of each kind hears is drawn strongly. Parts have their names as
    ids, for `live/heads.js`.
    """
    heads = len(kinds[0].reads)
    drawn, axes = page(3.55 + 0.22 * heads, title, note)
    whole = sum(kinds[0].weights(width))
    for left, kind in zip(0.2 + 2.53 * np.arange(len(kinds)), kinds, strict=True):
        _ways(axes, left, kind, width)
        _text(
            axes, left + 0.74 + 0.22 * heads, 0.84 + 0.11 * heads, f"hears\n{kind.hears.sum()} of {heads**2}"
        )
        end, weights = left, kind.weights(width)
        for role, count in zip(("Q/K", "V"), weights, strict=True):
            long = SPAN * count / whole
            box(axes, (end, 0.3, long, 0.3), role if long > 0.4 else "", role=role, edgecolor="white")
            end += long
        of_first = f"{100 * sum(weights) / whole:.0f} %"
        _text(axes, left, 0.15, f"{sum(weights):,} weights, {of_first}")
    return drawn


def _text(axes: Axes, x: float, y: float, text: str, **look: Any) -> None:
    axes.text(x, y, text, **{"va": "center", "fontsize": 10, **look})


def _ways(axes: Axes, left: float, kind: Kind, width: int) -> None:
    """The shares, the heads below them, the ways from those to these, and a row per head of what it hears."""
    heads, top = len(kind.reads), axes.get_ylim()[1]
    strong = {*kind.sources(heads - 1)}

    def part(name: str) -> dict[str, Any]:
        name = f"{kind.name}-{name}"
        return {"gid": name, "alpha": 1 if name in strong else FAINT}

    def slab(name: str, x: float, y: float, long: float, tall: float = 0.18, **look: Any) -> None:
        box(axes, (x, y, long, tall), **{"facecolor": BLUE, "edgecolor": "none"} | look | part(name))

    pitch, full = SPAN / heads, 0.9 * SPAN / heads
    slabs, low = top - 0.88, top - 2.32
    _text(axes, left, top - 0.1, kind.name, fontsize=11, fontweight="bold")
    _text(axes, left, top - 0.34, kind.says, fontsize=9, color=GREY)
    for head, start in enumerate(left + pitch * np.arange(heads)):
        number, middle, ends = f"{head + 1}", start + full / 2, start + full * (np.arange(4) + 0.5) / 4
        _text(axes, middle, slabs + 0.29, number if head else "share 1", ha="center", fontsize=9)
        for x in ends:
            slab(f"share-{head}", x - 0.11 * full, slabs, 0.22 * full)
        for share in np.flatnonzero(kind.reads[head]):
            x = [at for end in ends for at in (end + (share - head) * pitch, middle, np.nan)]
            y = [slabs - 0.03, low + 0.68, np.nan] * 4
            axes.plot(x, y, color=BLUE, linewidth=1, **part(f"read-{head}-{share}"))
        if kind.cascade and head:
            turn, found, enters = start - 0.05 * pitch, low + 0.09, low + 0.7
            x, y = [turn - 0.05 * pitch, turn, turn, middle], [found, found, enters, enters]
            axes.plot(x, y, color=BLUE, linewidth=3, solid_joinstyle="miter", **part(f"hand-{head}"))
        for row, (letter, role) in enumerate({"Q": "Q/K", "K": "Q/K", "V": "V"}.items()):
            long = 0.9 * SPAN * (kind.value_dim if letter == "V" else kind.key_dim) / width
            slab(f"head-{head}", start, low + 0.4 - 0.2 * row, long, **bar(role))
            if not head:
                _text(axes, left - 0.07, low + 0.49 - 0.2 * row, letter, ha="right", fontsize=9)
        frame = {"facecolor": "none", "edgecolor": INK, "linewidth": 1.5}
        slab(f"look-{head}", start - 0.03, low - 0.04, full + 0.06, 0.66, **frame)
        _text(axes, middle, low - 0.14, number if head else "head 1", ha="center", fontsize=9)
        row_low = 0.85 + 0.22 * (heads - 1 - head)
        _text(axes, left, row_low + 0.1, f"head {number}", fontsize=9)
        for place, heard in enumerate(kind.hears[head]):
            fill = part(f"row-{head}") | {"facecolor": BLUE} if heard else {}
            look: dict[str, Any] = {"edgecolor": GREY, "linewidth": 0.6} | fill
            box(axes, (left + 0.62 + 0.22 * place, row_low, 0.2, 0.2), **look)


def reach(
    rows: Mapping[str, Sequence[tuple[str, str, Mask]]], *, window: int, title: str, note: str
) -> Figure:
    """How far one token gets: in each row, after each step, the tokens that have noticed it.

    A step is (name, role, [row, column]), the first of a row its input. Dark: reached by this step; light:
    before it; the dark lines bound windows of `window` tokens.
    """
    columns, tall = max(len(steps) for steps in rows.values()), 2.05
    drawn, axes = page(tall * len(rows), title, note)
    pitch = WIDTH / columns
    side = 0.86 * pitch
    for (name, steps), top in zip(rows.items(), tall * np.arange(len(rows), 0, -1), strict=True):
        axes.text(0.02, top - 0.02, name, fontsize=10.5, fontweight="bold", va="top")
        before = np.zeros_like(steps[0][2])
        for place, (step, role, now) in enumerate(steps):
            left, low = place * pitch + 0.02, top - 0.68
            if place:
                arrow(axes, (left - pitch + side, low + 0.19), (left, low + 0.19))
            box(axes, (left, low, side, 0.38), step, role=role)
            _tokens(axes, (left, low - 0.06 - side), side, now.astype(int) + (now & ~before), window)
            axes.text(left + side / 2, low - 0.09 - side, f"{now.sum()}", ha="center", va="top", fontsize=10)
            before = now
    return drawn


def _tokens(axes: Axes, at: tuple[float, float], side: float, shades: NDArray[np.int_], window: int) -> None:
    """Tokens as squares, in three shades, with the windows' borders; `at` is the lower left corner."""
    (left, low), count = at, len(shades)
    extent, colours = (left, left + side, low, low + side), ListedColormap(["white", TINT, BLUE])
    axes.imshow(shades, colours, extent=extent, vmin=0, vmax=2, interpolation="nearest", aspect="auto")
    for step, colour, thick in ((1, PALE, 0.5), (window, INK, 1.2)):
        across = (np.arange(0, count + 1, step) / count).repeat(3)  # a line each: on, off, and the pen up
        along = np.resize([0, 1, np.nan], len(across))
        x, y = left + side * np.append(across, along), low + side * np.append(along, across)
        axes.plot(x, y, color=colour, linewidth=thick)
