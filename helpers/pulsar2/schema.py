"""The Pulsar2 build configuration as types: the messages of the 7.0 documentation, under their own names.

Fields and defaults: pulsar2-docs-en, appendix/config (7.0). Options are those of the enums, which is what the
parser takes, and the further values that a 7.0 image knows (read out of that image). Limits: there and in
advanced_build_guides.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, Strict
from pydantic_core import PydanticCustomError

CALIBRATION_SIZE = 32  # pictures: Pulsar2's default
EVERY = "DEFAULT"  # Pulsar2's name for all inputs or outputs
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".gz", ".zip")
YUV_FORMATS = ("YUYV422", "UYVY422", "YUV420SP", "YVU420SP")


def _refusal(field: str, value: object, allowed: str) -> PydanticCustomError:
    """`field` is the path below the message that is refused, "" for itself."""
    context = {"field": field, "value": value, "allowed": allowed}
    return PydanticCustomError("rule", "allowed: {allowed}", context)


def _only(holds: Callable[[Any], bool], allowed: str) -> AfterValidator:
    """A rule for the values of a field."""

    def checked(value: Any) -> Any:
        if not holds(value):
            raise _refusal("", value, allowed)
        return value

    return AfterValidator(checked)


T = TypeVar("T")
List = Annotated[tuple[T, ...], Strict(False)]  # what a file has as a list
Int = Annotated[int, Field(ge=-(2**31), lt=2**31)]
Count = Annotated[int, Field(ge=1, lt=2**31)]
Name = Annotated[str, Field(min_length=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

Archive = Annotated[
    Name, _only(lambda name: name.lower().endswith(ARCHIVES), f"ending in {' '.join(ARCHIVES)}")
]
Size = Annotated[Int, _only(lambda size: size == -1 or size >= 1, "-1 (all files) or 1 and more")]
Threshold = Annotated[float, _only(lambda it: it == -1 or 0 <= it < 1e-4, "-1, or 0 to below 0.0001")]

Hardware = Literal[
    "AX650", "AX620E", "AX615", "AX637", "AX8860", "M76H", "M57", "AX620L", "LAMBERT", "LAGUNA"
]  # fmt: skip
NpuMode = Literal["NPU1", "NPU2", "NPU3", "NPU4", "NPU5", "ISP1", "ISP2", "ISP3"]
DataType = Literal[
    "DefaultDataType", "U8", "S8", "U16", "S16", "U32", "S32", "U64", "S64", "FP16", "FP32", "BF16", "NVFP4"
]  # fmt: skip
ColorSpace = Literal[
    "AutoColorSpace", "GRAY", "BGR", "RGB", "RGBA", "YUYV422", "UYVY422", "YUV420SP", "YVU420SP", "RAW"
]  # fmt: skip
Layout = Literal["DefaultLayout", "NHWC", "NCHW"]


Device = Literal["cpu", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7"]

# pulsar2-docs-en, user guide of `pulsar2 build`; chips that no document names take any mode.
NPU_MODES: dict[str, tuple[str, ...]] = {
    "AX650": ("NPU1", "NPU2", "NPU3"),
    "AX620E": ("NPU1", "NPU2"),
    "AX615": ("NPU1", "NPU2"),
    "M76H": ("NPU1", "NPU2", "NPU3"),
    "M57": ("NPU1",),
    "AX637": ("NPU1",),
    "AX8860": ("NPU1", "NPU2", "NPU4"),
}


class Message(BaseModel):
    """Base of all messages: a field that Pulsar2 does not know is refused, as its own parser does.

    Frozen, so that a value set on a defaulted part cannot get lost when unset fields are left out in writing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def _require(self, holds: object, field: str, allowed: str, *, value: object = None) -> None:
        """Refuses a field, or the value given, unless the rule holds."""
        if not holds:
            raise _refusal(field, getattr(self, field) if value is None else value, allowed)


class InputQuantConfig(Message):
    """Calibration data of one input; mean and std are in 0–255 units, in the order of `tensor_format`."""

    tensor_name: Name
    calibration_dataset: Archive
    calibration_format: Literal["Image", "Numpy", "Binary", "NumpyObject"] = "Image"
    calibration_size: Size = CALIBRATION_SIZE
    calibration_mean: List[float] = ()
    calibration_std: List[Positive] = ()


class LayerConfig(Message):
    """Precision of one layer, of a kind of operator, or of a subgraph: exactly one selector."""

    layer_name: str = ""
    op_type: str = ""
    layer_names: List[Name] = ()
    op_types: List[Name] = ()
    start_tensor_names: List[Name] = ()
    end_tensor_names: List[Name] = ()
    data_type: DataType = "U8"
    weight_data_type: DataType = "S8"
    output_data_type: DataType = "U8"

    @property
    def operators(self) -> tuple[str, ...]:
        """The operator types this entry selects; empty when it selects by name or subgraph."""
        return (self.op_type,) if self.op_type else self.op_types

    def model_post_init(self, _: object) -> None:
        missing = "end_tensor_names" if self.start_tensor_names else "start_tensor_names"
        paired = bool(self.start_tensor_names) == bool(self.end_tensor_names)
        self._require(paired, missing, "a subgraph needs start_tensor_names and end_tensor_names")
        single = ("layer_name", "op_type", "layer_names", "op_types", "start_tensor_names")
        chosen = [name for name in single if getattr(self, name)]
        told = ", ".join(chosen) or "no selector"
        self._require(len(chosen) == 1, "", f"exactly one of {', '.join(single)}", value=told)
        allowed = "U8, S8, U16, S16 for Conv (FP32 goes to its output_data_type)"
        self._require("Conv" not in self.operators or self.data_type != "FP32", "data_type", allowed)


