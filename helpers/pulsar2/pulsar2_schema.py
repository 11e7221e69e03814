"""The Pulsar2 build configuration as types: the messages of the 7.0 documentation, under their own names.

Fields, defaults, options: pulsar2-docs-en, appendix/config (7.0); limits: there and in advanced_build_guides.
Read a file with `pulsar2_config.read`, whose errors name the path, the value and what is allowed.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, StrictBool, model_validator

from helpers.pulsar2.pulsar2_fields import (
    NPU_MODES,
    YUV_FORMATS,
    Count,
    Float,
    Fraction,
    Hardware,
    Int,
    Message,
    ModelType,
    Name,
    NotNegative,
    NpuMode,
    Positive,
    SourceFormat,
    TensorFormat,
    Text,
    refuse,
    same_length,
)
from helpers.pulsar2.pulsar2_quant import QuantConfig


class OnnxOptimizeOption(Message):
    """What the front end does to the graph before quantisation."""

    disable_onnx_optimization: StrictBool = False
    enable_onnxsim: StrictBool = False
    model_check: StrictBool = False
    disable_transformation_check: StrictBool = False
    save_tensors_data: StrictBool = False


class Shape(Message):
    """One more input shape to compile for."""

    shape: tuple[Count, ...] = Field(min_length=1)


class InputProcessor(Message):
    """What the board feeds and what the compiled model does to it before the first layer.

    `tensor_format` and `src_format` never swap RGB and BGR (three statements of the 7.0 documentation).
    `scale` and `zeropoint` serve cascaded models; the printed list lacks them, its build guide uses them.
    """

    tensor_name: Name
    tensor_format: TensorFormat = "AutoColorSpace"
    tensor_layout: Literal["NHWC", "NCHW"] = "NCHW"
    src_format: SourceFormat = "AutoColorSpace"
    src_layout: Literal["NHWC", "NCHW"] = "NCHW"
    src_dtype: Literal["U8", "S8", "U16", "S16", "U32", "S32", "FP16", "FP32"] = "FP32"
    src_extra_shapes: tuple[Shape, ...] = ()
    csc_mode: Literal["NoCSC", "Matrix", "FullRange", "LimitedRange"] = "NoCSC"
    csc_mat: tuple[Float, ...] = ()
    mean: tuple[Float, ...] = ()
    std: tuple[Positive, ...] = ()
    padding: tuple[Int, ...] = ()
    padding_mode: Literal["constant"] = "constant"
    padding_constant_value: Int = 0
    slicing: tuple[Int, ...] = ()
    scale: Float = 0.0
    zeropoint: Int = 0

    @model_validator(mode="after")
    def _rules(self) -> Self:
        same_length(self, "mean", "std")
        if self.src_format in YUV_FORMATS:
            if self.csc_mode == "NoCSC":
                refuse(
                    "csc_mode",
                    "NoCSC",
                    f"Matrix, FullRange or LimitedRange with src_format {self.src_format}",
                )
            if "src_layout" in self.model_fields_set and self.src_layout != "NHWC":
                refuse("src_layout", self.src_layout, f"NHWC with src_format {self.src_format}")
        if bool(self.csc_mat) != (self.csc_mode == "Matrix"):
            refuse(
                "csc_mat", list(self.csc_mat), "12 numbers with csc_mode Matrix, none with another csc_mode"
            )
        if self.csc_mat and len(self.csc_mat) != 12:
            refuse("csc_mat", list(self.csc_mat), "12 numbers, row by row")
        for index, value in enumerate(self.csc_mat):
            low, high = (-9, 8) if index % 4 == 3 else (-524289, 524288)
            if not low < value < high:
                refuse(f"csc_mat[{index}]", value, f"between {low} and {high}, both excluded")
        for field in ("padding", "slicing"):
            if len(getattr(self, field)) % 2:
                refuse(field, list(getattr(self, field)), "a start and an end per axis, so an even count")
        if self.zeropoint and not self.scale:
            refuse("zeropoint", self.zeropoint, "0 unless scale is set, too")
        return self


class OutputProcessor(Message):
    """Layout and type of one output."""

    tensor_name: Name
    tensor_layout: Literal["DefaultLayout", "NHWC", "NCHW"] = "DefaultLayout"
    dst_perm: tuple[Int, ...] = ()
    output_dtype: Literal["FP32", "U8"] = "FP32"

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if sorted(self.dst_perm) != list(range(len(self.dst_perm))):
            refuse("dst_perm", list(self.dst_perm), "each axis once, counted from 0")
        return self


class OpProcessor(Message):
    """Attributes of one operator, overwritten by name."""

    op_name: Name
    attrs: dict[str, JsonValue]


class ConstProcessor(Message):
    """A constant of the graph, overwritten by name."""

    name: Name
    data: tuple[Float, ...] = ()
    data_path: Text | None = None


class Node(Message):
    """One node of a pattern."""

    types: tuple[Text, ...] = ()
    inputs: tuple[Text, ...] = ()
    outputs: tuple[Text, ...] = ()
    properties: dict[str, JsonValue] = Field(default_factory=dict)


class Graph(Message):
    """A pattern of nodes that the compiler schedules together."""

    nodes: tuple[Node, ...] = ()
    type: Literal["Tile", "Slice"] = "Tile"
    match_mode: Literal["Op", "Tensor"] = "Op"


class CompilerConfig(Message):
    """The NPU compiler. `check`: 0 none, 1 all-close, 2 all-equal, 3 cosine (the tool's own help text)."""

    static_batch_sizes: tuple[Count, ...] = ()
    max_dynamic_batch_size: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    ddr_bw_limit: NotNegative = 0.0
    disable_ir_fix: StrictBool = False
    check: Annotated[int, Field(strict=True, ge=0, le=3)] = 0
    npu_perf: StrictBool = False
    check_mode: Literal["CheckOutput", "CheckPerLayer"] = "CheckOutput"
    check_rtol: NotNegative = 1e-5
    check_atol: NotNegative = 0.0
    check_cosine_simularity: Fraction = 0.999  # the tool's spelling
    check_tensor_black_list: tuple[Text, ...] = ()
    enable_slice_mode: StrictBool = False
    enable_tile_mode: StrictBool = False
    enable_data_soft_compression: StrictBool = False
    input_sample_dir: Text | None = None
    compiler_group_patterns: tuple[Graph, ...] = ()
    sub_configs: "tuple[CompilerConfig, ...]" = ()
    start_tensor_names: tuple[Name, ...] = ()
    end_tensor_names: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.static_batch_sizes and self.max_dynamic_batch_size:
            refuse(
                "max_dynamic_batch_size",
                self.max_dynamic_batch_size,
                "0 beside static_batch_sizes: choose one",
            )
        return self


class Debug(Message):
    """Debug outputs. The printed list lacks this message; the build guide uses it."""

    dump_frontend_graph: StrictBool = False


class BuildConfig(Message):
    """The whole file. `input` and `output_dir` usually come from the command line, which beats the file."""

    input: Text | None = None
    output_dir: Text | None = None
    output_name: Name = "compiled.axmodel"
    work_dir: Text | None = None
    model_type: ModelType = "ONNX"
    target_hardware: Hardware = "AX650"
    npu_mode: NpuMode = "NPU1"
    input_shapes: Text | None = None
    onnx_opt: OnnxOptimizeOption = OnnxOptimizeOption()
    quant: QuantConfig = QuantConfig()
    input_processors: tuple[InputProcessor, ...] = ()
    output_processors: tuple[OutputProcessor, ...] = ()
    const_processors: tuple[ConstProcessor, ...] = ()
    op_processors: tuple[OpProcessor, ...] = ()
    quant_op_processors: tuple[OpProcessor, ...] = ()
    compiler: CompilerConfig = CompilerConfig()
    debug: Debug = Debug()

    @model_validator(mode="after")
    def _rules(self) -> Self:
        modes = NPU_MODES.get(self.target_hardware)
        if modes and self.npu_mode not in modes:
            refuse("npu_mode", self.npu_mode, f"{', '.join(modes)} on {self.target_hardware}")
        shapes = [len(processor.src_extra_shapes) for processor in self.input_processors]
        for index, count in enumerate(shapes):
            if count != shapes[0]:
                refuse(
                    f"input_processors[{index}].src_extra_shapes",
                    count,
                    f"{shapes[0]} shapes, as for every input",
                )
        return self


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a build configuration, for editors and other programs."""
    return BuildConfig.model_json_schema()
