"""Preflight: what it must let pass, and what it must catch."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import timm
from onnx import TensorProto, helper
from PIL import Image
from small_graphs import graph, node

from helpers.__main__ import main
from helpers.finding import Finding
from helpers.graph import export
from helpers.graph.fold import fold
from helpers.graph.preprocess import Preprocessing, for_board, mark
from helpers.pulsar2 import pulsar2_config
from helpers.pulsar2.config_builder import build_config_for
from helpers.pulsar2.preflight import preflight

BGR = Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input="bgr", size=8)
F32 = np.float32


def found(findings: Sequence[Finding], check: str) -> Finding:
    (finding,) = [finding for finding in findings if finding.check == check]
    return finding


def tar(path: Path, sides: Sequence[tuple[int, int]], mode: str = "RGB") -> Path:
    with tarfile.open(path, "w") as archive:
        for index, size in enumerate(sides):
            buffer = io.BytesIO()
            Image.new(mode, size).save(buffer, "PNG")
            info = tarfile.TarInfo(f"{index}.png")
            info.size = len(buffer.getvalue())
            archive.addfile(info, io.BytesIO(buffer.getvalue()))
    return path


def plain_config(**fields: Any) -> dict[str, Any]:
    """A configuration that fits `small`, as data to be spoilt."""
    config = build_config_for(BGR, calibration_dataset="a.tar", tensor_name="input")
    return {**config.model_dump(mode="json", exclude_unset=True), **fields}


def saved(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A marked graph of one Relu with its archive beside it."""
    model = graph(node("Relu"))
    mark(model, BGR)
    tar(tmp_path / "a.tar", [(8, 8)] * 32)
    return saved(model, tmp_path / "small.onnx")


def check(small: Path, config: dict[str, Any], **given: Any) -> list[Finding]:
    path = small.parent / "pulsar2.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return preflight(small, path, **given)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """efficientvit_m0: timm's own export, and the simplified graphs of the raw and the folded model."""
    folder = tmp_path_factory.mktemp("exported")
    model = timm.create_model("efficientvit_m0").eval()
    plain = export.to_onnx(model, folder / "plain.onnx")
    folded = export.to_onnx(fold(for_board(model, "bgr")), folder / "folded.onnx")
    paths = {"plain": folder / "plain.onnx"}
    for name, made in (("raw", plain), ("folded", folded)):
        paths[name] = saved(export.simplify(made), folder / f"{name}.onnx")
    return paths


def test_all_is_well_with_a_fitting_set(small: Path) -> None:
    assert {f.level for f in check(small, plain_config())} == {"ok"}


@pytest.mark.parametrize("name", ["raw", "folded"])
def test_the_simplified_model_passes(exported: dict[str, Path], name: str) -> None:
    findings = preflight(exported[name])
    assert {finding.level for finding in findings} == {"ok"}, findings


def test_the_export_before_onnxsim_is_caught(exported: dict[str, Path]) -> None:
    finding = found(preflight(exported["plain"]), "restrictions")
    assert finding.level == "fail"
    assert "2-D indices" in finding.message and "onnxsim" in finding.message


@pytest.mark.parametrize("operator", ["Mod", "Einsum"])
def test_an_unsupported_operator_is_caught(tmp_path: Path, operator: str) -> None:
    attributes = {"equation": "abcd->abcd"} if operator == "Einsum" else {"fmod": 1}
    inputs = ["input"] if operator == "Einsum" else ["input", "input"]
    model = graph(node(operator, inputs, **attributes), opset=13)
    finding = found(preflight(saved(model, tmp_path / "a.onnx")), "operators")
    assert finding.level == "fail" and operator in finding.message


@pytest.mark.parametrize("shape", [["batch", 3, 8, 8], [0, 3, 8, 8]])
def test_a_dynamic_shape_is_caught(tmp_path: Path, shape: list[int | str]) -> None:
    findings = preflight(saved(graph(node("Relu"), shape=shape), tmp_path / "a.onnx"))
    assert found(findings, "shapes").level == "fail"


@pytest.mark.parametrize(
    ("opset", "level"), [(10, "fail"), (11, "ok"), (18, "ok"), (20, "warn"), (23, "fail")]
)
def test_the_opset_is_judged(tmp_path: Path, opset: int, level: str) -> None:
    findings = preflight(saved(graph(node("Relu"), opset=opset), tmp_path / "a.onnx"))
    assert found(findings, "opset").level == level