class QuantConfig(Message):
    """Quantisation: data, method, precision per layer, analysis, fine-tuning."""

    input_configs: List[InputQuantConfig] = ()
    layer_configs: List[LayerConfig] = ()
    calibration_method: Literal["MinMax", "Percentile", "MSE", "KL"] = "MinMax"
    precision_analysis: bool = False
    precision_analysis_method: Literal["PerLayer", "EndToEnd"] = "PerLayer"
    precision_analysis_mode: Literal["Reference", "NPUBackend"] = "Reference"
    highest_mix_precision: bool = False
    conv_bias_data_type: DataType = "S32"
    refine_weight_threshold: Threshold = 1e-6
    enable_smooth_quant: bool = False
    smooth_quant_threshold: Fraction | None = None
    smooth_quant_strength: float | None = None
    transformer_opt_level: Annotated[int, Field(ge=0, le=2)] = 0
    input_sample_dir: str | None = None
    ln_scale_data_type: DataType = "FP32"
    check: Annotated[int, Field(ge=0, le=1)] = 0
    disable_auto_refine_scale: bool = False
    enable_easy_quant: bool = False
    disable_quant_optimization: bool = False
    enable_brecq: bool = False
    enable_lsq: bool = False
    enable_adaround: bool = False
    finetune_epochs: Count = 500
    finetune_block_size: Count = 4
    finetune_batch_size: Count = 1
    finetune_lr: Positive = 1e-3
    device: Device = "cpu"


class OnnxOptimizeOption(Message):
    """What the front end does to the graph before quantisation."""

    disable_onnx_optimization: bool = False
    enable_onnxsim: bool = False
    model_check: bool = False
    disable_transformation_check: bool = False
    save_tensors_data: bool = False


class Shape(Message):
    """One more input shape to compile for."""

    shape: List[Count] = Field(min_length=1)


class InputProcessor(Message):
    """What the board feeds and what the compiled model does to it before the first layer.

    `tensor_format` and `src_format` never swap RGB and BGR (three statements of the 7.0 documentation).
    `scale` and `zeropoint` serve cascaded models; the printed list lacks them, its build guide uses them.
    """

    tensor_name: Name
    tensor_format: ColorSpace = "AutoColorSpace"
    tensor_layout: Layout = "NCHW"
    src_format: ColorSpace = "AutoColorSpace"
    src_layout: Layout = "NCHW"
    src_dtype: DataType = "FP32"
    src_extra_shapes: List[Shape] = ()
    csc_mode: Literal["NoCSC", "Matrix", "FullRange", "LimitedRange"] = "NoCSC"
    csc_mat: List[float] = ()
    mean: List[float] = ()
    std: List[Positive] = ()
    padding: List[Int] = ()
    padding_mode: Literal["constant"] = "constant"
    padding_constant_value: Int = 0
    slicing: List[Int] = ()
    scale: float = 0.0
    zeropoint: Int = 0

    def model_post_init(self, _: object) -> None:
        yuv, source = self.src_format in YUV_FORMATS, f"with src_format {self.src_format}"
        matrix = f"Matrix, FullRange or LimitedRange {source}"
        self._require(not yuv or self.csc_mode != "NoCSC", "csc_mode", matrix)
        packed = "src_layout" not in self.model_fields_set or self.src_layout == "NHWC"
        self._require(not yuv or packed, "src_layout", f"NHWC {source}")
        counts = (12,) if self.csc_mode == "Matrix" else (0, 12)
        self._require(len(self.csc_mat) in counts, "csc_mat", "12 numbers, row by row")
        for index, value in enumerate(self.csc_mat):
            low, high = (-9, 8) if index % 4 == 3 else (-524289, 524288)
            allowed = f"between {low} and {high}, both excluded"
            self._require(low < value < high, f"csc_mat[{index}]", allowed, value=value)
        for field in ("padding", "slicing"):
            even = len(getattr(self, field)) % 2 == 0
            self._require(even, field, "a start and an end per axis, so an even count")
        self._require(not self.zeropoint or self.scale, "zeropoint", "0 unless scale is set")


class OutputProcessor(Message):
    """Layout and type of one output."""

    tensor_name: Name
    tensor_layout: Layout = "DefaultLayout"
    dst_perm: List[Int] = ()
    output_dtype: DataType = "FP32"

    def model_post_init(self, _: object) -> None:
        each_once = sorted(self.dst_perm) == list(range(len(self.dst_perm)))
        self._require(each_once, "dst_perm", "each axis once, counted from 0")


