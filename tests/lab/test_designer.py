import json
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from playwright.sync_api import Browser, Page

from helpers.board.forecast import doubts
from helpers.lab.designer import design, layers, live_data, opened
from helpers.model.cost import cost, total
from helpers.model.network import EfficientViT
from helpers.model.variants import VARIANTS
from helpers.published import published
from helpers.view.live import live_html
from helpers.view.style import ROLES


@pytest.mark.parametrize("name", VARIANTS)
def test_the_papers_plans_give_the_papers_numbers(name: str):
    plan = VARIANTS[name]
    row = published("imagenet").row(model=name)
    made = design(widths=plan.widths, depths=plan.depths, heads=plan.heads, kernels=plan.kernels)
    assert made.macs_m == pytest.approx(row["macs_m"], rel=0.01)
    assert made.params_m == pytest.approx(row["params_m"], abs=0.1)
    for fps in (row for row in published("ax650n_fps").rows if row["model"] == name):
        speed = made.speed[fps["npu"]]
        assert speed.low < fps["fps"] < speed.high


PLAN = {"widths": [64, 128, 192], "depths": [1, 2, 3], "heads": [4, 4, 4]}


def on_paper(name: str) -> EfficientViT:
    with torch.device("meta"):
        return EfficientViT.of(VARIANTS[name])


@pytest.mark.parametrize("name", ["efficientvit_m0", "efficientvit_m5"])
def test_the_layers_cost_together_what_the_network_costs(name: str):
    network, plan = on_paper(name), VARIANTS[name]
    found = layers(network)
    spent = [pair for layer in found for pair in layer.spent.values()]
    whole = total(cost(network))
    assert [sum(part) for part in zip(*spent, strict=True)] == [whole.parameters, whole.macs]
    blocks = [(layer.side, layer.width) for layer in found if layer.name == "block"]
    shapes = zip((14, 7, 4), plan.widths, plan.depths, strict=True)
    assert blocks == [(side, width) for side, width, depth in shapes for _ in range(depth)]


def test_the_downsampling_halves_the_map_where_it_is_widest():
    inside = opened(on_paper("efficientvit_m5").stages[1].subsample, side=14)
    assert {(layer.side, layer.width) for layer in inside if "stride" in layer.name} == {(7, 768)}
    assert (inside[0].side, inside[0].width, inside[-1].side, inside[-1].width) == (14, 192, 7, 288)
    assert max(layer.width for layer in inside) == 768


YOURS = {"widths": [128, 224, 320], "depths": [1, 2, 4], "heads": [4, 4, 4]}


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The live picture alone; a script error ends the test."""
    file = tmp_path_factory.mktemp("live") / "design.html"
    live = live_html("design", data=live_data(**YOURS), alt="your plan")
    file.write_text(f'<!doctype html><meta charset="utf-8"><div class="output">{live}</div>')
    page, errors = browser.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    yield page
    assert not errors
    page.close()


def enter(page: Page, plan: dict[str, Any]) -> None:
    for part, numbers in plan.items():
        for stage, number in enumerate(numbers, start=1):
            page.get_by_label(f"{part}, stage {stage}").fill(str(number))


def told(page: Page) -> str:
    return page.get_by_role("status").inner_text()


def exact(page: Page) -> list[float]:
    return json.loads(page.locator(".live").get_attribute("data-exact") or "")


def expected(**plan: Any) -> list[float]:
    made = design(**plan)
    ends = [end for speed in made.speed.values() for end in (speed.fps, speed.low, speed.high)]
    return [made.macs_m * 1e6, made.params_m * 1e6, *ends]


@pytest.mark.parametrize("name", VARIANTS)
def test_live_the_six_cost_and_run_as_python_says(name: str, page: Page):
    plan = VARIANTS[name]
    page.locator("select").select_option(plan.short)
    parts = {"widths": plan.widths, "depths": plan.depths, "heads": plan.heads}
    assert exact(page) == pytest.approx(expected(**parts, kernels=plan.kernels), rel=1e-12)


@pytest.mark.parametrize(
    "plan",
    [YOURS, {"widths": [8, 40, 999], "depths": [7, 1, 2], "heads": [1, 4, 3]}],
    ids=["yours", "odd"],
)
def test_live_another_plan_too(plan: dict[str, Any], page: Page):
    page.locator("select").select_option("yours")
    enter(page, plan)
    assert exact(page) == pytest.approx(expected(**plan), rel=1e-12)


def test_live_a_key_changes_a_field_and_the_edge_of_what_was_measured_is_told(page: Page):
    page.locator("select").select_option("M5")
    assert "521.6 million MACs lie within the 79 to 522 of the fitted models." in told(page)
    assert [page.locator(f"circle[stroke='{ROLES[npu]}']").count() for npu in ("NPU1", "NPU3")] == [2, 1]
    before, boxes = exact(page), page.locator("rect").count()
    page.get_by_label("depths, stage 1").press("ArrowUp")
    assert page.get_by_label("depths, stage 1").input_value() == "2"
    assert exact(page)[0] > before[0] and page.locator("rect").count() == boxes + 1
    (doubt,) = doubts(macs_m=exact(page)[0] / 1e6)
    assert doubt in told(page)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widths": [64, 130, 192]}, "width 130 does not divide among 4 heads: take a multiple of 4"),
        ({"widths": [60, 128, 192]}, "first width 60 is no multiple of 8"),
        ({"heads": [4, 4, 6]}, "6 heads need as many kernels"),
        ({"depths": [1, 0, 3]}, "depth 0 is below 1"),
    ],
)
def test_a_plan_that_cannot_be_built_names_the_number_live_and_in_python(
    change: dict[str, Any], message: str, page: Page
):
    with pytest.raises(ValueError, match="give one of each per stage"):
        design(**(PLAN | {"depths": [1, 2]}))
    with pytest.raises(ValueError, match=message) as refused:
        design(**(PLAN | change))
    enter(page, PLAN | change)
    assert told(page).split(": ")[0] == str(refused.value).split(": ")[0]
    enter(page, PLAN)
    assert "million MACs" in told(page)


@pytest.mark.parametrize("number", ["", "64.5"])
def test_live_what_is_no_whole_number_is_asked_for(number: str, page: Page):
    enter(page, PLAN | {"widths": [number, 128, 192]})
    assert "is no whole number: give positive whole numbers" in told(page)
