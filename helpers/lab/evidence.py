"""Evidence that a notebook leaves in its outputs: checks that held, and results with their conditions.

Both are shown as text and carried as data under one MIME type, so the runner can count and collect them from
the executed notebook itself: no side files, and no result that no cell printed.
"""

import math
from typing import Any

from IPython.display import display

MIME = "application/vnd.efficientvit-edge+json"


def check(claim: str, holds: bool, evidence: str = "") -> None:
    """Asserts what the text just claimed, with the figure that shows it; raises AssertionError if not."""
    tail = f"  ({evidence})" if evidence else ""
    if not holds:
        raise AssertionError(f"{claim}{tail}")
    _show(f"✓ {claim}{tail}", {"kind": "check", "claim": claim, "evidence": evidence})


def record(
    quantity: str,
    value: float,
    unit: str,
    *,
    model: str,
    engine: str,
    device: str,
    weights: str,
    **conditions: Any,
) -> None:
    """One row of build/results.json: what was measured or read, by which engine, on what, with which weights.

    `engine` and `device` name the stand-in when there is one: "recorded log", not "NPU". ValueError for a
    value that is not finite.
    """
    if not math.isfinite(value):
        raise ValueError(f"{quantity} is {value}: a result must be a number")
    row = {"quantity": quantity, "value": value, "unit": unit, "model": model}
    row |= {"engine": engine, "device": device, "weights": weights} | conditions
    _show(
        f"→ {quantity}: {value:g} {unit}  [{model}, {engine}, {device}, weights: {weights}]",
        {"kind": "result"} | row,
    )


def harvest(notebook: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The checks and the results in an executed notebook's outputs, in order."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    found = [output["data"][MIME] for output in outputs if MIME in output.get("data", {})]
    checks = [item for item in found if item["kind"] == "check"]
    results = [item for item in found if item["kind"] == "result"]
    return checks, [{key: item[key] for key in item if key != "kind"} for item in results]


def _show(text: str, data: dict[str, Any]) -> None:
    display({"text/plain": text, MIME: data}, raw=True)
