"""What a build folder holds, and what is read from it afterwards."""

import json
from pathlib import Path

import pytest
from pulsar2_stand_ins import DOC_STRING

from helpers.pulsar2 import build_folder
from helpers.pulsar2.build_folder import BuildFailed

CONFIG = {"quant": {"input_configs": [{"tensor_name": "a", "calibration_dataset": "x.tar"}]}}


def sources(folder: Path, config: object = CONFIG) -> dict[str, Path]:
    texts = {"onnx": "graph", "config": json.dumps(config), "calibration": "tar"}
    paths = {"onnx": folder / "m.onnx", "config": folder / "c.json", "calibration": folder / "x.tar"}
    for key, path in paths.items():
        path.write_text(texts[key])
    return paths


def test_inputs_are_copied_and_an_older_model_is_removed(tmp_path: Path) -> None:
    first = build_folder.fill(tmp_path / "built", **sources(tmp_path))
    first.axmodel.write_text("old")
    (tmp_path / "m.onnx").write_text("a newer graph")
    folder = build_folder.fill(tmp_path / "built", **sources(tmp_path) | {"onnx": tmp_path / "m.onnx"})
    assert folder == first and not folder.axmodel.exists()
    assert {path.name for path in folder.onnx.parent.iterdir()} == {"m.onnx", "c.json", "x.tar"}
    written = json.loads(folder.config.read_text())["quant"]["input_configs"]
    assert written == [{"tensor_name": "a", "calibration_dataset": "inputs/x.tar"}]


def test_inputs_that_lie_in_place_are_left_there_and_links_are_not_written_through(tmp_path: Path) -> None:
    inputs = tmp_path / "built" / "inputs"
    inputs.mkdir(parents=True)
    elsewhere = tmp_path / "theirs.tar"
    elsewhere.write_text("theirs")
    paths = sources(tmp_path)
    (inputs / "x.tar").symlink_to(elsewhere)
    paths["onnx"] = paths["onnx"].rename(inputs / "m.onnx")
    folder = build_folder.fill(tmp_path / "built", **paths)
    assert folder.onnx.read_text() == "graph" and folder.calibration.read_text() == "tar"
    assert elsewhere.read_text() == "theirs"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"quant": {"input_config": []}}, "input_configs"),
        ({}, "must name one archive, not 0"),
        (
            {
                "quant": {
                    "input_configs": [
                        {"tensor_name": name, "calibration_dataset": f"{name}.tar"} for name in "ab"
                    ]
                }
            },
            "must name one archive, not 2",
        ),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(tmp_path: Path, config: object, said: str) -> None:
    with pytest.raises(BuildFailed, match=said):
        build_folder.fill(tmp_path / "built", **sources(tmp_path, config))


def test_names_that_could_be_options_are_refused(tmp_path: Path) -> None:
    paths = sources(tmp_path)
    paths["onnx"] = paths["onnx"].rename(tmp_path / "--help.onnx")
    with pytest.raises(ValueError, match="option"):
        build_folder.fill(tmp_path / "built", **paths)
    with pytest.raises(ValueError, match="option"):
        build_folder.fill(tmp_path / "built", **sources(tmp_path, CONFIG | {"output_name": "../x.axmodel"}))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "INFO a\nKeyError: 'x'\nyamain.common.error.CodeException: (1)\n    op: /Sin\n",
            "yamain.common.error.CodeE",
        ),
        ("ValueError: bad\nRuntimeWarning: divide by zero\n", "ValueError: bad"),
        ("tiling op... 3/68\rtiling op... 4/68\nKilled\n", "Killed"),
        ("docker: Error response from daemon: no space\nRun 'docker run --help'\n", "docker: Error response"),
        ("something else\n\n", "something else"),
        ("", "it printed nothing"),
        ("TypeError: " + "x" * 9000, "TypeError: xxx"),
    ],
)
def test_the_last_error_line(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "log").write_text(text)
    found = build_folder.last_error(tmp_path / "log")
    assert found.startswith(line) and len(found) <= 300


def test_the_compiler_is_read_from_the_model_file(tmp_path: Path) -> None:
    model = tmp_path / "compiled.axmodel"
    model.write_bytes(b"\x00" * 5000 + DOC_STRING + b"weights")
    assert build_folder.compiler_of(model) == {"pulsar2": "7.0", "commit": "0123abcd"}
    model.write_bytes(b"weights")
    assert build_folder.compiler_of(model) == {}
