"""Every published table says what it is; some numbers are checked against each other."""

from typing import Any

import pytest

from helpers.files import DATA
from helpers.model.variants import VARIANTS
from helpers.published import Published, published

NAMES = sorted(path.stem for path in (DATA / "published").glob("*.json"))


def column(table: Published, name: str, **wanted: Any) -> list[Any]:
    return [row[name] for row in table.rows if all(row[key] == value for key, value in wanted.items())]


@pytest.mark.parametrize("name", NAMES)
def test_table_says_what_it_is(name: str) -> None:
    table = published(name)
    assert table.title and table.source.strip() and table.conditions and table.rows
    for row in table.rows:
        assert list(row) == list(table.columns), "a row lacks a column (unknown values are null)"
        assert table.rows.count(row) == 1
    for key, meaning in table.columns.items():
        assert meaning.strip()
        kinds = {isinstance(value, str) for value in column(table, key) if value is not None}
        assert len(kinds) == 1, f"column {key} mixes numbers and text"
        if key.endswith("fps"):
            assert "images/s" in meaning
        if key.startswith(("top1", "top5")):
            assert "%" in meaning
        if key.startswith("ms_"):
            assert meaning.endswith("ms")


@pytest.mark.parametrize(
    "name",
    ["paper_fig3_mhsa_share", "paper_fig4_head_similarity", "paper_fig5_taylor_pruning", "paper_fig1_v100"],
)
def test_digitised_tables_give_their_tolerance(name: str) -> None:
    conditions = published(name).conditions
    assert "digitised" in conditions and "±" in conditions


@pytest.mark.parametrize(
    "name", ["imagenet", "paper_fig1_v100", "paper_table2_cpu", "tensorrt_t4", "timm_benchmark"]
)
def test_all_six_models_are_there(name: str) -> None:
    assert set(VARIANTS) <= set(column(published(name), "model"))


def test_abstract_agrees_with_the_tables() -> None:
    claims, fig1, zoo = published("paper_claims"), published("paper_fig1_v100"), published("imagenet")
    m5, rival = zoo.row(model="efficientvit_m5"), fig1.row(model="MobileNetV3-Large 1.0x")
    assert claims.row(claim="top1")["value"] == m5["top1"]
    assert claims.row(claim="top1_gain")["value"] == pytest.approx(m5["top1"] - rival["top1"])
    assert claims.row(claim="v100_gain")["value"] == pytest.approx(
        100 * (m5["v100_fps"] / rival["v100_fps"] - 1), abs=0.1
    )
    assert claims.row(claim="xeon_gain")["status"] == "not checkable"


def test_printed_rows_agree_between_tables() -> None:
    zoo, fig1 = published("imagenet"), published("paper_fig1_v100")
    for row in zoo.rows:
        again = fig1.row(model=row["model"])
        assert (again["top1"], again["v100_fps"]) == (row["top1"], row["v100_fps"])
        assert again["reading"] == "printed"
    baseline = published("paper_table6_ablation").row(change="EfficientViT-M4")
    assert baseline["v100_fps"] == zoo.row(model="efficientvit_m4")["v100_fps"]
    for name in ("efficientvit_m2", "efficientvit_m4", "efficientvit_m5"):
        again = published("independent_a100_xeon").row(model=name)
        assert again["macs_m"] == zoo.row(model=name)["macs_m"]
        assert again["top1"] == zoo.row(model=name)["top1"]


def test_figure_7_has_the_ablation_baseline_at_the_paper_setting() -> None:
    table, baseline = published("paper_fig7_qk_v_dims"), published("paper_table6_ablation").row(row=1)
    assert table.row(varied="qk_dim", value=16)["top1"] == baseline["top1"]
    assert table.row(varied="v_ratio", value=1.0)["top1"] == baseline["top1"]


def test_vendor_latencies_and_rates_belong_together() -> None:
    for row in published("ax650n_vendor_benchmark").rows:
        for cores in ("1core", "3core"):
            assert row[f"fps_{cores}"] == pytest.approx(1000 / row[f"ms_{cores}"], rel=0.005)
        assert row["ms_3core"] < row["ms_1core"]
    for row in published("axcl_vendor_benchmark").rows:
        assert row["fps_batch8"] is None or row["fps_batch8"] > row["fps_batch1"]


def test_dense_convolutions_stay_below_every_stated_peak() -> None:
    one, three = (published("ax650n_npu").row(npu=npu) for npu in ("NPU1", "NPU3"))
    for row in (one, three):
        assert row["tops_reached"] < row["tops_int8_others"] < row["tops_int8"]
    for column in ("groups", "tops_int8", "tops_int8_others"):
        assert three[column] == pytest.approx(3 * one[column])


def test_a_row_that_is_not_there_is_refused() -> None:
    for wanted in ({"model": "efficientvit_m9"}, {"model": "efficientvit_m0"}):  # none, and two modes
        with pytest.raises(LookupError, match="expected exactly one"):
            published("ax650n_fps").row(**wanted)
