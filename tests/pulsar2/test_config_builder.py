"""The configuration of our own models."""

import pytest

from helpers.graph.preprocess import BoardInput, Preprocessing
from helpers.pulsar2.config_builder import build_config_for
from helpers.pulsar2.pulsar2_config import ConfigError
from helpers.pulsar2.pulsar2_quant import LayerConfig


def imagenet(board_input: BoardInput) -> Preprocessing:
    return Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input=board_input)


@pytest.mark.parametrize("board_input", ["bgr", "rgb"])
def test_formats_mean_and_std_agree(board_input: BoardInput) -> None:
    config = build_config_for(imagenet(board_input), calibration_dataset="a.tar", tensor_name="input")
    processor, entry = config.input_processors[0], config.quant.input_configs[0]
    assert processor.tensor_format == processor.src_format == board_input.upper()
    assert (processor.src_dtype, processor.src_layout, processor.tensor_layout) == ("U8", "NHWC", "NCHW")
    assert entry.calibration_mean == imagenet(board_input).mean
    assert entry.calibration_std == imagenet(board_input).std
    assert processor.tensor_name == entry.tensor_name == "input"
    assert config.compiler.static_batch_sizes == ()


def test_what_is_not_asked_for_is_the_tutorials_choice() -> None:
    config = build_config_for(imagenet("bgr"), calibration_dataset="a.tar")
    plain = config.model_dump(mode="json", exclude_unset=True)
    assert (plain["model_type"], plain["target_hardware"], plain["npu_mode"]) == ("ONNX", "AX650", "NPU1")
    assert plain["compiler"] == {"check": 0}
    assert set(plain["quant"]) == {"input_configs", "calibration_method", "precision_analysis"}
    assert (plain["quant"]["calibration_method"], plain["quant"]["precision_analysis"]) == ("MinMax", False)
    (calibration,), (processor,) = plain["quant"]["input_configs"], plain["input_processors"]
    assert calibration["tensor_name"] == processor["tensor_name"] == "DEFAULT"
    assert (calibration["calibration_format"], calibration["calibration_size"]) == ("Image", 32)
    assert not {"mean", "std"} & set(processor)


def test_arrays_leave_mean_and_std_to_the_board() -> None:
    config = build_config_for(imagenet("bgr"), calibration_dataset="a.tar", calibration_format="Numpy")
    assert config.quant.input_configs[0].calibration_mean == ()
    assert config.input_processors[0].mean == imagenet("bgr").mean
    assert config.input_processors[0].std == imagenet("bgr").std


def test_batches_methods_and_the_rehearsals_layers_arrive() -> None:
    layers = [{"op_types": ["Softmax"], "data_type": "U16"}, LayerConfig(layer_name="head", data_type="S16")]
    config = build_config_for(
        imagenet("bgr"),
        calibration_dataset="a.tar",
        npu_mode="NPU3",
        max_dynamic_batch_size=8,
        calibration_method="KL",
        calibration_size=64,
        layer_configs=layers,
        precision_analysis=True,
    )
    plain = config.model_dump(mode="json", exclude_unset=True)
    assert plain["quant"]["layer_configs"] == [layers[0], {"layer_name": "head", "data_type": "S16"}]
    assert plain["compiler"] == {"check": 0, "max_dynamic_batch_size": 8}
    assert (config.npu_mode, config.quant.calibration_method) == ("NPU3", "KL")
    assert config.quant.precision_analysis
    assert config.quant.input_configs[0].calibration_size == 64


def test_two_kinds_of_batch_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_dynamic_batch_size"):
        build_config_for(
            imagenet("bgr"), calibration_dataset="a.tar", static_batch_sizes=[1, 8], max_dynamic_batch_size=8
        )
