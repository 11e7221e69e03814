"""Reading, refusing and writing build configurations, and the one of our own models."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.graph.preprocess import BoardInput, Preprocessing
from helpers.pulsar2.config import ConfigError, configure, doubts, read, to_json, validate

RELAXED = """
{
  // the paths hold comment marks and commas
  "input": "models//m5 # final, /* not a comment */ ,]",   # and a comment behind
  "npu_mode": "NPU3", /* over
  two lines */
  "quant": {
    "input_configs": [
      {
        "tensor_name": "in\\"put", "calibration_dataset": "./imagenet-32.tar",
        "calibration_mean": [103.939, 116.779, 123.68,], // comma before a comment
        "calibration_std": [58, 58.0, 58.0, /* here */ ],
      },
    ],
  },
}
"""
YAML = """
# comment
npu_mode: NPU3
quant:
  refine_weight_threshold: 1e-6
  input_configs:
    - {tensor_name: input, calibration_dataset: "a#b.tar", calibration_std: [58, 58.0, 58.0]}
"""
TOML = """
npu_mode = "NPU3"
[[quant.input_configs]]
tensor_name = "input"
calibration_dataset = "a.tar" # comment
calibration_size = -1
"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_may_have_comments_and_trailing_commas(tmp_path: Path) -> None:
    config = read(written(tmp_path, "a.json", RELAXED))
    assert config.input == "models//m5 # final, /* not a comment */ ,]"
    entry = config.quant.input_configs[0]
    assert entry.tensor_name == 'in"put'
    assert entry.calibration_mean == (103.939, 116.779, 123.68)
    assert entry.calibration_std == (58.0, 58.0, 58.0)


@pytest.mark.parametrize("text", ["[1,,]", "[,]", "{,}", '{"a": 1,,}', "[1,/* */,]", "[1,,,]", '["a",,]'])
def test_a_second_comma_or_one_after_nothing_is_no_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="cannot be parsed"):
        read(written(tmp_path, "a.json", f'{{"input": {text}}}'))


def test_what_only_this_reader_takes_is_said(tmp_path: Path) -> None:
    assert not doubts(written(tmp_path, "a.json", '{"input": "/* */"} // plain'))
    assert len(doubts(written(tmp_path, "a.json", "\ufeff{} /* block */"))) == 2


@pytest.mark.parametrize("odd", ["\u3000", "\u00a0", "\u200b", "\ufeff"])
def test_an_invisible_character_is_named_by_its_code(tmp_path: Path, odd: str) -> None:
    text = f'{{"input": "in{odd}side" {odd}// {odd}\n, "npu_mode": "NPU1"}}'
    with pytest.raises(ConfigError, match=rf"cannot be parsed.*U\+{ord(odd):04X}"):
        read(written(tmp_path, "a.json", text))


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    from_yaml = read(written(tmp_path, "a.yml", YAML))
    assert from_yaml.npu_mode == "NPU3"
    assert from_yaml.quant.refine_weight_threshold == 1e-6  # YAML 1.1 takes 1e-6 for text
    assert from_yaml.quant.input_configs[0].calibration_dataset == "a#b.tar"
    from_toml = read(written(tmp_path, "a.toml", TOML))
    assert from_toml.quant.input_configs[0].calibration_size == -1


