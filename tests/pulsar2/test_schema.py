"""The rules between fields, and the printed schema as the measure of completeness."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.pulsar2 import schema
from helpers.pulsar2.config import ConfigError, validate

SHARED = Path(__file__).parents[3] / "shared"
FACTS = SHARED / "facts" / "pulsar2_config.json"
INPUT = {"tensor_name": "input", "calibration_dataset": "a.tar"}
needs_facts = pytest.mark.skipif(not FACTS.is_file(), reason="the printed schema is not in this checkout")


def refused(data: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        validate(data)
    return str(caught.value)


def layer(**fields: Any) -> dict[str, Any]:
    return {"quant": {"layer_configs": [fields]}}


def processor(**fields: Any) -> dict[str, Any]:
    return {"input_processors": [{"tensor_name": "DEFAULT", **fields}]}


@pytest.mark.parametrize(
    ("hardware", "mode", "fits"),
    [
        ("AX650", "NPU3", True),
        ("AX650", "NPU4", False),
        ("AX620E", "NPU2", True),
        ("AX620E", "NPU3", False),
        ("M57", "NPU2", False),
        ("AX8860", "NPU4", True),
        ("AX8860", "NPU3", False),
    ],
)
def test_npu_mode_depends_on_the_hardware(hardware: str, mode: str, fits: bool) -> None:
    data = {"target_hardware": hardware, "npu_mode": mode}
    if fits:
        assert validate(data).npu_mode == mode
    else:
        assert "npu_mode" in refused(data)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (layer(), "quant.layer_configs[0]"),
        (layer(op_type="Add", layer_names=["a"]), "quant.layer_configs[0]"),
        (layer(start_tensor_names=["a"]), "quant.layer_configs[0].end_tensor_names"),
        (layer(end_tensor_names=["a"]), "quant.layer_configs[0].start_tensor_names"),
        (layer(op_type="Conv", data_type="FP32"), "quant.layer_configs[0].data_type"),
        (layer(op_types=["Add", "Conv"], data_type="FP32"), "quant.layer_configs[0].data_type"),
        (layer(op_type="Add", data_type="FP8"), "quant.layer_configs[0].data_type"),
        ({"quant": {"input_configs": [{**INPUT, "calibration_size": 0}]}}, "calibration_size"),
        ({"quant": {"input_configs": [{**INPUT, "calibration_dataset": "folder"}]}}, "calibration_dataset"),
        ({"quant": {"refine_weight_threshold": 1e-4}}, "quant.refine_weight_threshold"),
        ({"quant": {"smooth_quant_threshold": 1.5}}, "quant.smooth_quant_threshold"),
        ({"quant": {"transformer_opt_level": 3}}, "quant.transformer_opt_level"),
        ({"quant": {"device": "cuda"}}, "quant.device"),
        ({"compiler": {"check": 4}}, "compiler.check"),
        ({"compiler": {"static_batch_sizes": [1, 2], "max_dynamic_batch_size": 8}}, "max_dynamic_batch_size"),
        ({"compiler": {"static_batch_sizes": [0]}}, "compiler.static_batch_sizes[0]"),
        (processor(src_format="YUV420SP"), "input_processors[0].csc_mode"),
        (
            processor(src_format="YUV420SP", csc_mode="FullRange", src_layout="NCHW"),
            "input_processors[0].src_layout",
        ),
        (processor(csc_mode="Matrix"), "input_processors[0].csc_mat"),
        (processor(csc_mode="Matrix", csc_mat=[0] * 11), "input_processors[0].csc_mat"),
        (processor(csc_mode="Matrix", csc_mat=[0, 0, 0, 8] + [0] * 8), "input_processors[0].csc_mat[3]"),
        (processor(csc_mode="Matrix", csc_mat=[524288] + [0] * 11), "input_processors[0].csc_mat[0]"),
        (processor(padding=[1]), "input_processors[0].padding"),
        (processor(padding_mode="reflect"), "input_processors[0].padding_mode"),
        (processor(src_dtype="I64"), "input_processors[0].src_dtype"),
        (processor(zeropoint=3), "input_processors[0].zeropoint"),
        ({"output_processors": [{"tensor_name": "a", "dst_perm": [0, 2]}]}, "output_processors[0].dst_perm"),
        ({"op_processors": [{"op_name": "a"}]}, "op_processors[0].attrs"),
        (
            {"input_processors": [{"tensor_name": "a", "src_extra_shapes": [{"shape": [1, 3]}]},
                                  {"tensor_name": "b"}]},
            "input_processors[1].src_extra_shapes",
        ),
    ],
)  # fmt: skip
def test_a_broken_rule_names_its_path(data: dict[str, Any], path: str) -> None:
    assert f"{path} = " in refused(data) or f"{path}: required" in refused(data)


def test_a_broken_rule_shows_the_value_that_was_given() -> None:
    assert refused(layer()).startswith("quant.layer_configs[0] = 'no selector': ")
    two = refused(layer(op_type="Add", layer_names=["a"]))
    assert two.startswith("quant.layer_configs[0] = 'op_type, layer_names': ")


@pytest.mark.parametrize(
    "data",
    [
        layer(op_type="Conv", output_data_type="FP32"),
        layer(start_tensor_names=["DEFAULT"], end_tensor_names=["DEFAULT"], data_type="U16"),
        layer(layer_name="a", output_data_type="FP32"),
        layer(op_type="Softmax", data_type="FP32"),
        {"quant": {"refine_weight_threshold": -1, "calibration_method": "KL"}},
        {"quant": {"refine_weight_threshold": 0}},
        {"quant": {"input_configs": [{**INPUT, "calibration_size": -1}]}},
        {"quant": {"input_configs": [{**INPUT, "calibration_size": 1}]}},
        {"quant": {"input_configs": [{**INPUT, "calibration_dataset": "A.TAR"}]}},
        processor(src_format="YUV420SP", csc_mode="LimitedRange"),
        processor(csc_mode="Matrix", csc_mat=[1.164, 2.017, 0, -8.9] * 3),
        processor(scale=0.5, zeropoint=3),
        {"debug": {"dump_frontend_graph": True}},
        {"compiler": {"sub_configs": [{"start_tensor_names": ["a"], "static_batch_sizes": [1, 2, 4]}]}},
    ],
)
def test_what_the_documents_show_is_accepted(data: dict[str, Any]) -> None:
    validate(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (processor(csc_mode="FullRange", csc_mat=[0.5] * 12, src_format="YUV420SP"), "csc_mat has no effect"),
        (processor(csc_mode="FullRange"), "csc_mode is ignored with src_format AutoColorSpace"),
        (layer(op_types=["Conv", "Add"], output_data_type="FP32"), "for Conv only, not for Add"),
        ({"quant": {"highest_mix_precision": True, **layer(op_type="Add")["quant"]}}, "do nothing beside"),
    ],
)
def test_what_pulsar2_takes_and_passes_over_is_said_and_not_refused(data: dict[str, Any], said: str) -> None:
    (found,) = validate(data).ineffective()
    assert said in found
    assert not validate(layer(op_type="Conv", data_type="U16")).ineffective()


def test_a_chip_under_the_name_it_is_sold_by_is_told_its_target() -> None:
    said = refused({"target_hardware": "AX8850"})
    first, second = said.index("Write AX650 for"), said.index("AX620E for")
    assert all(sold in said[first:second] for sold in ("AX650N", "AX650A", "AX8850", "LLM-8850", "AX-M1"))
    assert all(sold in said[second:] for sold in ("AX630C", "MaixCAM2", "LLM module"))


def test_a_default_cannot_be_changed_in_place() -> None:
    with pytest.raises(ValueError, match="frozen"):
        validate({}).compiler.check = 3


@needs_facts
@pytest.mark.parametrize("message", json.loads(FACTS.read_bytes())["messages"] if FACTS.is_file() else [])
def test_the_printed_schema_is_covered(message: str) -> None:
    kind = getattr(schema, message)
    printed = json.loads(FACTS.read_bytes())["messages"][message]
    own = {"InputProcessor": {"scale", "zeropoint"}, "BuildConfig": {"debug"}}  # in use, yet not printed
    assert set(kind.model_fields) - own.get(message, set()) == {field["name"] for field in printed}
    options_of = schema.BuildConfig.model_json_schema()
    properties = options_of["$defs"].get(message, options_of)["properties"]
    for field in printed:
        info = kind.model_fields[field["name"]]
        options = field.get("option", [])
        allowed = json.dumps(properties[field["name"]])
        assert all(f'"{option}"' in allowed for option in options), field["name"]
        required = field.get("required") == "true" and field["name"] not in ("input", "output_dir", "attrs")
        assert not required or info.is_required(), field["name"]
        default = field.get("default")
        if default and default[0] not in "s{" and not info.is_required():  # "same with …", "{}"
            value = info.get_default(call_default_factory=True)
            expected = {"[]": (), "true": True, "false": False}.get(default, default)
            if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
                expected = float(default)
            assert value == expected, field["name"]


@needs_facts
def test_the_values_beyond_the_printed_schema_are_known() -> None:
    image = json.loads(FACTS.read_bytes())["enums_beyond_the_printed_schema"]
    image = image["image_7.0 (AXERA-TECH/Magnetar reference config)"]
    shown = json.dumps(schema.BuildConfig.model_json_schema())
    for field in ("model_type", "target_hardware", "npu_mode", "calibration_method", "calibration_format"):
        assert all(f'"{value}"' in shown for value in image[field]), field