class OpProcessor(Message):
    """Attributes of one operator, overwritten by name."""

    op_name: Name
    attrs: dict[str, JsonValue]


class ConstProcessor(Message):
    """A constant of the graph, overwritten by name."""

    name: Name
    data: List[float] = ()
    data_path: str | None = None


class Node(Message):
    """One node of a pattern."""

    types: List[str] = ()
    inputs: List[str] = ()
    outputs: List[str] = ()
    properties: dict[str, JsonValue] = Field(default_factory=dict)


class Graph(Message):
    """A pattern of nodes that the compiler schedules together."""

    nodes: List[Node] = ()
    type: Literal["Tile", "Slice"] = "Tile"
    match_mode: Literal["Op", "Tensor"] = "Op"


class CompilerConfig(Message):
    """The NPU compiler. `check`: 0 none, 1 all-close, 2 all-equal, 3 cosine (the tool's own help text)."""

    static_batch_sizes: List[Count] = ()
    max_dynamic_batch_size: Annotated[int, Field(ge=0, lt=2**31)] = 0
    ddr_bw_limit: NotNegative = 0.0
    disable_ir_fix: bool = False
    check: Annotated[int, Field(ge=0, le=3)] = 0
    npu_perf: bool = False
    check_mode: Literal["CheckOutput", "CheckPerLayer"] = "CheckOutput"
    check_rtol: NotNegative = 1e-5
    check_atol: NotNegative = 0.0
    check_cosine_simularity: Fraction = 0.999  # the tool's spelling
    check_tensor_black_list: List[str] = ()
    enable_slice_mode: bool = False
    enable_tile_mode: bool = False
    enable_data_soft_compression: bool = False
    input_sample_dir: str | None = None
    compiler_group_patterns: List[Graph] = ()
    sub_configs: "List[CompilerConfig]" = ()
    start_tensor_names: List[Name] = ()
    end_tensor_names: List[Name] = ()

    def model_post_init(self, _: object) -> None:
        both = self.static_batch_sizes and self.max_dynamic_batch_size
        self._require(not both, "max_dynamic_batch_size", "0 beside static_batch_sizes: choose one")


class Debug(Message):
    """Debug outputs. The printed list lacks this message; the build guide uses it."""

    dump_frontend_graph: bool = False


class BuildConfig(Message):
    """The whole file. `input` and `output_dir` usually come from the command line, which beats the file."""

    input: str | None = None
    output_dir: str | None = None
    output_name: Name = "compiled.axmodel"
    work_dir: str | None = None
    model_type: Literal["ONNX", "QuantAxModel", "QuantONNX", "OptimizedQuantAxModel", "ISP"] = "ONNX"
    target_hardware: Hardware = "AX650"
    npu_mode: NpuMode = "NPU1"
    input_shapes: str | None = None
    onnx_opt: OnnxOptimizeOption = OnnxOptimizeOption()
    quant: QuantConfig = QuantConfig()
    input_processors: List[InputProcessor] = ()
    output_processors: List[OutputProcessor] = ()
    const_processors: List[ConstProcessor] = ()
    op_processors: List[OpProcessor] = ()
    quant_op_processors: List[OpProcessor] = ()
    compiler: CompilerConfig = CompilerConfig()
    debug: Debug = Debug()

    def mean_and_std(self, processor: InputProcessor) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Those that an input gets: its own, else those of its calibration."""
        wanted = (processor.tensor_name, EVERY)
        entry = next((entry for entry in self.quant.input_configs if entry.tensor_name in wanted), None)
        mean, std = (entry.calibration_mean, entry.calibration_std) if entry else ((), ())
        return processor.mean or mean, processor.std or std

    def model_post_init(self, _: object) -> None:
        modes = NPU_MODES.get(self.target_hardware, (self.npu_mode,))
        self._require(self.npu_mode in modes, "npu_mode", f"{', '.join(modes)} on {self.target_hardware}")
        counts = [len(processor.src_extra_shapes) for processor in self.input_processors]
        for index, count in enumerate(counts):
            path = f"input_processors[{index}].src_extra_shapes"
            self._require(count == counts[0], path, f"{counts[0]} shapes, as for every input", value=count)

    def ineffective(self) -> list[str]:
        """What Pulsar2 takes and then passes over."""
        said: list[str] = []
        for index, processor in enumerate(self.input_processors):
            path, mode = f"input_processors[{index}]", processor.csc_mode
            if processor.csc_mat and mode != "Matrix":
                said.append(f"{path}.csc_mat has no effect with csc_mode {mode}")
            if mode != "NoCSC" and processor.src_format == "AutoColorSpace":
                said.append(f"{path}.csc_mode is ignored with src_format AutoColorSpace")
        for index, layer in enumerate(self.quant.layer_configs):
            others = ", ".join(sorted({*layer.operators} - {"Conv"}))
            if others and "output_data_type" in layer.model_fields_set:
                path = f"quant.layer_configs[{index}].output_data_type"
                said.append(f"{path} takes effect for Conv only, not for {others}")
        if self.quant.highest_mix_precision and self.quant.layer_configs:
            said.append("quant.layer_configs do nothing beside highest_mix_precision")
        return said
