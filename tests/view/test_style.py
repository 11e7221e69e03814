from xml.etree import ElementTree

from IPython.utils.capture import capture_output

from helpers.view.charts import grouped_bars, lying_bars, scatter
from helpers.view.style import figure, show, svg


def texts(drawn) -> list[str]:
    drawn.canvas.draw()
    return [text.get_text() for axes in drawn.axes for text in axes.texts]


def test_an_svg_is_whole_carries_its_text_and_is_the_same_each_time():
    def draw() -> str:
        drawn, (axes,) = figure()
        axes.plot([0, 1], [1, 0])
        return svg(drawn, alt='a line that "falls" < 1')

    assert draw() == draw()
    root = ElementTree.fromstring(draw())
    assert root.get("role") == "img"
    assert root[0].tag.endswith("title")
    assert root[0].text == 'a line that "falls" < 1'


def test_a_figure_is_shown_with_words_for_those_who_cannot_see_it():
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.instance()
    drawn, _ = figure()
    with capture_output() as captured:
        show(drawn, alt="empty", picture="nothing")
    InteractiveShell.clear_instance()
    (output,) = captured.outputs
    assert output.data["text/plain"] == "[figure] empty"
    assert output.metadata["picture"] == "nothing"


def test_bars_carry_their_values():
    groups = {"M0": {"NPU1": 4219, "NPU3": 6714}, "M5": {"NPU1": 1497, "NPU3": 2710}}
    drawn = grouped_bars(groups, title="t", unit="images/s", highlight="M5")
    assert {"4,219", "6,714", "1,497", "2,710"} <= set(texts(drawn))
    heights = sorted(bar.get_height() for bar in drawn.axes[0].patches)
    assert heights == [1497, 2710, 4219, 6714]
    assert drawn.axes[0].get_ylabel() == "images/s"


def test_the_first_lying_bar_is_on_top():
    drawn = lying_bars({"Conv": {"before": 3}, "Relu": {"before": 1}}, title="t", unit="nodes")
    top, bottom = drawn.axes[0].patches
    assert top.get_width() == 3
    drawn.canvas.draw()
    assert top.get_window_extent().y0 > bottom.get_window_extent().y1


def test_every_point_is_labelled():
    drawn = scatter(
        {"NPU1": [(1, 2, "M0"), (3, 4, "M5")]}, title="t", x_unit="MACs", y_unit="µs", y_from_zero=True
    )
    assert {"M0", "M5"} <= set(texts(drawn))
    assert drawn.axes[0].get_ylim()[0] == 0
