"""Records of runs and builds as an aligned table or as CSV: one row each, for many logs at once."""

import csv
import sys
from collections.abc import Sequence
from typing import Any

_LATENCIES = ("avg", "min", "max", "median", "p5", "p90", "p95", "p99")
# What a record says under the same name, the columns of the table, and those of the CSV.
_PLAIN, _TABLE, _COLUMNS = (
    tuple(names.split())
    for names in (
        "source kind ok program model image repeats warmup npu_type batch cmm_bytes macs",
        "source kind ok program model avg_ms top1 detections macs max_cycle worst_cosine",
        "source kind ok program model image input_height input_width repeats warmup avg_ms min_ms max_ms "
        "median_ms p5_ms p90_ms p95_ms p99_ms top1 top_k detections npu_type batch cmm_bytes pulsar2_version "
        "engine_version tool_version macs max_cycle batches npu_subgraphs cpu_subgraphs worst_cosine "
        "error_code errors warnings",
    )
)
_WIDEST = 48


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """One level of plain values from a record of `parse-log`; latencies in ms, lists joined by blanks."""
    error = record.get("error") or {}
    latency = record.get("latency_ms") or {}
    top_k = record.get("top_k") or []
    detections = record.get("detections")
    cosines = [row["cosine"] for row in record.get("precision") or () if row["cosine"] is not None]
    height, width = record.get("input_size") or (None, None)
    messages = [
        *record.get("errors", ()),
        *(text for text in (error.get("exception"), error.get("message")) if text),
    ]
    return {
        **{name: record.get(name) for name in _PLAIN},
        "input_height": height,
        "input_width": width,
        **{f"{name}_ms": latency.get(name) for name in _LATENCIES},
        "top1": top_k[0]["class_id"] if top_k else None,
        "top_k": " ".join(f"{one['class_id']}:{one['score']}" for one in top_k) or None,
        "detections": None if detections is None else len(detections),
        **{f"{name}_version": version for name, version in (record.get("versions") or {}).items()},
        "max_cycle": " ".join(map(str, record.get("max_cycles") or ())) or None,
        "batches": " ".join(map(str, record.get("batches") or ())) or None,
        **{f"{name}_subgraphs": count for name, count in (record.get("subgraphs") or {}).items()},
        "worst_cosine": min(cosines, default=None),
        "error_code": error.get("code"),
        "errors": " | ".join(messages) or None,
        "warnings": len(record.get("warnings", ())),
    }


def print_csv(records: Sequence[dict[str, Any]]) -> None:
    """Write the records to standard output as CSV with a header; what a log does not say is an empty cell."""
    writer = csv.DictWriter(sys.stdout, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for record in records:
        writer.writerow(flat(record))


def print_table(records: Sequence[dict[str, Any]]) -> None:
    """Write the records to standard output in aligned columns; columns without any value are left out."""
    rows = [flat(record) for record in records]
    columns = [name for name in (*_TABLE, "errors") if any(row.get(name) is not None for row in rows)]
    cells = [columns, *([_cell(row.get(name), name) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any, name: str) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    text = f"{value:,}" if isinstance(value, int) and name == "macs" else str(value)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(text) <= _WIDEST:
        return text
    return f"…{text[1 - _WIDEST :]}" if name in ("source", "model") else f"{text[: _WIDEST - 1]}…"
