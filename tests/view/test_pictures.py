import numpy as np

from helpers.view.pictures import contact_sheet


def _picture(value: int, side: int = 224) -> np.ndarray:
    return np.full((side, side, 3), value, np.uint8)


def test_every_picture_has_its_caption_in_reading_order() -> None:
    sheet = contact_sheet(
        {"first": [(_picture(0), "a"), (_picture(99), "b")], "second": [(_picture(9), "c")]}, title="t"
    )
    shown = [axes for axes in sheet.axes if axes.images]
    assert [axes.get_xlabel() for axes in shown] == ["a", "b", "c"]
    assert [axes.get_title(loc="left") for axes in shown] == ["first", "", "second"]


def test_pictures_are_kept_small() -> None:
    (axes,) = contact_sheet({"": [(_picture(50), "")]}, title="t").axes
    assert axes.images[0].get_array().shape[:2] == (112, 112)
