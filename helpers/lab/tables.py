"""What a sweep's table says: parts put together, published figures beside them, and a plan."""

import csv
import io
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from helpers.graph.metrics import sqnr_db
from helpers.lab import tasks
from helpers.lab.sweep import Row
from helpers.model.source import RANDOM
from helpers.model.variants import VARIANTS
from helpers.paired import interval, mcnemar
from helpers.published import published

Line = dict[str, Any]  # of a table: None is a figure that nobody measured
PART = "helpers.lab.judge:part"
IMAGENET = 50_000  # pictures that the published accuracies are of


def accuracy(rows: Iterable[Row]) -> list[Line]:
    """A line for each model, set and precision; for each of the six without one, what it waits for.

    Shares in percent, with `_low` and `_high` of their 95 % interval (Wilson's); `p`: McNemar's exact test
    against float on the same pictures; `sqnr_db` over all logits; `ms` a picture on one core; `published`:
    the authors' top-1 in float, on all of ImageNet.
    """
    parts = [row for row in rows if row.work == PART and row.arguments["weights"] != RANDOM]
    six = {row["model"]: row["top1"] for row in published("imagenet").rows}
    lines: list[Line] = []
    for (model, weights, of), group in itertools.groupby(sorted(parts, key=_group), _group):
        each = list(group)
        done, failed = [row for row in each if row.row], {row.sentence for row in each} - {""}
        told = {"weights": weights, "set": of, "note": "; ".join(sorted(failed))}
        for precision in each[0].arguments["precisions"]:
            line = dict.fromkeys(_COLUMNS) | {
                "model": model,
                "precision": precision,
                "published": six.get(model),
            }
            lines.append(line | told | (_measured(done, precision) if done else {}))
    for model in VARIANTS.keys() - {line["model"] for line in lines}:
        waits = {"model": model, "published": six[model], "note": f"waits for {tasks.missing(model)}"}
        lines.append(dict.fromkeys(_COLUMNS) | waits)
    return sorted(
        lines, key=lambda line: [*VARIANTS].index(line["model"]) if line["model"] in VARIANTS else -1
    )


_SHARES = {"top1": "right", "top5": "right5", "agreement": "agree"}
_INTERVALS = [f"{name}{end}" for name in _SHARES for end in ("", "_low", "_high")]
_COLUMNS = (
    "model",
    "precision",
    "pictures",
    *_INTERVALS,
    "published",
    "p",
    "sqnr_db",
    "ms",
    "set",
    "weights",
    "note",
)


def _group(row: Row) -> tuple[str, ...]:
    return tuple(row.arguments[name] for name in ("model", "weights", "set"))


def _measured(done: Sequence[Row], precision: str) -> Line:
    parts = [row.row["counts"][precision] for row in done]
    total = {name: sum(part[name] for part in parts) for name in parts[0]}
    count = sum(row.row["pictures"] for row in done)
    line: Line = {"pictures": count, "ms": 1000 * sum(row.row["seconds"][precision] for row in done) / count}
    for name, counted in _SHARES.items():
        if counted in total:
            share = total[counted] / count
            values = (share, *interval(share, count))
            line |= {
                f"{name}{end}": 100 * value for end, value in zip(("", "_low", "_high"), values, strict=True)
            }
    if precision != "float":
        variance = total["squares"] / total["logits"] - (total["values"] / total["logits"]) ** 2
        line["sqnr_db"] = sqnr_db(total["error"] / total["logits"] / variance)
        line["p"] = mcnemar(total["only_float"], total["only_this"]) if "right" in total else None
    return line


def speed(rows: Iterable[Row]) -> list[Line]:
    """A line for each model, mode, batch and board: measured, forecast, and the post's figure beside them."""
    post = {(row["model"], row["npu"], row["batch"]): row["fps"] for row in published("ax650n_fps").rows}
    lines = []
    for row in rows:
        if row.work == "helpers.chain:row":
            case = {name: row.arguments[name] for name in ("model", "npu_mode", "batch")}
            found = {name: row.row.get(name) for name in ("fps", "ms", "forecast", "engine", "device")}
            lines.append(case | found | {"published": post.get((*case.values(),)), "note": row.sentence})
    return lines


def chapters(rows: Iterable[Row]) -> list[Line]:
    """A line for each result of each chapter that ran, and one for each that did not."""
    return [
        {"task": row.name} | {name: result.get(name) for name in _RESULT} | {"note": row.sentence}
        for row in rows
        if row.work == "helpers.lab.runner:row"
        for result in row.row.get("results") or [{}]
    ]


_RESULT = ("quantity", "value", "unit", "engine", "device", "weights")


def plan(rows: Iterable[Row], *, pictures: int = IMAGENET, efficiency: float = 1.0) -> dict[int, float]:
    """A model of the hours that so many `pictures` of each model in `rows` take, by the number of workers.

    Pictures fall with workers, until each has one part; graphs do not, which one worker of a machine makes
    while others wait. `efficiency`: what a second worker adds, as measured; a cluster's network is left out.
    """
    judging = making = longest = 0.0
    done = sorted((row for row in rows if row.work == PART and row.row), key=_group)
    for _, group in itertools.groupby(done, _group):
        each = list(group)
        spent = [sum(row.row["seconds"].values()) for row in each]
        a_picture = sum(spent) / sum(row.row["pictures"] for row in each)
        judging += pictures * a_picture
        making += max(row.seconds - alone for row, alone in zip(each, spent, strict=True))
        longest = max(longest, tasks.PART * a_picture)
    falling = {2**power: judging / (1 + efficiency * (2**power - 1)) for power in range(13)}
    return {workers: (making + max(seconds, longest)) / 3600 for workers, seconds in falling.items()}


def planned(rows: Iterable[Row], *, pictures: int = IMAGENET, efficiency: float = 1.0) -> list[Line]:
    """`plan` as a table, up to the workers of whose doubling less than a tenth would come."""
    hours = plan(rows, pictures=pictures, efficiency=efficiency)
    last = next((workers for workers in hours if hours.get(2 * workers, 0.0) > 0.9 * hours[workers]), 0)
    told = {"pictures of each": pictures, "engine": "a model, not a measurement"}
    lines = [{"workers": each, "hours": spent, "core_hours": each * spent} for each, spent in hours.items()]
    return [line | told for line in lines if line["workers"] <= last]


def written(lines: Sequence[Line], form: str = "text") -> str:
    """A table as text or Markdown, with intervals in brackets and no empty column, or whole as CSV."""
    columns = list(dict.fromkeys(name for line in lines for name in line))
    if form == "csv":
        writer = csv.DictWriter(buffer := io.StringIO(), columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return buffer.getvalue().rstrip()
    shown = [name for name in columns if name.rpartition("_")[2] not in ("low", "high")]
    shown = [name for name in shown if any(line.get(name) not in (None, "") for line in lines)]
    cells = [shown, *([_cell(line, name) for name in shown] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in cells]
    if form == "text":
        return "\n".join("  ".join(row).rstrip() for row in padded)
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(row)} |" for row in padded)


def _cell(line: Line, name: str) -> str:
    value, low, high = (line.get(f"{name}{end}") for end in ("", "_low", "_high"))
    if value in (None, ""):
        return "–"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value).replace("|", "/")
    return shown if low is None else f"{shown} ({low:.1f} to {high:.1f})"
