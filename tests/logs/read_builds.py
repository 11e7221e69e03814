"""Reading builds in tests, and two of their lines."""

import io
from pathlib import Path

from helpers.logs.parse_log import parse
from helpers.logs.records import BuildLog

LOGS = Path(__file__).parent / "logs"


def builds(path: Path) -> list[BuildLog]:
    records = list(parse(path, source="s"))
    assert all(isinstance(record, BuildLog) for record in records)
    return [record for record in records if isinstance(record, BuildLog)]


def build(text: str) -> BuildLog:
    (record,) = parse(io.BytesIO(text.encode()))
    assert isinstance(record, BuildLog)
    return record


def said(text: str, *, at: str = "2025-01-02 03:04:05.000", level: str = "INFO", where: str = "quant") -> str:
    """A message of the build's own."""
    return f"{at} | {level:<8} | yamain.command.build:{where}:1 - {text}\n"


FUSED = (
    "2025-11-03 10:00:04.123 | INFO     | yamain.command.build:compile_ptq_model:1308 - fuse 1 subgraph(s)\n"
)
