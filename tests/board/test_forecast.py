import json
import math
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper
from scipy.special import stdtrit  # scikit-image brings it
from small_graphs import graph, node

from helpers.__main__ import main
from helpers.board.forecast import _T_QUANTILE, CONFIDENCE, COUNTED, RANGE, Forecast, counts, fitted, forecast
from helpers.graph.convert import simplify, to_onnx
from helpers.graph.fold import fold
from helpers.model.cost import cost, total
from helpers.model.variants import VARIANTS
from helpers.model.weights import init_model
from helpers.published import published

M5 = {"macs_m": 522, "params_m": 12.474}


def left_out(npu: str) -> list[tuple[float, Forecast]]:
    """The measured speed of each model, and the forecast of it by a fit of the other five."""
    rows, found = published("ax650n_fps"), []
    for model in COUNTED:
        fit = fitted(npu, [name for name in COUNTED if name != model])
        found.append((rows.row(model=model, npu=npu)["fps"], fit.at(*COUNTED[model])))
    return found


@pytest.mark.parametrize(("npu", "at_most"), [("NPU1", 0.025), ("NPU3", 0.02)])
def test_a_model_left_out_is_forecast_well(npu: str, at_most: float):
    errors = [abs(one.fps / measured - 1) for measured, one in left_out(npu)]
    assert sum(errors) / len(errors) <= at_most


def test_the_interval_covers_what_it_says_when_each_model_is_left_out():
    found = left_out("NPU1") + left_out("NPU3")
    inside = sum(one.low <= measured <= one.high for measured, one in found)
    assert (inside, len(found)) == (11, 12)
    assert inside / len(found) >= CONFIDENCE


def test_the_quantiles_are_students():
    exact = {freedom: stdtrit(freedom, (1 + CONFIDENCE) / 2) for freedom in (2, 3, 4)}
    assert pytest.approx(exact, abs=5e-4) == _T_QUANTILE  # given to 3 digits


def test_far_from_the_measured_models_the_interval_is_wider():
    def width(macs_m: float, params_m: float) -> float:
        one = forecast(macs_m=macs_m, params_m=params_m)["NPU1"]
        return (one.high - one.low) / one.fps

    assert width(250, 6) < width(522, 12.474) < width(1500, 12.474)


@pytest.mark.parametrize("macs_m, params_m", [(0.001, 1e6), (1e6, 0.001), (0.001, 0.001)])
def test_however_far_the_interval_stays_finite_and_positive(macs_m: float, params_m: float):
    for one in forecast(macs_m=macs_m, params_m=params_m).values():
        assert 0 < one.low < one.fps < one.high < math.inf


def test_it_prints_the_contract(capsys: pytest.CaptureFixture[str]):
    assert main(["forecast", "--macs-m", "522", "--params-m", "12.474"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert list(printed) == ["NPU1", "NPU3", "warnings"]
    assert printed.pop("warnings") == []
    for one in printed.values():
        assert list(one) == ["fps", "low", "high"]
        assert one["low"] < one["fps"] < one["high"]
    assert printed["NPU1"]["fps"] == round(forecast(**M5)["NPU1"].fps, 1)


def attention(queries: int, keys: int = 1) -> onnx.ModelProto:
    """One attention on two images; its queries and keys come out of convolutions of so many groups."""
    made = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 13]>
        g (float[2,48,40,40] input) => (float[2,16,40,40] logits) {{
            q0, k0, v = Split<axis=1>(input)
            q1 = Conv<group={queries}>(q0, q)
            k1 = Conv<group={keys}>(k0, k)
            q2 = Transpose<perm=[0,1,3,2]>(q1)
            raw = MatMul(q2, k1)
            scaled = Mul(raw, scale)
            w = Softmax<axis=-1>(scaled)
            logits = MatMul(v, w)
        }}"""
    )
    held = {name: np.ones((16, 16 // groups, 1, 1)) for name, groups in (("q", queries), ("k", keys))}
    for name, values in {**held, "scale": np.ones(1)}.items():
        made.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    return made


def run_on(model: onnx.ModelProto, path: Path) -> int:
    onnx.save(model, path)
    return main(["forecast", "--onnx", str(path)])


def test_a_graph_is_forecast_as_its_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run_on(attention(16), tmp_path / "model.onnx") == 0
    counted = json.loads(capsys.readouterr().out)
    macs, parameters = 1600 * (16 + 256) + 2 * 16 * 40**3, 16 + 256
    assert main(["forecast", "--macs-m", str(macs / 1e6), "--params-m", str(parameters / 1e6)]) == 0
    told = json.loads(capsys.readouterr().out)
    *same, size = counted.pop("warnings")
    assert same == told.pop("warnings") and "this one 40" in size and counted == told


def test_a_real_graph_is_of_the_family_also_before_simplification():
    plain = to_onnx(fold(init_model("pocket")))
    macs_m, params_m = counts(simplify(plain))
    assert (macs_m, params_m) == counts(plain) and 1 < macs_m < RANGE[0]


@pytest.mark.parametrize(
    "other", [attention(1), attention(16, 16), graph(node("Softmax")), graph(node("Relu"))]
)
def test_a_graph_of_another_family_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], other: onnx.ModelProto
):
    assert run_on(other, tmp_path / "model.onnx") == 2
    printed = capsys.readouterr()
    assert "no EfficientViT" in printed.err and not printed.out


@pytest.mark.parametrize(("macs_m", "warned"), [(78, 1), (79, 0), (522, 0), (523, 1), (1e6, 1)])
def test_outside_the_fitted_sizes_there_is_a_warning(
    capsys: pytest.CaptureFixture[str], macs_m: float, warned: int
):
    assert main(["forecast", "--macs-m", str(macs_m), "--params-m", "5"]) == 0
    assert len(json.loads(capsys.readouterr().out)["warnings"]) == warned


@pytest.mark.parametrize(
    "given", [[], ["--macs-m", "5"], ["--onnx", "m", "--macs-m", "5", "--params-m", "5"]]
)
def test_half_of_the_numbers_are_refused(given: list[str], capsys: pytest.CaptureFixture[str]):
    assert main(["forecast", *given]) == 2
    assert "either --onnx, or --macs-m and --params-m" in capsys.readouterr().err


def test_the_counts_it_is_fitted_on_are_those_of_the_models():
    for name in VARIANTS:
        counted = total(cost(init_model(name)))
        assert (round(counted.macs / 1e6, 1), round(counted.parameters / 1e6, 3)) == COUNTED[name]
