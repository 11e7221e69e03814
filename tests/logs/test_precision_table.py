"""The precision table: its columns by name, and what a cell says that is cut, empty or missing."""

import pytest

from helpers.logs.precision_table import PrecisionRow, precision_columns, precision_row


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (["Operator", "Cosin"], {"operator": 0, "cosine": 1}),
        (["operat…", "MSE", "Cosin Di…"], {"operator": 0, "mse": 1, "cosine": 2}),
        (["Op", "DType", "QDType", "Cosin"], {"operator": 0, "dtype": 1, "quantized_dtype": 2, "cosine": 3}),
        (["Operator", "Data Type", "DType", "Cosin"], {"operator": 0, "dtype": 1, "cosine": 3}),
        (["Operator", "Shape", "MSE"], {}),
        (["Output", "Cosin"], {}),
        ([], {}),
    ],
)  # fmt: skip
def test_a_precision_table_has_an_operator_and_a_cosine(header: list[str], columns: dict[str, int]) -> None:
    assert precision_columns(header) == columns


def read(header: list[str], cells: list[str]) -> tuple[PrecisionRow, str | None]:
    return precision_row(cells, precision_columns(header))


def test_what_a_table_does_not_have_is_none() -> None:
    row, complaint = read(["Operator", "Cosin"], ["Conv_0", "0.999"])
    assert row == PrecisionRow("Conv_0", None, None, None, None, None, 0.999, None)
    assert complaint is None


def test_empty_and_missing_cells_are_none() -> None:
    row, complaint = read(["Operator", "Type", "Output", "Cosin", "Shape", "MSE"], ["Conv_0", "", "", "1"])
    assert row == PrecisionRow("Conv_0", None, None, None, None, None, 1.0, None)
    assert complaint is None


def test_an_operator_without_a_name_has_an_empty_one() -> None:
    assert read(["Operator", "Cosin"], ["", "1"])[0].operator == ""


@pytest.mark.parametrize(
    ("printed", "shape"),
    [
        ("(1, 32, 112, 112)", [1, 32, 112, 112]),
        ("[1,8]", [1, 8]),
        ("()", []),
        ("(1, 32, 1…", None),
        ("1, 32", None),
        ("(1, n)", None),
    ],
)
def test_a_shape_is_read_whole_or_not_at_all(printed: str, shape: list[int] | None) -> None:
    assert read(["Operator", "Shape", "Cosin"], ["Conv_0", printed, "1"])[0].shape == shape


@pytest.mark.parametrize(
    ("printed", "cosine"),
    [
        ("0.999 87", 0.99987),  # wrapped
        ("-2.5e-07", -2.5e-07),
        ("1E+3", 1000.0),
        ("0.98…", None),
        ("nan", None),
        ("1e999", None),
        ("9" * 16, None),
    ],
)
def test_a_number_is_read_whole_or_complained_of(printed: str, cosine: float | None) -> None:
    row, complaint = read(["Operator", "Cosin", "MSE"], ["Conv_0", printed, printed])
    assert row.cosine == row.mse == cosine
    expected = None if cosine is not None else f"the cosine of Conv_0 is printed as {printed}"
    assert complaint == expected
