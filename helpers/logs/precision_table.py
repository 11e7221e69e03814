"""The precision table of a build: how near each layer's quantised output is to the float one."""

import math
import re
from dataclasses import dataclass
from typing import Any

# A column's name by its first letters: in a narrow terminal the rest may be cut or wrapped.
_COLUMNS = {
    "op": "operator",
    "ty": "type",
    "ou": "output",
    "sh": "shape",
    "dt": "dtype",  # DType; QDType beside it
    "da": "dtype",  # Data Type, up to 1.9
    "qd": "quantized_dtype",
    "co": "cosine",  # Cosin; Cosin Distance up to 1.9
    "ms": "mse",
}
_NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,25})?(?:[eE][-+]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One layer of the precision table: how near the quantised output is to the float one.

    `dtype` is the column DType (Data Type up to 1.9), `quantized_dtype` the column QDType of newer versions.
    """

    operator: str
    type: str | None
    output: str | None
    shape: list[int] | None
    dtype: str | None
    quantized_dtype: str | None
    cosine: float | None
    mse: float | None

    def to_json(self) -> dict[str, Any]:
        """The row as plain data with exactly the keys of the `parse-log` contract."""
        keys = ("operator", "type", "output", "shape", "dtype", "cosine", "mse")
        return {key: getattr(self, key) for key in keys}


def precision_columns(header: list[str]) -> dict[str, int]:
    """Which column holds which value; empty for another table, one without an operator or a cosine."""
    columns: dict[str, int] = {}
    for index, title in enumerate(header):
        if name := _COLUMNS.get(title[:2].lower()):
            columns.setdefault(name, index)
    return columns if {"operator", "cosine"} <= columns.keys() else {}


def precision_row(cells: list[str], columns: dict[str, int]) -> tuple[PrecisionRow, str | None]:
    """One row, and a warning where a number is not one; a number cut short by the table's width is None."""

    def text(name: str) -> str | None:
        index = columns.get(name)
        return (cells[index] or None) if index is not None and index < len(cells) else None

    def number(name: str) -> float | None:
        digits = (text(name) or "").replace(" ", "")
        value = float(digits) if _NUMBER.fullmatch(digits) else None
        return value if value is not None and math.isfinite(value) else None

    row = PrecisionRow(
        operator=text("operator") or "",
        type=text("type"),
        output=text("output"),
        shape=_shape(text("shape")),
        dtype=text("dtype"),
        quantized_dtype=text("quantized_dtype"),
        cosine=number("cosine"),
        mse=number("mse"),
    )
    complaint = f"the cosine of {row.operator} is printed as {text('cosine')}" if row.cosine is None else None
    return row, complaint


def _shape(text: str | None) -> list[int] | None:
    if text is None or not re.fullmatch(r"[(\[][\d, ]{0,400}[)\]]", text):
        return None
    return [int(size) for size in re.findall(r"\d{1,15}", text)]