def test_what_is_written_reads_back_equal_and_without_unset_fields(tmp_path: Path) -> None:
    config = validate({"input": "模型.onnx", "quant": {"check": 0}})
    text = to_json(config)
    assert read(written(tmp_path, "A.JSON", text)) == config
    assert json.loads(text) == {"input": "模型.onnx", "quant": {"check": 0}} and "模型" in text


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.json: no such file"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"npu_mod": "NPU1"}, "npu_mod = 'NPU1': no such field; did you mean npu_mode?"),
        ({"npu_mode": "NPU4"}, "npu_mode = 'NPU4': allowed: NPU1, NPU2, NPU3 on AX650"),
        (
            {"quant": {"calibration_mean": [1]}},
            "quant.calibration_mean = [1]: no such field; it belongs in quant.input_configs[]",
        ),
        ({"quant": {"npu_mode": "NPU1"}}, "'NPU1': no such field; it belongs in the top level"),
        ({"debug": {"x": 1}}, "debug.x = 1: no such field; the fields here are dump_frontend_graph"),
        (
            {"compiler": {"sub_configs": [{"npu_pref": True}]}},
            "compiler.sub_configs[0].npu_pref = True: no such field; did you mean npu_perf?",
        ),
        (
            {"quant": {"input_configs": [{"tensor_name": "x", "calibration_dataset": "a.tar",
                                          "calibration_std": [58, 0, 58]}]}},
            "quant.input_configs[0].calibration_std[1] = 0: allowed: greater than 0",
        ),
        ({"input_processors": [{}]}, "input_processors[0].tensor_name: required"),
        ({"quant": {"layer_configs": {}}}, "quant.layer_configs = {}: allowed: a list in [ ]"),
    ],
)  # fmt: skip
def test_a_refusal_names_path_value_and_what_is_allowed(data: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate(data)
    assert message in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        validate({"npu_mod": 1, "quant": {"check": 7}, "compiler": {"check": True}})
    named = ["quant.check", "compiler.check", "npu_mod"]
    assert [line.split(" = ")[0] for line in str(caught.value).splitlines()] == named


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '{"npu_mode": "NPU1"', "cannot be parsed"),
        ("a.json", '{"compiler": {"check_rtol": NaN}}', "compiler.check_rtol"),
        ("a.json", "[]", "expected an object"),
        ("a.json", "[" * 100_000, "cannot be parsed"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "cannot be parsed"),
        ("a.toml", "npu_mode = ", "cannot be parsed"),
        ("a.prototxt", "", "ends in .json, .yaml, .yml, .toml"),
    ],
)
def test_a_file_that_cannot_be_parsed_gives_one_sentence(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read(written(tmp_path, name, text))
    assert "\n" not in str(caught.value)


IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
BGR = Preprocessing.of(**IMAGENET, board_input="bgr")
ARCHIVE = Path("somewhere/a.tar")


@pytest.mark.parametrize("board_input", ["bgr", "rgb"])
def test_formats_mean_and_std_agree(board_input: BoardInput, tmp_path: Path) -> None:
    fed = Preprocessing.of(**IMAGENET, board_input=board_input)
    config = read(configure(tmp_path, fed, calibration=ARCHIVE).path("pulsar2.json"))
    processor, entry = config.input_processors[0], config.quant.input_configs[0]
    assert processor.tensor_format == processor.src_format == board_input.upper()
    assert (entry.calibration_mean, entry.calibration_std) == (fed.mean, fed.std)


def test_the_file_holds_what_the_tutorial_chose_and_nothing_else(tmp_path: Path) -> None:
    made = configure(tmp_path, BGR, calibration=ARCHIVE)
    assert json.loads(made.path("pulsar2.json").read_text()) == {
        "model_type": "ONNX",
        "target_hardware": "AX650",
        "npu_mode": "NPU1",
        "quant": {
            "input_configs": [
                {
                    "tensor_name": "input",
                    "calibration_dataset": "a.tar",
                    "calibration_format": "Image",
                    "calibration_size": 32,
                    "calibration_mean": [103.53, 116.28, 123.675],
                    "calibration_std": [57.375, 57.12, 58.395],
                }
            ],
            "calibration_method": "MinMax",
            "precision_analysis": True,
        },
        "input_processors": [
            {
                "tensor_name": "input",
                "tensor_format": "BGR",
                "tensor_layout": "NCHW",
                "src_format": "BGR",
                "src_layout": "NHWC",
                "src_dtype": "U8",
                "csc_mode": "NoCSC",
            }
        ],
        "compiler": {"check": 0},
    }


def test_what_is_asked_for_arrives(tmp_path: Path) -> None:
    layers = [{"op_types": ["Softmax"], "data_type": "U16"}, {"layer_name": "head", "data_type": "S16"}]
    asked: dict[str, Any] = {"target_hardware": "AX620E", "npu_mode": "NPU2", "max_dynamic_batch_size": 8}
    made = configure(tmp_path, BGR, calibration=ARCHIVE, tensor_name="DEFAULT", layer_configs=layers, **asked)
    plain = json.loads(made.path("pulsar2.json").read_text())
    assert plain["quant"]["layer_configs"] == layers
    assert plain["compiler"] == {"check": 0, "max_dynamic_batch_size": 8}
    assert (plain["target_hardware"], plain["npu_mode"]) == ("AX620E", "NPU2")
    assert plain["input_processors"][0]["tensor_name"] == "DEFAULT"
    again = {"calibration": ARCHIVE, "tensor_name": "DEFAULT", "layer_configs": layers, **asked}
    assert not configure(tmp_path, BGR, **again).remade
    assert configure(tmp_path, BGR, **again | {"max_dynamic_batch_size": 4}).remade


def test_what_pulsar2_would_refuse_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="max_dynamic_batch_size = 8"):
        configure(tmp_path, BGR, calibration=ARCHIVE, static_batch_sizes=[1], max_dynamic_batch_size=8)
    with pytest.raises(ConfigError, match="calibration_dataset = 'folder'"):
        configure(tmp_path, BGR, calibration=Path("folder"))
    assert not [*tmp_path.iterdir()]
