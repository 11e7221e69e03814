"""Tables in a log: borders, wrapped cells, and what ends a row."""

from helpers.logs.rich_table import TableReader


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


def test_a_table_without_lines_between_its_rows() -> None:
    _, found = rows("┏━━━┳━━━┓\n┃ A ┃ B ┃\n┡━━━╇━━━┩\n│ 1 │ 2 │\n│ 3 │ 4 │\n└───┴───┘")
    assert found == [["1", "2"], ["3", "4"]]


def test_a_table_in_plain_ascii() -> None:
    header, found = rows("+---+---+\n| A | B |\n|---+---|\n| 1 | 2 |\n|---+---|\n| 3 | 4 |\n+---+---+")
    assert header == ["A", "B"]
    assert found == [["1", "2"], ["3", "4"]]


def test_a_table_that_is_cut_gives_the_rows_it_has() -> None:
    _, found = rows("┏━━━┳━━━┓\n┃ A ┃ B ┃\n┡━━━╇━━━┩\n│ 1 │ 2 │\n├───┼───┤\n│ 3 │ 4 │")
    assert found == [["1", "2"], ["3", "4"]]
