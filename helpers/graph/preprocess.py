"""From a photo to what the board feeds, under one setting: `board_input`, the channel order of the bytes.

The board's C++ programs feed BGR bytes (cv::imread), pyaxengine's example feeds RGB, and Pulsar2 never swaps
the two (pulsar2-docs-en, advanced_config_examples). So the graph takes the order of its program: `for_board`
permutes the first convolution, and `Preprocessing` holds mean and std in that order for configuration and
calibration.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    import onnx
    from torch import nn

BoardInput = Literal["bgr", "rgb"]
Triple = tuple[float, float, float]
Pixels = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.float64]

SHORT_SIDE = 256  # pixels; fixed in sample_npu_classification, which then cuts the middle out
LARGEST = 640  # pixels, of what is cut out
METADATA_KEY = "preprocessing"  # in the ONNX file, so that preflight can hold the configuration against it


@dataclass(frozen=True)
class Preprocessing:
    """What happens to a model's pixels; mean and std are in 0–255 units, in the order of `board_input`.

    A picture's short side becomes `short_side` pixels, and the middle `size` × `size` are cut out; or it goes
    in whole, as `letterbox` puts it.
    """

    board_input: BoardInput
    mean: Triple
    std: Triple
    size: int = 224
    short_side: int = SHORT_SIDE
    fit: Literal["crop", "letterbox"] = "crop"

    @classmethod
    def of(
        cls,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        board_input: BoardInput,
        size: int = 224,
        crop: float | None = None,
    ) -> Self:
        """From mean, std and crop as timm gives them: RGB, in 0–1 units (a model's `pretrained_cfg`).

        `crop` is the share of the short side that is cut out; left out, the board's SHORT_SIDE stays. Raises
        ValueError for another order, and for a size or a crop that cannot be.
        """
        order = channels(board_input)
        short = int(size / crop) if crop else max(size, SHORT_SIDE)
        if not 1 <= size <= min(short, LARGEST):
            raise ValueError(
                f"size {size} of {short} pixels: give 1 to {LARGEST}, and no more than there are"
            )
        r, g, b = (tuple(round(float(values[i]) * 255, 6) for values in (mean, std)) for i in order)
        return cls(board_input, (r[0], g[0], b[0]), (r[1], g[1], b[1]), size, short)

    @classmethod
    def trained(cls, model: "nn.Module", board_input: BoardInput) -> Self:
        """What timm says of how a model was trained. ValueError for pictures that are not square."""
        said: Any = model.pretrained_cfg
        _, height, width = said["input_size"]
        if height != width:
            raise ValueError(f"it takes {height} × {width} pixels: the board's programs cut squares")
        colours = {"mean": said["mean"], "std": said["std"]}
        return cls.of(**colours, board_input=board_input, size=width, crop=said["crop_pct"])

    @property
    def format(self) -> Literal["BGR", "RGB"]:
        """The order as Pulsar2 spells it."""
        return "BGR" if self.board_input == "bgr" else "RGB"


def board_crop(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """The bytes that the board program feeds: uint8 [size, size, 3] in board order; errors as `fitted`."""
    return in_board_order(fitted(image, preprocessing), preprocessing)


def fitted(image: Image.Image, preprocessing: Preprocessing) -> Pixels:
    """`board_crop` in RGB, as an image file stores it: uint8 [size, size, 3].

    As sample_npu_classification does it, whose short side is 256: picture upright (cv::imread obeys EXIF),
    short side by linear interpolation without smoothing (cv::resize), the middle cut out. Raises ValueError
    unless it is RGB, and as `letterbox` does.
    """
    size = preprocessing.size
    if preprocessing.fit == "crop":
        return centre_crop(image, size, short_side=preprocessing.short_side)
    colour = [preprocessing.mean[place] for place in channels(preprocessing.board_input)]
    return letterbox(upright(image), size, colour)


def letterbox(pixels: Pixels, size: int, colour: Sequence[float]) -> Pixels:
    """A whole picture, uint8 [h, w, 3], on a square canvas, uint8 [size, size, 3].

    Its longer side becomes `size` pixels. It stands at the upper left, as in the training of the detector
    (mmdet 2.x); the rest has `colour`, the mean that is subtracted, so that the network sees zeros there, as
    it did then. Raises ValueError for a picture so narrow that nothing of it would be left.
    """
    inside = placed(pixels.shape[:2], size)
    canvas = np.empty((size, size, 3), np.uint8)
    canvas[:] = np.rint(colour)
    rows, columns = (
        (np.arange(new) + 0.5) * (old / new) - 0.5 for new, old in zip(inside, pixels.shape, strict=False)
    )
    canvas[: inside[0], : inside[1]] = sample_linear(pixels, rows, columns)
    return canvas


def placed(picture: Sequence[int], size: int) -> tuple[int, int]:
    """The height and width that a picture of such a height and width has on a `letterbox`."""
    height, width = (int(side * size / max(picture) + 0.5) for side in picture)
    if not (height and width):
        raise ValueError(
            f"a picture of {picture[1]:,} × {picture[0]:,} pixels has none left on its short side at {size}: "
            "cut it"
        )
    return height, width


def in_board_order(pixels: Pixels, preprocessing: Preprocessing) -> Pixels:
    """RGB pixels, uint8 [h, w, 3], with their channels as the board feeds them."""
    return np.ascontiguousarray(pixels[..., list(channels(preprocessing.board_input))])


def centre_crop(image: Image.Image, size: int, *, short_side: int = SHORT_SIDE) -> Pixels:
    """The middle of a picture, uint8 [size, size, 3]; ValueError unless it is RGB."""
    pixels = upright(image)
    height, width = pixels.shape[:2]

    def middle(side: int) -> Positions:
        resized = side * short_side // min(height, width)
        return np.asarray((np.arange(size) + (resized - size) // 2 + 0.5) * (side / resized) - 0.5)

    return sample_linear(pixels, middle(height), middle(width))


def upright(image: Image.Image) -> Pixels:
    """An RGB picture's pixels as it is meant to be seen: uint8 [h, w, 3]; ValueError for another mode."""
    if image.mode != "RGB":
        raise ValueError(f"the image is {image.mode}, not RGB: convert it before cropping")
    return np.asarray(ImageOps.exif_transpose(image))


def as_rgb(image: Image.Image) -> Image.Image:
    """Grey, palette and CMYK pictures in RGB, as cv::imread gives them; of 16 bits the upper 8 stay."""
    if image.mode.startswith("I;16"):  # which Pillow would clip at 255
        image = image.convert("I").point([value >> 8 for value in range(1 << 16)], "L")
    return image.convert("RGB")


def sample_linear(pixels: Pixels, rows: Positions, columns: Positions) -> Pixels:
    """`pixels` [h, w, 3] read at `rows` × `columns`, in pixels and clamped: uint8 [rows, columns, 3].

    Linear in both directions, as cv::INTER_LINEAR, which rounds in fixed point: at most 1 grey level apart.
    """

    def along(values: npt.NDArray[Any], at: Positions, axis: int) -> npt.NDArray[np.float64]:
        last = values.shape[axis] - 1
        at = np.clip(at, 0, last)
        low = np.floor(at).astype(np.intp)
        share = np.expand_dims(at - low, (1 - axis, 2))
        upper = np.take(values, np.minimum(low + 1, last), axis)
        return np.asarray(np.take(values, low, axis) * (1 - share) + upper * share)

    return np.asarray(np.rint(along(along(pixels, columns, 1), rows, 0)), np.uint8)


def normalize(crop: Pixels, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """What the compiled model computes from `crop` (uint8 [h, w, 3], board order): float32 [1, 3, h, w]."""
    mean, std = (np.asarray(values, np.float32) for values in (preprocessing.mean, preprocessing.std))
    return np.ascontiguousarray(((crop.astype(np.float32) - mean) / std).transpose(2, 0, 1)[None])


def for_board(model: "nn.Module", board_input: BoardInput) -> "nn.Module":
    """A copy of a timm network, folded or not, in eval mode, that takes its channels in board order.

    Exact: for "bgr" the first convolution's input channels are reversed, for "rgb" nothing changes. Raises
    ValueError for a model whose first convolution does not take three channels.
    """
    from torch import nn  # here, so that calibration and configuration need no torch

    from helpers.model.reference import fresh_copy

    permuted = fresh_copy(model)
    convolution = next((each for each in permuted.modules() if isinstance(each, nn.Conv2d)), None)
    if convolution is None or convolution.weight.shape[1] != 3:
        raise ValueError("the first layer is no convolution of three colours: only board_input 'rgb' is left")
    convolution.weight.data = convolution.weight.data[:, list(channels(board_input))].contiguous()
    return permuted


def write_metadata(graph: "onnx.ModelProto", preprocessing: Preprocessing) -> None:
    """Writes into the metadata of `graph`, in place, how its pixels must come: preflight reads it there."""
    from onnx import helper

    kept = {entry.key: entry.value for entry in graph.metadata_props}
    helper.set_model_props(graph, kept | {METADATA_KEY: json.dumps(asdict(preprocessing))})


def read_metadata(graph: "onnx.ModelProto") -> Preprocessing | None:
    """What `write_metadata` wrote into `graph`; None where it says nothing, or in another form."""
    kept = {entry.key: entry.value for entry in graph.metadata_props}
    try:
        return TypeAdapter(Preprocessing).validate_json(kept.get(METADATA_KEY, ""))
    except ValidationError:
        return None


def channels(board_input: str) -> tuple[int, int, int]:
    """Which RGB channel stands at each place; ValueError for another order than bgr and rgb."""
    if board_input not in get_args(BoardInput):
        raise ValueError(f"board_input {board_input!r}: choose 'bgr' (C++ programs) or 'rgb' (pyaxengine)")
    return (2, 1, 0) if board_input == "bgr" else (0, 1, 2)
