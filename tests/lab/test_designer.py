from typing import Any

import pytest

from helpers.lab.designer import design
from helpers.model.variants import VARIANTS
from helpers.published import published


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


def test_two_stages_will_do():
    assert design(widths=[64, 128], depths=[1, 2], heads=[4, 4]).macs_m > 0


PLAN = {"widths": [64, 128, 192], "depths": [1, 2, 3], "heads": [4, 4, 4]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depths": [1, 2]}, "give one of each per stage"),
        ({"widths": [64, 130, 192]}, "width 130 does not divide among 4 heads: take a multiple of 4"),
        ({"widths": [60, 128, 192]}, "first width 60 is no multiple of 8"),
        ({"heads": [4, 4, 6]}, "6 heads need as many kernels"),
        ({"depths": [1, 0, 3]}, "depth 0 is below 1"),
    ],
)
def test_a_plan_that_cannot_be_built_names_the_number_to_change(change: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        design(**(PLAN | change))
