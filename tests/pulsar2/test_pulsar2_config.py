"""Reading, refusing and writing build configurations."""

import json
from pathlib import Path

import pytest

from helpers.pulsar2 import pulsar2_config
from helpers.pulsar2.pulsar2_config import ConfigError

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
    config = pulsar2_config.read(written(tmp_path, "a.json", RELAXED))
    assert config.input == "models//m5 # final, /* not a comment */ ,]"
    entry = config.quant.input_configs[0]
    assert entry.tensor_name == 'in"put'
    assert entry.calibration_mean == (103.939, 116.779, 123.68)
    assert entry.calibration_std == (58.0, 58.0, 58.0)


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    from_yaml = pulsar2_config.read(written(tmp_path, "a.yml", YAML))
    assert from_yaml.npu_mode == "NPU3"
    assert from_yaml.quant.refine_weight_threshold == 1e-6  # YAML 1.1 takes 1e-6 for text
    assert from_yaml.quant.input_configs[0].calibration_dataset == "a#b.tar"
    from_toml = pulsar2_config.read(written(tmp_path, "a.toml", TOML))
    assert from_toml.quant.input_configs[0].calibration_size == -1


def test_what_is_written_reads_back_equal_and_without_unset_fields(tmp_path: Path) -> None:
    config = pulsar2_config.read(written(tmp_path, "a.json", RELAXED))
    path = pulsar2_config.write(config, tmp_path / "out" / "b.json")
    assert pulsar2_config.read(path) == config
    plain = json.loads(path.read_text(encoding="utf-8"))
    assert set(plain) == {"input", "npu_mode", "quant"}
    assert "layer_configs" not in plain["quant"]
    assert [entry.name for entry in path.parent.iterdir()] == ["b.json"]


def test_a_name_in_capitals_will_do_and_other_letters_stay_readable(tmp_path: Path) -> None:
    config = pulsar2_config.validate({"input": "模型.onnx"})
    path = pulsar2_config.write(config, tmp_path / "A.JSON")
    assert pulsar2_config.read(path) == config
    assert "模型.onnx" in path.read_text(encoding="utf-8")


def test_only_json_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml: configurations are written as JSON"):
        pulsar2_config.write(pulsar2_config.validate({}), tmp_path / "a.yaml")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.json: no such file"):
        pulsar2_config.read(tmp_path / "a.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = pulsar2_config.validate({"npu_mode": "NPU1"})
    path = pulsar2_config.write(config, tmp_path / "a.json")
    monkeypatch.setattr(Path, "write_text", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pulsar2_config.write(config, path)
    assert json.loads(path.read_bytes()) == {"npu_mode": "NPU1"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.json"]


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
        pulsar2_config.validate(data)
    assert message in str(caught.value)


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        pulsar2_config.validate({"npu_mod": 1, "quant": {"check": 7}, "compiler": {"check": True}})
    assert [problem.path for problem in caught.value.problems] == ["quant.check", "compiler.check", "npu_mod"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.json", '{"npu_mode": "NPU1"', "cannot be parsed"),
        ("a.json", '{"npu_mode": "NPU1", "npu_mode": "NPU3"}', "'npu_mode' occurs twice"),
        ("a.json", '{"compiler": {"check_rtol": NaN}}', "NaN"),
        ("a.json", "[]", "expected an object"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.yaml", "npu_mode: NPU1\nnpu_mode: NPU3", "'npu_mode' occurs twice"),
        ("a.yaml", "a: &a [x, x]\nb: [*a, *a]", "aliases"),
        ("a.yaml", "!!python/object/apply:os.getcwd []", "cannot be parsed"),
        ("a.toml", "npu_mode = ", "cannot be parsed"),
        ("a.prototxt", "", "ends in .json, .yaml, .yml, .toml"),
    ],
)
def test_a_file_that_cannot_be_parsed_gives_one_sentence(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        pulsar2_config.read(written(tmp_path, name, text))
    assert "\n" not in str(caught.value)
    assert caught.value.problems == ()


def test_a_large_file_is_refused_before_parsing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pulsar2_config._PARSERS, ".json", lambda text: pytest.fail("parsed"))
    path = written(tmp_path, "a.json", " " * (1 << 20) + "{}")
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        pulsar2_config.read(path)


def test_a_file_of_just_the_largest_size_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.json", "{}".ljust(1 << 20))
    assert pulsar2_config.read(path) == pulsar2_config.validate({})


@pytest.mark.timeout(60)
@pytest.mark.parametrize("filler", ['"\\', "/*", "//", ",\n", '"', "#"])
def test_a_hostile_megabyte_is_looked_at_once(tmp_path: Path, filler: str) -> None:
    path = written(tmp_path, "a.json", filler * ((1 << 20) // len(filler.encode()) - 1))
    with pytest.raises(ConfigError):  # a pattern that starts over at every mark would run into the time limit
        pulsar2_config.read(path)


def test_the_schema_lists_fields_and_options() -> None:
    schema = pulsar2_config.json_schema()
    assert schema["additionalProperties"] is False
    assert "KL" in json.dumps(schema["$defs"]["QuantConfig"]["properties"]["calibration_method"])
