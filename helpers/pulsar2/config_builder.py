"""The build configuration of one of our models, from the settings that export and calibration used."""

from collections.abc import Mapping, Sequence
from typing import Any

from helpers.graph.preprocess import Preprocessing
from helpers.pulsar2.pulsar2_config import BuildConfig, validate
from helpers.pulsar2.pulsar2_fields import CalibrationFormat, CalibrationMethod, Hardware, NpuMode
from helpers.pulsar2.pulsar2_quant import LayerConfig


def build_config_for(
    preprocessing: Preprocessing,
    *,
    calibration_dataset: str,
    tensor_name: str = "DEFAULT",
    hardware: Hardware = "AX650",
    npu_mode: NpuMode = "NPU1",
    static_batch_sizes: Sequence[int] = (),
    max_dynamic_batch_size: int = 0,
    calibration_method: CalibrationMethod = "MinMax",
    calibration_format: CalibrationFormat = "Image",
    calibration_size: int = 32,
    layer_configs: Sequence[LayerConfig | Mapping[str, Any]] = (),
    precision_analysis: bool = False,
) -> BuildConfig:
    """The configuration that feeds the model uint8 [size, size, 3] pictures in its own channel order.

    `calibration_dataset` is a path in the work folder of the build; `tensor_name` is the graph's input, or
    DEFAULT for all; `layer_configs` are the rehearsal's. Raises ConfigError for what
    `pulsar2_config.validate` refuses, both kinds of batch at once included.
    """
    normalization = (list(preprocessing.mean), list(preprocessing.std))
    calibration: dict[str, Any] = {
        "tensor_name": tensor_name,
        "calibration_dataset": calibration_dataset,
        "calibration_format": calibration_format,
        "calibration_size": calibration_size,
    }
    processor: dict[str, Any] = {
        "tensor_name": tensor_name,
        "tensor_format": preprocessing.format,
        "tensor_layout": "NCHW",
        "src_format": preprocessing.format,
        "src_layout": "NHWC",
        "src_dtype": "U8",
        "csc_mode": "NoCSC",
    }
    if calibration_format == "Image":  # the processor's own default is the calibration's mean and std
        calibration["calibration_mean"], calibration["calibration_std"] = normalization
    else:  # arrays are loaded as they are, so only the compiled model normalises
        processor["mean"], processor["std"] = normalization
    compiler: dict[str, Any] = {"check": 0}
    if static_batch_sizes:
        compiler["static_batch_sizes"] = list(static_batch_sizes)
    if max_dynamic_batch_size:
        compiler["max_dynamic_batch_size"] = max_dynamic_batch_size
    quant: dict[str, Any] = {
        "input_configs": [calibration],
        "calibration_method": calibration_method,
        "precision_analysis": precision_analysis,
    }
    if layer_configs:
        quant["layer_configs"] = [_plain(entry) for entry in layer_configs]
    return validate(
        {
            "model_type": "ONNX",
            "target_hardware": hardware,
            "npu_mode": npu_mode,
            "quant": quant,
            "input_processors": [processor],
            "compiler": compiler,
        }
    )


def _plain(entry: LayerConfig | Mapping[str, Any]) -> dict[str, Any]:
    return entry.model_dump(exclude_unset=True) if isinstance(entry, LayerConfig) else dict(entry)
