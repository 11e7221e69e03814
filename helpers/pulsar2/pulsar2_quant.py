"""Quantisation in the build configuration: calibration data, precision per layer, fine-tuning.

Limits: pulsar2-docs-en, appendix/config and advanced_build_guides (7.0).
"""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, model_validator

from helpers.pulsar2.pulsar2_fields import (
    ARCHIVES,
    CalibrationFormat,
    CalibrationMethod,
    Count,
    Device,
    Float,
    Fraction,
    Int,
    LayerType,
    Message,
    Name,
    Positive,
    Text,
    refuse,
    same_length,
)


def _archive(value: str) -> str:
    if not value.lower().endswith(ARCHIVES):
        refuse("", value, f"an archive ending in {', '.join(ARCHIVES)}")
    return value


def _size(value: int) -> int:
    if value != -1 and value < 1:
        refuse("", value, "-1 (all files) or 1 and more")
    return value


def _threshold(value: float) -> float:
    if value != -1 and not 0 <= value < 1e-4:
        refuse("", value, "-1, or 0 to below 0.0001")
    return value


class InputQuantConfig(Message):
    """Calibration data of one input; mean and std are in 0–255 units, in the order of `tensor_format`."""

    tensor_name: Name
    calibration_dataset: Annotated[Name, AfterValidator(_archive)]
    calibration_format: CalibrationFormat = "Image"
    calibration_size: Annotated[Int, AfterValidator(_size)] = 32
    calibration_mean: tuple[Float, ...] = ()
    calibration_std: tuple[Positive, ...] = ()

    @model_validator(mode="after")
    def _rules(self) -> Self:
        same_length(self, "calibration_mean", "calibration_std")
        return self


class LayerConfig(Message):
    """Precision of one layer, of a kind of operator, or of a subgraph: exactly one selector."""

    layer_name: Text = ""
    op_type: Text = ""
    layer_names: tuple[Name, ...] = ()
    op_types: tuple[Name, ...] = ()
    start_tensor_names: tuple[Name, ...] = ()
    end_tensor_names: tuple[Name, ...] = ()
    data_type: LayerType = "U8"
    weight_data_type: Literal["S8", "FP32"] = "S8"
    output_data_type: LayerType = "U8"

    @property
    def operators(self) -> tuple[str, ...]:
        """The operator types this entry selects; empty when it selects by name or subgraph."""
        return (self.op_type,) if self.op_type else self.op_types

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if bool(self.start_tensor_names) != bool(self.end_tensor_names):
            missing = "end_tensor_names" if self.start_tensor_names else "start_tensor_names"
            refuse(missing, [], "a subgraph needs start_tensor_names and end_tensor_names")
        single = ("layer_name", "op_type", "layer_names", "op_types", "start_tensor_names")
        chosen = [name for name in single if getattr(self, name)]
        if len(chosen) != 1:
            named = ", ".join(chosen) or "no selector"
            refuse(
                "", named, "exactly one of layer_name, op_type, layer_names, op_types, start+end_tensor_names"
            )
        if "Conv" in self.operators and self.data_type == "FP32":
            refuse("data_type", "FP32", "U8, S8, U16, S16 for Conv (FP32 goes to its output_data_type)")
        given = "output_data_type" in self.model_fields_set
        if given and self.operators and set(self.operators) != {"Conv"}:
            refuse(
                "output_data_type", self.output_data_type, f"only for Conv, not {', '.join(self.operators)}"
            )
        return self


class QuantConfig(Message):
    """Quantisation: data, method, precision per layer, analysis, fine-tuning."""

    input_configs: tuple[InputQuantConfig, ...] = ()
    layer_configs: tuple[LayerConfig, ...] = ()
    calibration_method: CalibrationMethod = "MinMax"
    precision_analysis: StrictBool = False
    precision_analysis_method: Literal["PerLayer", "EndToEnd"] = "PerLayer"
    precision_analysis_mode: Literal["Reference", "NPUBackend"] = "Reference"
    highest_mix_precision: StrictBool = False
    conv_bias_data_type: Literal["S32", "FP32"] = "S32"
    refine_weight_threshold: Annotated[Float, AfterValidator(_threshold)] = 1e-6
    enable_smooth_quant: StrictBool = False
    smooth_quant_threshold: Fraction | None = None
    smooth_quant_strength: Float | None = None
    transformer_opt_level: Annotated[int, Field(strict=True, ge=0, le=2)] = 0
    input_sample_dir: Text | None = None
    ln_scale_data_type: Literal["FP32", "S32", "U32"] = "FP32"
    check: Annotated[int, Field(strict=True, ge=0, le=1)] = 0
    disable_auto_refine_scale: StrictBool = False
    enable_easy_quant: StrictBool = False
    disable_quant_optimization: StrictBool = False
    enable_brecq: StrictBool = False
    enable_lsq: StrictBool = False
    enable_adaround: StrictBool = False
    finetune_epochs: Count = 500
    finetune_block_size: Count = 4
    finetune_batch_size: Count = 1
    finetune_lr: Positive = 1e-3
    device: Device = "cpu"

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.highest_mix_precision and self.layer_configs:
            refuse("highest_mix_precision", True, "false beside layer_configs, which would have no effect")
        return self
