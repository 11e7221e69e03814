"""What a sweep's table says: parts put together, and published figures beside them."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from helpers.graph.metrics import sqnr_db
from helpers.lab.sweep import Row
from helpers.lab.tasks import CHAIN, CHAPTER, JUDGE, WAITS
from helpers.model.source import RANDOM
from helpers.model.variants import VARIANTS
from helpers.paired import interval, mcnemar
from helpers.published import published

Line = dict[str, Any]  # of a table: None is a figure that nobody measured
_SHARES = {"top1": "right", "top5": "right5", "agreement": "agree"}
_MEASURED = ("pictures", *(f"{name}{end}" for name in _SHARES for end in ("", "_low", "_high")))
_COLUMNS = ("model", "precision", *_MEASURED, "published", "p", "sqnr_db", "ms", "set", "weights", "note")


def accuracy(rows: Iterable[Row]) -> list[Line]:
    """A line for each model, set and precision; for each of the six without one, what it waits for.

    Shares in percent, with `_low` and `_high` of their 95 % interval (Wilson's); `p`: McNemar's exact test
    against float on the same pictures; `sqnr_db` over all logits; `ms` a picture on one core; `published`:
    the authors' top-1 in float, on all of ImageNet.
    """
    six = {row["model"]: row["top1"] for row in published("imagenet").rows}
    parts = [row for row in rows if row.work == JUDGE and row.arguments["weights"] != RANDOM]
    lines: list[Line] = []
    for (model, weights, of), group in itertools.groupby(sorted(parts, key=_group), _group):
        each = [*group]
        done = [row.row for row in each if row.row]
        note = "; ".join(sorted({row.sentence for row in each} - {""}))
        told = {"model": model, "weights": weights, "set": of, "note": note}
        for precision in each[0].arguments["precisions"]:
            lines.append(told | {"precision": precision} | (_measured(done, precision) if done else {}))
    waiting = [model for model in VARIANTS if model not in {line["model"] for line in lines}]
    lines += [{"model": model, "note": WAITS} for model in waiting]
    lines.sort(key=lambda line: (line["model"] in VARIANTS, line["model"]))
    return [dict.fromkeys(_COLUMNS) | {"published": six.get(line["model"])} | line for line in lines]


def _group(row: Row) -> tuple[str, ...]:
    return tuple(row.arguments[name] for name in ("model", "weights", "set"))


def _measured(parts: Sequence[Line], precision: str) -> Line:
    counts = [part["counts"][precision] for part in parts]
    total = {name: sum(part[name] for part in counts) for name in counts[0]}
    count = sum(part["pictures"] for part in parts)
    line: Line = {"pictures": count, "ms": 1000 * sum(part["seconds"][precision] for part in parts) / count}
    for name, counted in _SHARES.items():
        if counted in total:
            low, high = interval(share := total[counted] / count, count)
            line |= {name: 100 * share, f"{name}_low": 100 * low, f"{name}_high": 100 * high}
    if precision != "float":
        variance = total["squares"] / total["logits"] - (total["values"] / total["logits"]) ** 2
        line["sqnr_db"] = sqnr_db(total["error"] / total["logits"] / variance)
        line["p"] = mcnemar(total["only_float"], total["only_this"]) if "right" in total else None
    return line


def speed(rows: Iterable[Row]) -> list[Line]:
    """A line for each model, mode, batch and board: measured, forecast, and the post's figure beside them."""
    post = {(row["model"], row["npu"], row["batch"]): row["fps"] for row in published("ax650n_fps").rows}
    lines = []
    for row in (row for row in rows if row.work == CHAIN):
        case = {name: row.arguments[name] for name in ("model", "npu_mode", "batch")}
        found = {name: row.row.get(name) for name in ("fps", "ms", "forecast", "engine", "device")}
        lines.append(case | found | {"published": post.get((*case.values(),)), "note": row.sentence})
    return lines


def chapters(rows: Iterable[Row]) -> list[Line]:
    """A line for each result of each chapter that ran, and one for each that did not."""
    said = ("quantity", "value", "unit", "engine", "device", "weights")
    return [
        {"task": row.name} | {name: result.get(name) for name in said} | {"note": row.sentence}
        for row in rows
        if row.work == CHAPTER
        for result in row.row.get("results") or [{}]
    ]


def written(lines: Sequence[Line], form: str = "text") -> str:
    """A table as text or Markdown, with intervals in brackets and no empty column, or whole as CSV."""
    if not lines:
        return "no rows yet"
    if form == "csv":
        return pd.DataFrame(lines, dtype=object).to_csv(index=False).rstrip()
    table = pd.DataFrame(
        {name: _cell(line, name) for name in line if not name.endswith(("_low", "_high"))} for line in lines
    )
    table = table.loc[:, (table != "–").any()]
    if form == "text":
        return table.to_string(index=False)
    cells = [table.columns, ["---"] * len(table.columns), *table.to_numpy()]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def _cell(line: Line, name: str) -> str:
    value, low, high = (line.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value in (None, ""):
        return "–"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
    return shown if low is None else f"{shown} ({low:.1f} to {high:.1f})"
