from pathlib import Path

import pytest
from small_books import book

from helpers.lab import desk, notebooks


def test_an_edited_copy_is_never_overwritten_and_others_follow_their_chapter(
    house: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(desk, "NOTEBOOKS", house / "notebooks")
    (house / "notebooks" / "pictures").mkdir()
    (house / "notebooks" / "pictures" / "map.svg").write_text("<svg/>")
    lab = house / "lab"
    for width in (1, 2, 2, 3):
        for name in ("01_edited", "02_untouched"):
            book(house / "notebooks" / f"{name}.ipynb", f"width = {width}")
        desk.lay_out(lab)
        if width == 1:
            (lab / "01_edited.ipynb").write_text("mine")
    edited, *newer = sorted(lab.glob("01*"), key=lambda path: path.name != "01_edited.ipynb")
    assert edited.read_text() == "mine"
    assert newer[-1].read_text() == (house / "notebooks" / "01_edited.ipynb").read_text()
    assert [path.read_text() for path in lab.glob("02*")] == [notebooks.chapters()[1].read_text()]
    assert newer[-1].name in capsys.readouterr().out
    assert (lab / "pictures" / "map.svg").exists()
