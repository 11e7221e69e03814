import pytest
from IPython.utils.capture import capture_output

from helpers.lab.evidence import MIME, check, harvest, in_one_line, record


def shown(function, *args, **kwargs) -> list[dict]:
    with capture_output() as captured:
        function(*args, **kwargs)
    return [output.data for output in captured.outputs]


def test_a_check_that_fails_says_what_was_claimed():
    with pytest.raises(AssertionError, match=r"water is dry  \(0\.3 dry\)"):
        check("water is dry", False, "0.3 dry")


def test_a_check_that_holds_is_shown_with_its_figure(shell: None):
    (data,) = shown(check, "water is wet", True, "1.0 wet")
    assert data["text/plain"] == "✓ water is wet  (1.0 wet)"
    assert data[MIME]["kind"] == "check"


def test_harvest_finds_what_cells_left_behind(shell: None):
    (checked,) = shown(check, "a", True)
    (measured,) = shown(record, "latency", 2, "ms", model="m", engine="e", device="d", weights="w", batch=8)
    cells = [
        {"cell_type": "markdown"},
        {"outputs": [{"output_type": "stream", "text": "noise"}]},
        {"outputs": [{"data": checked}, {"data": measured}]},
    ]
    checks, (result,) = harvest({"cells": cells})
    assert [found["claim"] for found in checks] == ["a"]
    wanted = {"quantity": "latency", "value": 2, "unit": "ms", "model": "m", "engine": "e", "device": "d"}
    assert result == wanted | {"weights": "w", "batch": 8}


def test_results_in_one_line_are_harvested_like_others(shell: None):
    def several() -> None:
        with in_one_line():
            for value in (1, 2):
                record("latency", value, "ms", model="m", engine="e", device="d", weights="w")

    (data,) = shown(several)
    assert data["text/plain"].startswith("→ 2 results")
    assert [row["value"] for row in harvest({"cells": [{"outputs": [{"data": data}]}]})[1]] == [1, 2]
    assert len(shown(record, "after", 3, "ms", model="m", engine="e", device="d", weights="w")) == 1
