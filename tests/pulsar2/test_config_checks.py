"""Configuration against graph, finding by finding: where each limit lies, and what the sentence names."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_graphs import graph, node

from helpers.finding import Finding
from helpers.graph.preprocess import Preprocessing, mark
from helpers.pulsar2.config_builder import build_config_for
from helpers.pulsar2.config_checks import check_config
from helpers.pulsar2.pulsar2_config import validate

BGR = Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input="bgr", size=8)
MEAN, STD = list(BGR.mean), list(BGR.std)


def relu(*, marked: bool = False) -> onnx.ModelProto:
    model = graph(node("Relu"))
    if marked:
        mark(model, BGR)
    return model


def config(
    *,
    entry: dict[str, Any] | None = None,
    quant: dict[str, Any] | None = None,
    processor: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """One that fits the graphs here, as data, with a few fields changed."""
    fitting = build_config_for(BGR, calibration_dataset="a.tar", tensor_name="input")
    plain = fitting.model_dump(mode="json", exclude_unset=True)
    plain["quant"]["input_configs"][0].update(entry or {})
    plain["quant"].update(quant or {})
    plain["input_processors"][0].update(processor or {})
    return {**plain, **fields}


def found(check: str, data: dict[str, Any], model: onnx.ModelProto | None = None) -> Finding:
    findings = check_config(validate(data), model or relu())
    (finding,) = [finding for finding in findings if finding.check == check]
    return finding


def test_each_check_is_made_once_and_in_order() -> None:
    names = [finding.check for finding in check_config(validate(config()), relu(marked=True))]
    assert names == ["input name", "board feed", "channel order", "mean/std", "precision", "batch"]


def test_an_input_without_calibration_is_told() -> None:
    finding = found("input name", config(quant={"input_configs": []}))
    assert (finding.level, finding.message.split(":")[0]) == (
        "fail",
        "input has no entry in quant.input_configs",
    )
    assert found("input name", config(entry={"tensor_name": "DEFAULT"})).level == "ok"


def test_an_output_must_be_the_graphs() -> None:
    finding = found("input name", config(output_processors=[{"tensor_name": "scores"}]))
    assert finding.level == "fail" and "scores, graph: logits" in finding.message
    for name in ("logits", "DEFAULT"):
        assert found("input name", config(output_processors=[{"tensor_name": name}])).level == "ok"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"input_processors": []}, "no input_processors"),
        ({"processor": {"src_dtype": "FP32"}}, "src_dtype FP32, src_layout NHWC"),
        ({"output_processors": [{"tensor_name": "logits", "output_dtype": "U8"}]}, "output_dtype U8"),
    ],
)
def test_what_the_sample_cannot_feed_or_read_is_named(fields: dict[str, Any], says: str) -> None:
    finding = found("board feed", config(**fields))
    assert finding.level == "warn" and says in finding.message


def test_a_float_output_is_what_the_sample_reads() -> None:
    assert found("board feed", config(output_processors=[{"tensor_name": "logits"}])).level == "ok"


@pytest.mark.parametrize(
    ("entry", "processor", "level"),
    [
        ({}, {}, "warn"),  # the graph does not say its order
        ({"calibration_mean": MEAN[::-1]}, {}, "fail"),
        ({"tensor_name": "DEFAULT", "calibration_mean": MEAN[::-1]}, {}, "fail"),
        ({"calibration_mean": MEAN[::-1]}, {"mean": MEAN, "std": STD}, "warn"),  # the processor's own counts
        ({}, {"mean": MEAN[::-1], "std": STD[::-1]}, "fail"),
        ({"calibration_mean": [123.68, 116.779, 103.939]}, {}, "fail"),  # the older figures
        ({"calibration_mean": [125.0, 116.28, 103.53]}, {}, "warn"),  # more than a grey level away
        ({"calibration_mean": [127.5, 127.5, 127.5], "calibration_std": [127.5] * 3}, {}, "warn"),
    ],
)
def test_the_order_is_read_from_the_mean_that_counts(
    entry: dict[str, Any], processor: dict[str, Any], level: str
) -> None:
    assert found("channel order", config(entry=entry, processor=processor)).level == level


def test_the_mean_of_another_input_does_not_count() -> None:
    data = config()
    other = {**data["quant"]["input_configs"][0], "tensor_name": "other", "calibration_mean": MEAN[::-1]}
    data["quant"]["input_configs"].insert(0, other)
    assert found("channel order", data).level == "warn"


def test_a_graph_that_says_its_order_is_ok_and_the_feed_is_named() -> None:
    finding = found("channel order", config(), relu(marked=True))
    assert (finding.level, finding.message) == (
        "ok",
        "BGR in graph and configuration, as the C++ board programs feed",
    )


@pytest.mark.parametrize(
    ("mean", "std", "level"),
    [
        ([], [], "warn"),
        ([0, 0, 0], [255, 255, 255], "ok"),
        ([0, 1, 255], [1, 255, 510], "ok"),
        ([0, 0, 255.5], [255, 255, 255], "fail"),
        ([-0.5, 0, 0], [255, 255, 255], "fail"),
        ([0, 0, 0.5], [255, 255, 255], "fail"),
        ([0, 0, 0], [255, 255, 511], "fail"),
        ([0, 0, 0], [255, 255, 0.99], "fail"),
    ],
)
def test_the_limits_of_mean_and_std(mean: list[float], std: list[float], level: str) -> None:
    data = config(entry={"calibration_mean": mean, "calibration_std": std})
    assert found("mean/std", data).level == level


@pytest.mark.parametrize(("off", "level"), [(0.009, "ok"), (0.02, "warn"), (1.9, "warn"), (2.1, "fail")])
@pytest.mark.parametrize("field", ["calibration_mean", "calibration_std"])
def test_how_near_the_exported_mean_and_std_must_be(field: str, off: float, level: str) -> None:
    exported = MEAN if field == "calibration_mean" else STD
    data = config(entry={field: [exported[0] + off, *exported[1:]]})
    assert found("mean/std", data, relu(marked=True)).level == level


def test_one_number_for_three_channels_is_not_the_exported_mean() -> None:
    data = config(entry={"calibration_mean": [MEAN[0]], "calibration_std": [STD[0]]})
    assert found("mean/std", data, relu(marked=True)).level == "fail"


@pytest.mark.parametrize("given", [{"calibration_mean": MEAN}, {"calibration_std": STD}])
def test_what_is_given_for_arrays_is_not_applied(given: dict[str, Any]) -> None:
    unset = {"calibration_mean": [], "calibration_std": []}
    finding = found("mean/std", config(entry={**unset, **given, "calibration_format": "Numpy"}))
    assert finding.level == "warn" and "of input are not applied to arrays" in finding.message


@pytest.mark.parametrize(
    ("quant", "level", "says"),
    [
        ({"layer_configs": [{"op_type": "Relu", "data_type": "FP32"}]}, "ok", "1 entries"),
        ({"layer_configs": [{"op_types": ["Relu", "Tanh"], "data_type": "U16"}]}, "warn", "no Tanh"),
        ({"highest_mix_precision": True}, "warn", "FP32"),
    ],
)
def test_entries_that_work_and_those_that_do_not(quant: dict[str, Any], level: str, says: str) -> None:
    finding = found("precision", config(quant=quant))
    assert finding.level == level and says in finding.message


@pytest.mark.parametrize(
    ("data_type", "level", "says"),
    [("U16", "ok", "1 entries"), ("FP32", "warn", "layer_configs[0]: FP32 is not verified for Tanh")],
)
def test_operators_whose_fp32_nobody_verified_are_named(data_type: str, level: str, says: str) -> None:
    data = config(quant={"layer_configs": [{"op_type": "Tanh", "data_type": data_type}]})
    finding = found("precision", data, graph(node("Tanh")))
    assert finding.level == level and says in finding.message


def reshape(shape: list[int], opset: int = 11, **attributes: int) -> onnx.ModelProto:
    return graph(
        node("Reshape", ["input", "s"], **attributes), s=np.array(shape), out=[1, 3, 64], opset=opset
    )


@pytest.mark.parametrize(
    ("model", "compiler", "level", "says"),
    [
        (relu(), {"static_batch_sizes": [1, 8]}, "ok", "1, 8 with opset 11: no Reshape"),
        (relu(), {"max_dynamic_batch_size": 8}, "ok", "1 to 8 with opset 11"),
        (relu(), {"static_batch_sizes": [1]}, "ok", "1, as in the graph"),
        (graph(node("Relu"), shape=[4, 3, 8, 8]), {"static_batch_sizes": [1]}, "warn", "4 in the graph"),
        (graph(node("Relu"), shape=[4, 3, 8, 8]), {"max_dynamic_batch_size": 8}, "fail", "has batch 4"),
        (reshape([1, 3, 64]), {"max_dynamic_batch_size": 8}, "warn", "1 Reshapes hold batch 1"),
        (reshape([3, 1, 64]), {"max_dynamic_batch_size": 8}, "ok", "no Reshape"),
        (reshape([0, 3, 64], 14, allowzero=0), {"max_dynamic_batch_size": 8}, "ok", "no Reshape"),
        (reshape([3, 0, 64], 14, allowzero=1), {"max_dynamic_batch_size": 8}, "fail", "in Reshape it a 0"),
        (reshape([3, 1, 64], 14, allowzero=1), {"max_dynamic_batch_size": 8}, "ok", "no Reshape"),
    ],
)
def test_the_batches_that_a_graph_allows(
    model: onnx.ModelProto, compiler: dict[str, Any], level: str, says: str
) -> None:
    finding = found("batch", config(compiler=compiler), model)
    assert finding.level == level and says in finding.message


def test_a_named_batch_is_told_beside_a_number() -> None:
    model = graph(node("Relu"), shape=[4, 3, 8, 8])
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N", 3, 8, 8]))
    finding = found("batch", config(compiler={"max_dynamic_batch_size": 8}), model)
    assert finding.level == "fail" and "has batch 4, N:" in finding.message
