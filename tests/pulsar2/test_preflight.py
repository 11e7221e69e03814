"""Preflight: what it must let pass, what it must catch, and where each limit lies."""

import functools
import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from small_archives import npy, png, tar
from small_graphs import graph, node

from helpers.__main__ import main
from helpers.finding import Finding
from helpers.graph import convert
from helpers.graph.fold import fold
from helpers.graph.graph import Graph
from helpers.graph.preprocess import Preprocessing, for_board, write_metadata
from helpers.model import weights
from helpers.pulsar2.config import configure, validate
from helpers.pulsar2.preflight import check_config, check_graph, preflight

BGR = Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input="bgr", size=8)
MEAN, STD = list(BGR.mean), list(BGR.std)
GREY = {"calibration_mean": [127.5] * 3, "calibration_std": [127.5] * 3}  # of no order
F32 = np.float32


def only(findings: Sequence[Finding], check: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.check == check]
    return finding


def pictures(path: Path, sides: Sequence[tuple[int, int]], mode: str = "RGB") -> Path:
    return tar(path, {f"{index}.png": png(size, mode) for index, size in enumerate(sides)})


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def relu(*, marked: bool = False) -> onnx.ModelProto:
    model = graph(node("Relu"))
    if marked:
        write_metadata(model, BGR)
    return model


@functools.cache
def fitting() -> str:
    with tempfile.TemporaryDirectory() as scratch:
        return configure(Path(scratch), BGR, calibration=Path("a.tar")).path("pulsar2.json").read_text()


