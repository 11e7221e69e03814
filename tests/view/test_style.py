from xml.etree import ElementTree

from IPython.utils.capture import capture_output

from helpers.view.style import figure, show, svg


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


def test_a_figure_is_shown_with_words_for_those_who_cannot_see_it(shell: None):
    drawn, _ = figure()
    with capture_output() as captured:
        show(drawn, name="nothing", alt="empty", picture=True)
    (output,) = captured.outputs
    assert output.data["text/plain"] == "[figure nothing] empty"
    assert output.metadata == {"figure": "nothing", "picture": True}
