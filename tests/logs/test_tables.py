"""Tables in a log: borders, wrapped cells, what ends a row; the cells of the precision table."""

import pytest

from helpers.logs.records import PrecisionRow
from helpers.logs.tables import TableReader, precision_columns, precision_row


def rows(text: str) -> tuple[list[str] | None, list[list[str]]]:
    table = TableReader()
    found = [cells for line in text.strip().splitlines() for cells in table.feed(line.strip())]
    return table.header, found + table.finish()


def test_rows_between_lines_may_be_wrapped() -> None:
    header, found = rows(
        """
        ┏━━━━━━┳━━━━━━━┓
        ┃      ┃ Long  ┃
        ┃ Name ┃ title ┃
        ┡━━━━━━╇━━━━━━━┩
        │ abcd │ two   │
        │ ef   │ words │
        ├──────┼───────┤
        │ x    │ y     │
        └──────┴───────┘
        """
    )
    assert header == ["Name", "Long title"]
    assert found == [["abcdef", "two words"], ["x", "y"]]


@pytest.mark.parametrize(
    "text",
    [
        "┏━━━┳━━━┓\n┃ A ┃ B ┃\n┡━━━╇━━━┩\n│ 1 │ 2 │\n│ 3 │ 4 │\n└───┴───┘",  # no lines between the rows
        "+---+---+\n| A | B |\n|---+---|\n| 1 | 2 |\n|---+---|\n| 3 | 4 |\n+---+---+",
        "┏━━━┳━━━┓\n┃ A ┃ B ┃\n┡━━━╇━━━┩\n│ 1 │ 2 │\n├───┼───┤\n│ 3 │ 4 │",  # cut
    ],
)
def test_plainer_tables(text: str) -> None:
    assert rows(text) == (["A", "B"], [["1", "2"], ["3", "4"]])


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        (["Operator", "Cosin"], {"operator": 0, "cosine": 1}),
        (["operat…", "MSE", "Cosin Di…"], {"operator": 0, "mse": 1, "cosine": 2}),
        (["Op", "DType", "QDType", "Cosin"], {"operator": 0, "dtype": 1, "cosine": 3}),
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


def test_empty_missing_and_absent_cells_are_none() -> None:
    row, complaint = read(["Operator", "Type", "Output", "Cosin", "MSE"], ["Conv_0", "", "", "1"])
    assert row == PrecisionRow("Conv_0", None, None, None, None, 1.0, None)
    assert complaint is None
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
