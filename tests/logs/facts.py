"""What the records of a log say, in the short form in which `logs.json` and `real_logs.json` keep it."""

from typing import Any


def facts(record: dict[str, Any]) -> dict[str, Any]:
    """The record without its source and what the log does not say; texts are cut, scores and boxes are rows.

    Warnings are counted; the rows of a precision table too, and the last one stands for all of them.
    """
    short = {
        **record,
        "source": None,
        "errors": [text.partition(" → ")[0][:24] for text in record.get("errors", ())],
    }
    short["warnings"] = len(record.get("warnings", ())) or None
    for name in ("top_k", "detections"):
        short[name] = [list(row.values()) for row in rows] if (rows := record.get(name)) is not None else None
    if rows := record.get("precision"):
        short["precision"] = [len(rows), list(rows[-1].values())]
    if error := record.get("error"):
        message = (error["message"] or "").partition("\n")[0][:50]
        short["error"] = {**error, "message": message or None, "advice": bool(error["advice"])}
    said = {name: _said(value) for name, value in short.items()}
    return {
        name: value
        for name, value in said.items()
        if value not in (None, {}) and (value != [] or name == "detections")
    }


def _said(value: Any) -> Any:
    """A mapping without the names that have no value."""
    return {name: one for name, one in value.items() if one is not None} if isinstance(value, dict) else value
