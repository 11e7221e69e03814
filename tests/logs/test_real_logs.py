"""Committed logs and, where they are at hand, real ones of public documentation: what a person reads in each.

`logs.json` holds the facts of our own logs by file name. The real ones are not part of the repository:
`real_logs.json` holds the SHA-256 of each file with its facts, and `EFFICIENTVIT_LOGS=DIR` names a folder of
such files (default: `../shared/logs` beside the checkout).
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from helpers.logs.parse_log import parse

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
OWN = {path.name: path for folder in (HERE / "logs", ROOT / "data" / "logs") for path in folder.glob("*.log")}
OWN_FACTS: dict[str, list[dict[str, Any]]] = json.loads((HERE / "logs.json").read_text())
REAL_FACTS: dict[str, list[Any]] = json.loads((HERE / "real_logs.json").read_text())
FOLDER = Path(os.environ.get("EFFICIENTVIT_LOGS", ROOT.parent / "shared" / "logs"))


def real() -> dict[str, Path]:
    """The files of the folder by their SHA-256."""
    files = (path for path in FOLDER.rglob("*") if path.is_file()) if FOLDER.is_dir() else ()
    return {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in files}


REAL = real()


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


def said(path: Path) -> list[dict[str, Any]]:
    return [facts(asdict(record)) for record in parse(path)]


@pytest.mark.parametrize("name", OWN_FACTS)
def test_a_log_of_our_own_gives_what_a_person_reads(name: str) -> None:
    assert said(OWN[name]) == OWN_FACTS[name]


@pytest.mark.parametrize("name", REAL_FACTS)
def test_a_real_log_gives_what_a_person_reads(name: str) -> None:
    sha256, *expected = REAL_FACTS[name]
    if sha256 not in REAL:
        pytest.skip(f"no file in {FOLDER} is this log")
    assert said(REAL[sha256]) == expected


def test_every_log_is_judged() -> None:
    assert OWN.keys() == OWN_FACTS.keys()
    met = REAL.keys() & {sha256 for sha256, *_ in REAL_FACTS.values()}
    strangers = sorted(path.name for sha256, path in REAL.items() if sha256 not in met)
    if len(met) < len(REAL_FACTS) or any(name.endswith(".log") for name in strangers):
        pytest.skip(
            f"{len(met)} of {len(REAL_FACTS)} real logs are in {FOLDER}; not judged there: {strangers}"
        )
