"""The building blocks of the build configuration: numbers with limits, enums, the base of all messages.

Options: pulsar2-docs-en, appendix/config (7.0), and the further values that a 7.0 image knows, such as KL
calibration and chips that the printed list lacks (read out of that image).
"""

from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Int = Annotated[int, Field(strict=True, ge=-(2**31), lt=2**31)]
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Text = Annotated[str, Field(strict=True)]
Name = Annotated[str, Field(strict=True, min_length=1)]
Float = Annotated[float, Field(strict=True, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0)]
Positive = Annotated[float, Field(strict=True, allow_inf_nan=False, gt=0)]
Fraction = Annotated[float, Field(strict=True, allow_inf_nan=False, ge=0, le=1)]

Hardware = Literal[
    "AX650", "AX620E", "AX615", "AX637", "AX8860", "M76H", "M57", "AX620L", "LAMBERT", "LAGUNA"
]  # fmt: skip
NpuMode = Literal["NPU1", "NPU2", "NPU3", "NPU4", "NPU5", "ISP1", "ISP2", "ISP3"]
ModelType = Literal["ONNX", "QuantAxModel", "QuantONNX", "OptimizedQuantAxModel", "ISP"]
CalibrationMethod = Literal["MinMax", "Percentile", "MSE", "KL"]
CalibrationFormat = Literal["Image", "Numpy", "Binary", "NumpyObject"]
LayerType = Literal["U8", "S8", "U16", "S16", "FP32"]
TensorFormat = Literal["AutoColorSpace", "BGR", "RGB", "GRAY"]
SourceFormat = Literal[
    "AutoColorSpace", "GRAY", "BGR", "RGB", "RGBA", "YUYV422", "UYVY422", "YUV420SP", "YVU420SP", "RAW"
]  # fmt: skip
Device = Literal["cpu", "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:4", "cuda:5", "cuda:6", "cuda:7"]

# pulsar2-docs-en, user guide of `pulsar2 build`; chips that no document names take any mode.
NPU_MODES: dict[str, tuple[str, ...]] = {
    "AX650": ("NPU1", "NPU2", "NPU3"),
    "AX620E": ("NPU1", "NPU2"),
    "AX615": ("NPU1", "NPU2"),
    "M57": ("NPU1",),
    "AX637": ("NPU1",),
    "AX8860": ("NPU1", "NPU2", "NPU4"),
}
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".gz", ".zip")
YUV_FORMATS = ("YUYV422", "UYVY422", "YUV420SP", "YVU420SP")


def refuse(field: str, value: object, allowed: str) -> NoReturn:
    """Reports a broken rule; `field` is the path below the message with the rule, "" for the value itself."""
    context: dict[str, Any] = {"field": field, "value": value, "allowed": allowed, "shown": repr(value)}
    raise PydanticCustomError("rule", "{shown} is not allowed: {allowed}", context)


class Message(BaseModel):
    """Base of all messages: a field that Pulsar2 does not know is refused, as its own parser does.

    Frozen, so that a value set on a defaulted part cannot get lost when unset fields are left out in writing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


def same_length(message: Message, mean: str, std: str) -> None:
    """Holds two per-channel lists to one length where both are given."""
    means, stds = getattr(message, mean), getattr(message, std)
    if means and stds and len(means) != len(stds):
        refuse(std, list(stds), f"{len(means)} values, as many as {mean}")
