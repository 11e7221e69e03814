"""Records of runs and builds as an aligned table or as CSV: one row each, for many logs at once."""

import csv
import sys
from collections.abc import Sequence
from typing import Any

_TABLE = "source kind ok program model avg_ms top1 detections macs max_cycle worst_cosine errors"
_CSV = (
    "source kind ok program model image input_height input_width repeats warmup avg_ms min_ms max_ms "
    "median_ms p5_ms p90_ms p95_ms p99_ms post_process_ms top1 top_k detections npu_type batch cmm_bytes "
    "pulsar2_version engine_version tool_version macs max_cycle batches npu_subgraphs cpu_subgraphs "
    "worst_cosine error_code errors warnings"
)
_WIDEST = 48


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """One level of plain values from a record of `parse-log`; latencies in ms, lists joined by blanks."""
    error = record.get("error") or {}
    top_k = record.get("top_k") or []
    detections = record.get("detections")
    errors = (*record.get("errors", ()), error.get("exception"), error.get("message"))
    cosines = [row["cosine"] for row in record.get("precision") or () if row["cosine"] is not None]
    row = {
        **record,
        **dict(zip(("input_height", "input_width"), record.get("input_size") or (), strict=False)),
        "top1": top_k[0]["class_id"] if top_k else None,
        "top_k": " ".join(f"{one['class_id']}:{one['score']}" for one in top_k) or None,
        "detections": None if detections is None else len(detections),
        "max_cycle": " ".join(map(str, record.get("max_cycles") or ())) or None,
        "batches": " ".join(map(str, record.get("batches") or ())) or None,
        "worst_cosine": min(cosines, default=None),
        "error_code": error.get("code"),
        "errors": " | ".join(filter(None, errors)) or None,
        "warnings": len(record.get("warnings", ())),
    }
    for group, unit in (("latency_ms", "ms"), ("versions", "version"), ("subgraphs", "subgraphs")):
        row |= {f"{name}_{unit}": value for name, value in record.get(group, {}).items()}
    return row


def print_csv(records: Sequence[dict[str, Any]]) -> None:
    """Write the records to standard output as CSV with a header; what a log does not say is an empty cell."""
    writer = csv.DictWriter(sys.stdout, _CSV.split(), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(map(flat, records))


def print_table(records: Sequence[dict[str, Any]]) -> None:
    """Write the records to standard output in aligned columns; columns without any value are left out."""
    rows = [flat(record) for record in records]
    columns = [name for name in _TABLE.split() if any(row.get(name) is not None for row in rows)]
    cells = [columns, *([_cell(row.get(name), name) for name in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def _cell(value: Any, name: str) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "yes", False: "NO"}[value]
    text = f"{value:,}" if name == "macs" else str(value)
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    if len(text) <= _WIDEST:
        return text
    return f"…{text[1 - _WIDEST :]}" if name in ("source", "model") else f"{text[: _WIDEST - 1]}…"