def test_a_foreign_operator_set_is_caught(tmp_path: Path) -> None:
    model = graph(node("Relu", domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert found(preflight(saved(model, tmp_path / "a.onnx")), "opset").level == "fail"


def test_a_graph_that_the_checker_refuses_is_caught(tmp_path: Path) -> None:
    finding = found(preflight(saved(graph(node("Relu", ["nowhere"])), tmp_path / "a.onnx")), "file")
    assert finding.level == "fail" and "checker" in finding.message


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
    findings = check(small, plain_config(compiler={"static_batch_sizes": [1, 8]}))
    assert {f.check: f.level for f in findings} == {
        "file": "fail",
        "opset": "ok",
        "config": "ok",
        "calibration": "ok",
    }


@pytest.mark.parametrize("operator", ["Cast", "Reshape", "Constant"])
def test_a_foreign_operator_is_not_read_as_the_standard_one(small: Path, operator: str) -> None:
    model = graph(node(operator, domain="com.microsoft"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    saved(model, small)
    findings = check(small, plain_config(compiler={"static_batch_sizes": [1, 8]}))
    assert found(findings, "opset").level == "fail" and found(findings, "restrictions").level == "ok"


def test_a_constant_text_is_no_number(tmp_path: Path) -> None:
    text = helper.make_node("Constant", [], ["text"], value_strings=["a"])
    findings = preflight(saved(graph(text, node("Relu"), opset=13), tmp_path / "a.onnx"))
    assert {f.level for f in findings} == {"ok"}


def test_a_file_that_is_no_graph_is_caught(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"PK\x03\x04")
    assert [f.level for f in preflight(tmp_path / "a.onnx")] == ["fail"]


def test_inputs_that_are_not_float_are_told(tmp_path: Path) -> None:
    model = graph(node("Relu"), dtype=TensorProto.FLOAT16, out_dtype=TensorProto.FLOAT16)
    assert found(preflight(saved(model, tmp_path / "a.onnx")), "dtype").level == "warn"


def test_large_int64_tables_and_their_values_are_told(tmp_path: Path) -> None:
    table = np.arange(10_000, dtype=np.int64)
    made = node("Gather", ["input", "i"], axis=1)
    model = graph(made, i=table, out=[1, 10_000, 8, 8])
    assert found(preflight(saved(model, tmp_path / "a.onnx")), "int64").level == "warn"
    model = graph(made, i=table + 2**31, out=[1, 10_000, 8, 8])
    assert found(preflight(saved(model, tmp_path / "a.onnx")), "int64").level == "fail"


@pytest.mark.parametrize(
    ("count", "value", "level"),
    [
        (65, 2**40, "fail"),
        (65, 2**31, "fail"),
        (65, -(2**31) - 1, "fail"),
        (65, -(2**31), "ok"),
        (65, 2**31 - 1, "ok"),
        (64, 2**63 - 1, "ok"),
    ],
)
def test_every_int64_table_must_fit_the_boards_int32(
    tmp_path: Path, count: int, value: int, level: str
) -> None:
    model = graph(node("Relu"), longest=np.arange(200), other=np.full(count, value))
    assert found(preflight(saved(model, tmp_path / "a.onnx")), "int64").level == level


def test_a_slash_in_an_input_name_is_told(tmp_path: Path) -> None:
    model = graph(node("Relu", ["in/put"]), name="in/put")
    assert found(preflight(saved(model, tmp_path / "a.onnx")), "names").level == "warn"


def test_npu4_is_caught(small: Path) -> None:
    finding = found(check(small, plain_config(npu_mode="NPU4")), "config")
    assert finding.level == "fail" and "NPU1, NPU2, NPU3" in finding.message


def test_a_misspelt_field_is_caught(small: Path) -> None:
    finding = found(check(small, plain_config(npu_mod="NPU1")), "config")
    assert finding.level == "fail" and "did you mean npu_mode" in finding.message


def test_every_problem_of_a_configuration_is_a_line(small: Path) -> None:
    findings = check(small, plain_config(npu_mod="NPU1", quantt={}))
    assert len([f for f in findings if f.check == "config"]) == 2
    assert found(findings, "operators").level == "ok"  # the graph is judged all the same


def test_a_missing_archive_is_caught(small: Path) -> None:
    (small.parent / "a.tar").unlink()
    assert found(check(small, plain_config()), "calibration").level == "fail"
    finding = found(check(small, plain_config(), calibration=small.parent / "none.tar"), "calibration")
    assert finding.level == "fail" and "no such file" in finding.message


def test_an_archive_of_the_wrong_size_is_caught(small: Path) -> None:
    tar(small.parent / "a.tar", [(8, 8)] * 31 + [(9, 8)])
    finding = found(check(small, plain_config()), "calibration")
    assert finding.level == "fail" and "9 × 8" in finding.message
    assert found(preflight(small, calibration=small.parent / "a.tar"), "calibration").level == "fail"


def test_few_odd_or_too_few_pictures_are_told(small: Path) -> None:
    tar(small.parent / "a.tar", [(8, 8)] * 31)
    assert "fewer than 32" in found(check(small, plain_config()), "calibration").message
    tar(small.parent / "a.tar", [(8, 8)] * 32, mode="L")
    assert "not RGB" in found(check(small, plain_config()), "calibration").message
    tar(small.parent / "a.tar", [(8, 8)] * 40)
    config = plain_config()
    config["quant"]["input_configs"][0]["calibration_size"] = 64
    finding = found(check(small, config), "calibration")
    assert finding.level == "warn" and "calibration_size 64" in finding.message


@pytest.mark.parametrize(
    ("array", "level"),
    [
        (np.zeros((1, 3, 8, 8), F32), "warn"),  # fits; a warning because it is one
        (np.zeros((3, 8, 8), F32), "fail"),
        (np.zeros((1, 3, 8, 8), np.float64), "fail"),
    ],
)
def test_arrays_must_be_what_the_model_gets(small: Path, array: np.ndarray, level: str) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    with tarfile.open(small.parent / "a.tar", "w") as archive:
        info = tarfile.TarInfo("0.npy")
        info.size = len(buffer.getvalue())
        archive.addfile(info, io.BytesIO(buffer.getvalue()))
    config = build_config_for(BGR, calibration_dataset="a.tar", calibration_format="Numpy")
    path = pulsar2_config.write(config, small.parent / "c.json")
    assert found(preflight(small, path), "calibration").level == level
    as_pictures = found(check(small, plain_config()), "calibration")
    assert as_pictures.level == "fail" and "format Image" in as_pictures.message


def test_another_archive_than_the_configured_is_told(small: Path) -> None:
    other = tar(small.parent / "b.tar", [(8, 8)] * 32)
    findings = check(small, plain_config(), calibration=other)
    assert found(findings, "calibration").level == "ok"
    assert found(findings, "calibration name").level == "warn"


def processor(**fields: Any) -> dict[str, Any]:
    config = plain_config()
    config["input_processors"][0].update(fields)
    return config


def test_rgb_against_bgr_is_caught_in_the_configuration(small: Path) -> None:
    finding = found(check(small, processor(src_format="RGB")), "channel order")
    assert finding.level == "fail" and "swaps no channels" in finding.message


def test_rgb_against_bgr_is_caught_between_configuration_and_graph(small: Path) -> None:
    finding = found(check(small, processor(src_format="RGB", tensor_format="RGB")), "channel order")
    assert finding.level == "fail" and "exported for BGR" in finding.message


def test_rgb_against_bgr_is_caught_in_the_mean(small: Path) -> None:
    unmarked = saved(graph(node("Relu")), small)
    config = plain_config()
    assert found(check(unmarked, config), "channel order").level == "warn"  # the graph does not say
    config["quant"]["input_configs"][0]["calibration_mean"].reverse()
    finding = found(check(unmarked, config), "channel order")
    assert finding.level == "fail" and "RGB order" in finding.message


def test_a_format_that_is_not_named_is_told(small: Path) -> None:
    config = processor(src_format="AutoColorSpace", tensor_format="AutoColorSpace")
    assert found(check(small, config), "channel order").level == "warn"


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ([103.53, 116.28, 123.675], [0.004] * 3, "multiply by 255"),
        ([103.53, 116.28, 123.675], [0.225, 0.224, 0.229], "multiply by 255"),
        ([0.406, 0.456, 0.485], [57.375, 57.12, 58.395], "multiply by 255"),
        ([103.53, 116.28, 300], [57.375, 57.12, 58.395], "outside"),
        ([0, 0, 0], [255, 255, 255], "exported for"),
        ([103.53, 116.28, 123.675], [58, 58, 62], "exported for"),
    ],
)
def test_an_implausible_mean_or_std_is_caught(
    small: Path, mean: list[float], std: list[float], says: str
) -> None:
    config = plain_config()
    config["quant"]["input_configs"][0].update(calibration_mean=mean, calibration_std=std)
    finding = found(check(small, config), "mean/std")
    assert finding.level == "fail" and says in finding.message
    finding = found(check(small, processor(mean=mean, std=std)), "mean/std")
    assert finding.level == "fail" and "input_processors[0]" in finding.message


def test_a_mean_near_the_exported_one_is_told(small: Path) -> None:
    config = plain_config()
    entry = config["quant"]["input_configs"][0]
    entry.update(calibration_mean=[103.939, 116.779, 123.68], calibration_std=[58, 58, 58])
    finding = found(check(small, config), "mean/std")
    assert finding.level == "warn" and "exported for" in finding.message


def test_a_mean_for_arrays_is_told(small: Path) -> None:
    config = plain_config()
    config["quant"]["input_configs"][0]["calibration_format"] = "Numpy"
    assert found(check(small, config), "mean/std").level == "warn"


def test_names_must_be_the_graphs(small: Path) -> None:
    config = plain_config()
    config["quant"]["input_configs"][0]["tensor_name"] = "image"
    finding = found(check(small, config), "input name")
    assert finding.level == "fail" and "image" in finding.message and "input" in finding.message
    outputs = [{"tensor_name": "scores"}]
    assert found(check(small, plain_config(output_processors=outputs)), "input name").level == "fail"


@pytest.mark.parametrize("fields", [{"src_dtype": "FP32"}, {"src_layout": "NCHW"}])
def test_what_the_board_program_cannot_feed_is_told(small: Path, fields: dict[str, str]) -> None:
    assert found(check(small, processor(**fields)), "board feed").level == "warn"


def test_layers_without_effect_are_told(small: Path) -> None:
    config = plain_config()
    for entry in ({"op_type": "Softmax", "data_type": "U16"}, {"op_type": "MatMul", "data_type": "FP32"}):
        config["quant"]["layer_configs"] = [entry]
        assert found(check(small, config), "precision").level == "warn"


def reshaped(first: int, opset: int = 11) -> onnx.ModelProto:
    made = node("Reshape", ["input", "s"])
    return graph(made, s=np.array([first, 3, 64]), out=[1, 3, 64], opset=opset)


@pytest.mark.parametrize(
    ("model", "compiler", "level"),
    [
        (graph(node("Relu")), {"max_dynamic_batch_size": 8}, "ok"),
        (graph(node("Relu"), shape=[4, 3, 8, 8]), {"static_batch_sizes": [1, 8]}, "fail"),
        (graph(node("Relu"), shape=[4, 3, 8, 8]), {}, "warn"),
        (reshaped(1), {}, "ok"),
        (reshaped(1), {"static_batch_sizes": [1, 8]}, "warn"),
        (reshaped(1), {"static_batch_sizes": [1, 8], "disable_ir_fix": True}, "fail"),
        (reshaped(-1), {"static_batch_sizes": [1, 8]}, "ok"),
        (reshaped(0, opset=14), {"max_dynamic_batch_size": 8}, "ok"),
    ],
)
def test_batches_need_shapes_that_follow(
    tmp_path: Path, model: onnx.ModelProto, compiler: dict[str, Any], level: str
) -> None:
    path = saved(model, tmp_path / "a.onnx")
    assert found(check(path, plain_config(compiler=compiler)), "batch").level == level


def test_the_command_prints_one_line_per_check(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = pulsar2_config.write(pulsar2_config.validate(plain_config()), small.parent / "c.json")
    arguments = [
        "preflight",
        "--onnx",
        str(small),
        "--config",
        str(config),
        "--calibration",
        str(small.parent / "a.tar"),
    ]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16 and all(line.split()[0] == "ok" for line in lines)
    (small.parent / "a.tar").unlink()
    assert main(arguments) == 1
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail  calibration: ")]