def config(
    *,
    entry: dict[str, Any] | None = None,
    quant: dict[str, Any] | None = None,
    processor: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """One that fits the graphs here, as data, with a few fields changed."""
    plain = json.loads(fitting())
    plain["quant"]["input_configs"][0].update(entry or {})
    plain["quant"].update(quant or {})
    plain["input_processors"][0].update(processor or {})
    return {**plain, **fields}


def layers(**entry: Any) -> dict[str, Any]:
    return {"quant": {"layer_configs": [entry]}}


def judged(check: str, data: dict[str, Any], model: onnx.ModelProto | None = None) -> Finding:
    return only(check_config(validate(data), Graph(model or relu())), check)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A graph of one Relu that says its preprocessing, with its archive beside it."""
    pictures(tmp_path / "a.tar", [(8, 8)] * 32)
    return saved(relu(marked=True), tmp_path / "small.onnx")


def check(small: Path, data: dict[str, Any], **given: Any) -> list[Finding]:
    path = small.parent / "pulsar2.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    return preflight(small, path, **given)


# The whole.


def test_the_simplified_model_passes_and_what_onnxsim_did_not_see_is_caught() -> None:
    model = weights.load("efficientvit_m0", "random")
    raw, folded = (convert.to_onnx(each) for each in (model, fold(for_board(model, "bgr"))))
    for simplified in (convert.simplify(raw), convert.simplify(folded)):
        findings = check_graph(Graph(simplified))
        assert {finding.level for finding in findings} == {"ok"}, findings
    finding = only(check_graph(Graph(raw)), "restrictions")
    assert finding.level == "fail" and "2-D indices" in finding.message and "onnxsim" in finding.message


def test_the_command_prints_one_line_per_check(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = check(small, config())
    assert [f.check for f in findings if f.level == "ok"] == [
        *("file", "opset", "operators", "restrictions", "shapes", "dtype", "int64", "names", "config"),
        *("input name", "board feed", "channel order", "mean/std", "precision", "batch", "calibration"),
    ]
    given = ["--config", str(small.parent / "pulsar2.json"), "--calibration", str(small.parent / "a.tar")]
    assert main(["preflight", "--onnx", str(small), *given]) == 0
    assert capsys.readouterr().out.splitlines() == [str(finding) for finding in findings]
    (small.parent / "a.tar").unlink()
    assert main(["preflight", "--onnx", str(small), *given]) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail  calibration: ")]


# The graph.


@pytest.mark.parametrize(
    ("check", "model", "level"),
    [
        ("shapes", graph(node("Relu"), shape=["batch", 3, 8, 8]), "fail"),
        ("shapes", graph(node("Relu"), shape=[0, 3, 8, 8]), "fail"),
        ("opset", graph(node("Relu"), opset=10), "fail"),
        ("opset", graph(node("Relu"), opset=11), "ok"),
        ("opset", graph(node("Relu"), opset=18), "ok"),
        ("opset", graph(node("Relu"), opset=20), "warn"),
        ("opset", graph(node("Relu"), opset=23), "fail"),
        ("file", graph(node("Relu", ["nowhere"])), "fail"),
        ("dtype", graph(node("Relu"), dtype=TensorProto.FLOAT16, out_dtype=TensorProto.FLOAT16), "warn"),
        ("dtype", graph(node("Relu"), unread=np.ones(1, np.float64)), "warn"),
        ("names", graph(node("Relu", ["in/put"]), name="in/put"), "warn"),
    ],
)
def test_what_is_found_in_the_graph_alone(check: str, model: onnx.ModelProto, level: str) -> None:
    assert only(check_graph(Graph(model)), check).level == level


def plain_export() -> onnx.ModelProto:
    """As PyTorch writes x.reshape(x.shape[0], -1): sizes are computed, and no shape is known after it."""
    last, first = np.array([-1]), np.array([0])
    sizes = [
        helper.make_node("Shape", ["input"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "place"], ["batch"]),
        helper.make_node("Mod", ["batch", "large"], ["rest"]),  # as timm pads its windows
        helper.make_node("Unsqueeze", ["rest", "first"], ["one"]),
        helper.make_node("Concat", ["one", "last"], ["shape"], axis=0),
    ]
    given = {"last": last, "first": first, "place": np.array(0), "large": np.array(7)}
    return graph(*sizes, node("Reshape", ["input", "shape"]), out=["rows", 192], opset=13, **given)


# An index of no dimension picks a ViT's class token, and nothing can fold it.
TOKEN = graph(node("Gather", ["input", "i"], axis=1), i=np.array(0), out=[1, 8, 8])
CUT = helper.make_node("Slice", ["input", "zero", "one", "one"], ["picked"])
PICK = helper.make_node("Gather", ["input", "zero"], ["picked"], axis=1)
SQUEEZE = node("Squeeze", ["picked"], axes=[1])
SQUEEZED = {"zero": np.array([0]), "one": np.array([1]), "out": [1, 8, 8]}

ROWS = {"name": "i", "shape": [2, 3], "dtype": TensorProto.INT64, "out": [2, 3, 9], "w": np.ones((5, 9), F32)}
LOOKUP = graph(node("Gather", ["w", "i"]), **ROWS)
FLAT_LOOKUP = graph(
    helper.make_node("Reshape", ["i", "flat"], ["j"]),
    helper.make_node("Gather", ["w", "j"], ["rows"]),
    node("Reshape", ["rows", "back"]),
    flat=np.array([-1]),
    back=np.array([2, 3, 9]),
    **ROWS,
)


def wide(dtype: type[np.generic]) -> onnx.ModelProto:
    return graph(node("Gather", ["input", "i"]), i=np.zeros(10_000, dtype), out=[10_000, 3, 8, 8])


def mean(**axes: list[int]) -> onnx.ModelProto:
    return graph(node("ReduceMean", **axes), out=[1, 1, 1, 1])


def product(operator: str) -> onnx.ModelProto:
    return graph(node(operator, ["input", "input"]), shape=[8, 8])


SWISH = graph(helper.make_node("Sigmoid", ["input"], ["s"]), node("Mul", ["input", "s"]))
HALF = TensorProto.FLOAT16


@pytest.mark.parametrize("onnxsim", [True, False])
def test_what_simplification_removes_is_told_as_that(small: Path, onnxsim: bool) -> None:
    saved(plain_export(), small)
    found = check(small, config(onnx_opt={"enable_onnxsim": onnxsim}))
    for name, what in (
        ("operators", "Shape"),
        ("operators", "Mod"),
        ("restrictions", "0-D"),
        ("shapes", "rows"),
    ):
        finding = only(found, name)
        assert what in finding.message and "simplif" in finding.message and "replace" not in finding.message
        assert finding.level == ("warn" if onnxsim else "fail")


def test_what_stays_is_told_beside_what_goes(small: Path) -> None:
    model = plain_export()
    model.graph.node.append(helper.make_node("Mod", ["input", "input"], ["more"], "stays", fmod=1))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1, 3, 8, 8]))
    finding = only(check(saved(model, small), config(onnx_opt={"enable_onnxsim": True})), "operators")
    assert finding.level == "fail" and "Mod ×1 (stays): not on the AX650 list: replace it" in finding.message
    assert "Shape" not in finding.message  # which is no failure


@pytest.mark.parametrize(
    ("check", "remedy", "before", "after"),
    [
        ("operators", "onnxsim", plain_export(), None),
        ("restrictions", "onnxsim", plain_export(), None),
        ("shapes", "onnxsim", plain_export(), None),
        ("int64", "onnxsim", graph(node("Relu"), unread=np.zeros(10_000, np.int64)), None),
        ("int64", "int32", wide(np.int64), wide(np.int32)),
        ("restrictions", "Slice and Squeeze", TOKEN, graph(CUT, SQUEEZE, **SQUEEZED)),
        ("restrictions", r"shape \[1\]", TOKEN, graph(PICK, SQUEEZE, **SQUEEZED)),
        ("restrictions", "by Reshape", LOOKUP, FLAT_LOOKUP),
        ("restrictions", "alpha", graph(node("Elu")), graph(node("Elu", alpha=1.0))),
        ("restrictions", "name them", mean(), mean(axes=[0, 1, 2, 3])),
        ("restrictions", "MatMul", product("Gemm"), product("MatMul")),
        ("operators", "Sigmoid and Mul", graph(node("Swish"), opset=24), SWISH),
        ("shapes", "dynamic_axes", graph(node("Relu"), shape=["n", 3, 8, 8]), relu()),
        ("dtype", "float32", graph(node("Relu"), dtype=HALF, out_dtype=HALF), relu()),
        ("names", "without a slash", graph(node("Relu", ["in/put"]), name="in/put"), relu()),
        ("opset", "opset 11 to 18", graph(node("Relu"), opset=10), relu()),
    ],
)
def test_a_remedy_never_leads_back_to_itself(
    check: str, remedy: str, before: onnx.ModelProto, after: onnx.ModelProto | None
) -> None:
    finding = only(check_graph(Graph(before)), check)
    assert finding.level != "ok" and re.search(remedy, finding.message)
    done = convert.simplify(before) if after is None else after
    assert only(check_graph(Graph(done)), check).level == "ok"


def test_a_constant_text_is_no_number() -> None:
    text = helper.make_node("Constant", [], ["text"], value_strings=["a"])
    findings = check_graph(Graph(graph(text, node("Relu"), opset=13)))
    assert {f.level for f in findings} == {"ok"}


def test_a_file_that_is_no_graph_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"PK\x03\x04")
    assert [(f.check, f.level) for f in preflight(tmp_path / "a.onnx")] == [("file", "fail")]


def padded() -> onnx.ModelProto:
    """A constant of one float with five bytes, which onnx's checker lets pass."""
    model = graph(node("Pow", ["input", "two"]), two=F32(2))
    model.graph.initializer[0].raw_data += b"\0"
    return model


@pytest.mark.parametrize(
    "model",
    [
        graph(node("Cast")),
        graph(node("Cast", to=99)),
        graph(node("Gemm", ["input", "w"], alpha="x"), w=np.zeros((8, 8), F32)),
        graph(node("Reshape")),
        padded(),
    ],
    ids=["no to", "to 99", "alpha x", "one input", "padded"],
)
def test_an_invalid_graph_is_a_finding_and_no_exception(small: Path, model: onnx.ModelProto) -> None:
    saved(model, small)
    findings = check(small, config(compiler={"static_batch_sizes": [1, 8]}))
    levels = {"file": "fail", "opset": "ok", "config": "ok", "calibration": "ok"}
    assert {f.check: f.level for f in findings} == levels


@pytest.mark.parametrize("operator", ["Relu", "Cast", "Reshape", "Constant"])
def test_a_foreign_operator_is_not_read_as_the_standard_one(small: Path, operator: str) -> None:
    model = graph(node(operator, domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    saved(model, small)
    findings = check(small, config(compiler={"static_batch_sizes": [1, 8]}))
    assert only(findings, "opset").level == "fail" and only(findings, "restrictions").level == "ok"


@pytest.mark.parametrize(("count", "level"), [(65, "ok"), (7_992, "ok"), (7_993, "warn")])
def test_int64_tables_are_small(count: int, level: str) -> None:
    model = graph(node("Relu"), longest=np.arange(200), other=np.full(count, 1))
    assert only(check_graph(Graph(model)), "int64").level == level


# The file of the configuration, and the archive.


@pytest.mark.parametrize(("field", "named"), [({"npu_mode": "NPU4"}, "NPU3"), ({"npu_mod": ""}, "npu_mode")])
def test_a_wrong_configuration_is_a_finding(small: Path, field: dict[str, str], named: str) -> None:
    findings = check(small, config(**field))
    assert only(findings, "config").level == "fail" and named in only(findings, "config").message
    assert only(findings, "operators").level == "ok"  # the graph is judged all the same
    both = check(small, config(npu_mod="", quantt={}))
    assert [f.check for f in both].count("config") == 2


def test_a_missing_archive_is_caught(small: Path) -> None:
    (small.parent / "a.tar").unlink()
    for given in ({}, {"calibration": small.parent / "none.tar"}):
        finding = only(check(small, config(), **given), "calibration")
        assert finding.level == "fail" and "no such file" in finding.message
    assert only(check(small, config(quant={"input_configs": []})), "calibration").level == "fail"


@pytest.mark.parametrize(
    ("sides", "mode", "size", "level", "named"),
    [
        ([(8, 8)] * 31 + [(9, 8)], "RGB", 32, "fail", "9 × 8"),
        ([(8, 8)] * 31, "RGB", 31, "warn", "32"),
        ([(8, 8)] * 32, "L", 32, "warn", "RGB"),
        ([(8, 8)] * 40, "RGB", 64, "warn", "64"),
        ([(8, 8)] * 40, "RGB", 40, "ok", "40"),
    ],
)
def test_odd_or_too_few_pictures_are_told(
    small: Path, sides: Sequence[tuple[int, int]], mode: str, size: int, level: str, named: str
) -> None:
    pictures(small.parent / "a.tar", sides, mode)
    finding = only(check(small, config(entry={"calibration_size": size})), "calibration")
    assert finding.level == level and named in finding.message
    alone = only(preflight(small, calibration=small.parent / "a.tar"), "calibration")
    assert (alone.level == "fail") == (level == "fail")


@pytest.mark.parametrize(
    ("form", "array", "count", "level"),
    [
        ("Numpy", np.zeros((1, 3, 8, 8), F32), 32, "ok"),
        ("Numpy", np.zeros((1, 3, 8, 8), F32), 1, "warn"),
        ("Numpy", np.zeros((3, 8, 8), F32), 32, "fail"),
        ("Numpy", np.zeros((1, 3, 8, 8), np.float64), 32, "fail"),
        ("Numpy", np.array({"input": np.zeros((1, 3, 8, 8), F32)}), 32, "fail"),
        ("NumpyObject", np.array({"input": np.zeros((1, 3, 8, 8), F32)}), 32, "warn"),
        ("NumpyObject", np.zeros((1, 3, 8, 8), F32), 32, "fail"),
    ],
)
def test_arrays_must_be_what_the_model_gets(
    small: Path, form: str, array: np.ndarray, count: int, level: str
) -> None:
    tar(small.parent / "a.tar", {f"{index}.npy": npy(array) for index in range(count)})
    entry = {"calibration_format": form}
    assert only(check(small, config(entry=entry)), "calibration").level == level
    assert only(check(small, config()), "calibration").level == "fail"  # the pictures that it names


@pytest.mark.parametrize(("size", "level"), [(3 * 8 * 8 * 4, "ok"), (100, "fail")])
def test_a_raw_file_has_the_bytes_of_the_input(small: Path, size: int, level: str) -> None:
    tar(small.parent / "a.tar", {f"{index}.bin": bytes(size) for index in range(32)})
    finding = only(check(small, config(entry={"calibration_format": "Binary"})), "calibration")
    assert finding.level == level
    assert level == "ok" or "0.bin has 100 bytes, the model takes 768" in finding.message


def test_a_setting_without_effect_is_a_warning_and_the_rest_is_judged(small: Path) -> None:
    findings = check(small, config(processor={"csc_mode": "FullRange", "src_format": "AutoColorSpace"}))
    assert only(findings, "config").level == "warn" and only(findings, "mean/std").level == "ok"


def test_another_chip_is_told_that_its_operators_are_not_held_here(small: Path) -> None:
    for findings in (
        preflight(small, target_hardware="AX620E"),
        check(small, config(target_hardware="AX620E")),
        check(small, config(), target_hardware="AX620E"),
    ):
        finding = only(findings, "operators")
        assert finding.level == "warn" and "AX620E's list is not held here" in finding.message
    assert only(preflight(small, target_hardware="AX650"), "operators").level == "ok"
    refused = check(small, config(npu_mode="NPU3"), target_hardware="AX620E")
    assert (
        only(refused, "config").level == "fail" and "NPU1, NPU2 on AX620E" in only(refused, "config").message
    )
    assert "Write AX650" in only(preflight(small, target_hardware="AX650N"), "config").message


def test_another_archive_than_the_configured_is_told(small: Path) -> None:
    other = pictures(small.parent / "b.tar", [(8, 8)] * 32)
    findings = check(small, config(), calibration=other)
    assert only(findings, "calibration").level == "ok"
    assert only(findings, "calibration name").level == "warn"


# The configuration against the graph.


@pytest.mark.parametrize(
    ("check", "fields", "level", "named"),
    [
        ("input name", {"quant": {"input_configs": []}}, "fail", "input"),
        ("input name", {"entry": {"tensor_name": "image"}}, "fail", "image"),
        ("input name", {"processor": {"tensor_name": "image"}}, "fail", "image"),
        ("input name", {"entry": {"tensor_name": "DEFAULT"}}, "ok", "DEFAULT"),
        ("input name", {"output_processors": [{"tensor_name": "scores"}]}, "fail", "scores"),
        ("input name", {"output_processors": [{"tensor_name": "logits"}]}, "ok", "input"),
        ("input name", {"output_processors": [{"tensor_name": "DEFAULT"}]}, "ok", "input"),
        ("board feed", {"input_processors": []}, "warn", "input_processors"),
        ("board feed", {"processor": {"src_dtype": "FP32"}}, "warn", "FP32"),
        ("board feed", {"processor": {"src_layout": "NCHW"}}, "warn", "NCHW"),
        ("board feed", {"output_processors": [{"tensor_name": "a", "output_dtype": "U8"}]}, "warn", "U8"),
        ("board feed", {"output_processors": [{"tensor_name": "logits"}]}, "ok", "uint8"),
        ("precision", layers(op_type="Relu", data_type="FP32"), "ok", "1"),
        ("precision", layers(op_types=["Relu", "Tanh"], data_type="U16"), "warn", "Tanh"),
        ("precision", layers(op_type="Erf", data_type="U16"), "ok", "1"),
        ("precision", layers(op_type="Erf", data_type="FP32"), "warn", "Erf"),  # nobody verified it
        ("precision", {"quant": {"highest_mix_precision": True}}, "warn", "FP32"),
    ],
)
def test_the_configuration_must_fit_graph_and_board(
    check: str, fields: dict[str, Any], level: str, named: str
) -> None:
    model = graph(helper.make_node("Erf", ["input"], ["between"]), node("Relu", ["between"]))
    finding = judged(check, config(**fields), model)
    assert finding.level == level and named in finding.message


@pytest.mark.parametrize(
    ("entry", "processor", "marked", "level"),
    [
        ({}, {}, True, "ok"),
        ({}, {"src_format": "RGB"}, True, "fail"),  # Pulsar2 swaps no channels
        (GREY, {"src_format": "RGB", "tensor_format": "RGB"}, True, "fail"),  # exported for BGR
        ({}, {"src_format": "AutoColorSpace", "tensor_format": "AutoColorSpace"}, True, "warn"),
        ({}, {}, False, "warn"),  # the graph does not say its order
        ({"calibration_mean": MEAN[::-1]}, {}, False, "fail"),
        ({"tensor_name": "DEFAULT", "calibration_mean": MEAN[::-1]}, {}, False, "fail"),
        ({"calibration_mean": MEAN[::-1]}, {"mean": MEAN, "std": STD}, False, "warn"),  # its own counts
        ({}, {"mean": MEAN[::-1], "std": STD[::-1]}, False, "fail"),
        ({"calibration_mean": [123.68, 116.779, 103.939]}, {}, False, "fail"),  # the older figures
        ({"calibration_mean": [125.0, 116.28, 103.53]}, {}, False, "warn"),  # over a grey level away
        (GREY, {}, False, "warn"),
    ],
)
def test_the_order_of_channels(
    entry: dict[str, Any], processor: dict[str, Any], marked: bool, level: str
) -> None:
    assert (
        judged("channel order", config(entry=entry, processor=processor), relu(marked=marked)).level == level
    )


def test_the_mean_of_another_input_does_not_count() -> None:
    data = config()
    other = {**data["quant"]["input_configs"][0], "tensor_name": "other", "calibration_mean": MEAN[::-1]}
    data["quant"]["input_configs"].insert(0, other)
    assert judged("channel order", data).level == "warn"


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
    assert judged("mean/std", data).level == level
    finding = judged("mean/std", config(processor={"mean": mean, "std": std}))
    assert finding.level == level.replace("warn", "ok")  # those of the calibration are left
    assert level != "fail" or "input_processors[0]" in finding.message


@pytest.mark.parametrize(("off", "level"), [(1.9, "ok"), (2.1, "fail")])
@pytest.mark.parametrize("field", ["calibration_mean", "calibration_std"])
def test_how_near_the_exported_mean_and_std_must_be(field: str, off: float, level: str) -> None:
    own = MEAN if field == "calibration_mean" else STD
    data = config(entry={field: [own[0] + off, *own[1:]]})
    assert judged("mean/std", data, relu(marked=True)).level == level


def test_one_number_for_three_channels_is_not_the_exported_mean() -> None:
    data = config(entry={"calibration_mean": [MEAN[0]], "calibration_std": [STD[0]]})
    assert judged("mean/std", data, relu(marked=True)).level == "fail"


def reshape(shape: list[int], opset: int = 11, **attributes: int) -> onnx.ModelProto:
    return graph(
        node("Reshape", ["input", "s"], **attributes), s=np.array(shape), out=[1, 3, 64], opset=opset
    )


FOUR = graph(node("Relu"), shape=[4, 3, 8, 8])
EIGHT = {"max_dynamic_batch_size": 8}


@pytest.mark.parametrize(
    ("model", "compiler", "level", "named"),
    [
        (relu(), {"static_batch_sizes": [1, 8]}, "ok", "1, 8 with opset 11"),
        (relu(), EIGHT, "ok", "1 to 8 with opset 11"),
        (relu(), {"static_batch_sizes": [1]}, "ok", "1"),
        (FOUR, {}, "warn", "4"),
        (FOUR, {"static_batch_sizes": [1]}, "fail", "4"),
        (FOUR, {"static_batch_sizes": [1, 8]}, "fail", "4"),
        (FOUR, EIGHT, "fail", "4"),
        (reshape([1, 3, 64]), {}, "ok", "1"),
        (reshape([1, 3, 64]), EIGHT, "warn", "1 Reshapes"),
        (reshape([-1, 3, 64]), EIGHT, "ok", "no Reshape"),
        (reshape([3, 1, 64]), EIGHT, "ok", "no Reshape"),
        (reshape([0, 3, 64], 14, allowzero=0), EIGHT, "ok", "no Reshape"),
    ],
)
def test_the_batches_that_a_graph_allows(
    model: onnx.ModelProto, compiler: dict[str, Any], level: str, named: str
) -> None:
    finding = judged("batch", config(compiler=compiler), model)
    assert finding.level == level and named in finding.message


def test_a_named_batch_is_told_beside_a_number() -> None:
    model = graph(node("Relu"), shape=[4, 3, 8, 8])
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N", 3, 8, 8]))
    finding = judged("batch", config(compiler=EIGHT), model)
    assert finding.level == "fail" and "4, N" in finding.message
