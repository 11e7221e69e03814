"""One setting, `board_input`, from the photo to the first convolution."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import timm
import torch
from onnx import helper
from PIL import Image

from helpers.graph.fold import fold
from helpers.graph.metrics import parity
from helpers.graph.preprocess import (
    BoardInput,
    Preprocessing,
    as_rgb,
    board_crop,
    centre_crop,
    for_board,
    normalize,
    read_metadata,
    sample_linear,
    write_metadata,
)
from helpers.model import weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ORDERS: tuple[BoardInput, ...] = ("bgr", "rgb")


def preprocessing(board_input: BoardInput, size: int = 224) -> Preprocessing:
    return Preprocessing.of(mean=MEAN, std=STD, board_input=board_input, size=size)


def test_mean_and_std_are_in_grey_levels_and_in_board_order() -> None:
    assert preprocessing("rgb").mean == (123.675, 116.28, 103.53)
    assert preprocessing("rgb").std == (58.395, 57.12, 57.375)
    assert preprocessing("bgr").mean == (103.53, 116.28, 123.675)
    assert preprocessing("bgr").std == (57.375, 57.12, 58.395)


@pytest.mark.parametrize("wrong", [{"board_input": "BGR"}, {"size": 641}])
def test_an_order_and_a_size_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    values = {"mean": MEAN, "std": STD, "board_input": "bgr", "size": 224, **wrong}
    with pytest.raises(ValueError):
        Preprocessing.of(**values)  # type: ignore[arg-type]


def test_the_crop_is_the_middle_of_the_short_side_at_256() -> None:
    # A ramp is linear, so linear interpolation must give it back: 2 grey levels per 256th of the short side.
    ramp = np.broadcast_to(np.linspace(0, 255, 512)[None, :, None], (512, 512, 3))
    crop = centre_crop(Image.fromarray(np.rint(ramp).astype(np.uint8)), 224)
    at = (np.arange(16, 240) + 0.5) * 2 - 0.5
    assert np.abs(crop[0, :, 0] - at * 255 / 511).max() <= 1
    assert crop.shape == (224, 224, 3)


def test_linear_reading_does_not_smooth() -> None:
    # cv::resize with INTER_LINEAR reads two neighbours however small the picture gets: stripes survive.
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, 1::4] = stripes[:, 2::4] = 255
    assert set(np.unique(centre_crop(Image.fromarray(stripes), 224))) == {255}


def test_reading_between_pixels_is_linear_both_ways_and_clamped_at_the_edge() -> None:
    pixels = np.array([[0, 100], [50, 200]], np.uint8)[..., None].repeat(3, axis=2)
    read = sample_linear(pixels, np.array([-1.0, 0.5]), np.array([0.25, 3.0]))
    assert read[..., 0].tolist() == [[25, 100], [56, 150]]


def test_the_board_order_reverses_the_channels() -> None:
    image = Image.new("RGB", (300, 260), (200, 100, 50))
    assert board_crop(image, preprocessing("rgb"))[0, 0].tolist() == [200, 100, 50]
    assert board_crop(image, preprocessing("bgr"))[0, 0].tolist() == [50, 100, 200]


def test_a_picture_taken_sideways_is_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[:128] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned a quarter to the right
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        crop = centre_crop(image, 224)
    assert crop[112, -1, 0] == 255 and crop[112, 0, 0] == 0


def test_grey_is_read_as_three_equal_channels_and_16_bits_as_their_upper_8(tmp_path: Path) -> None:
    grey = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256)
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(grey).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "I;16"
        read = as_rgb(image)
    assert np.array_equal(np.asarray(read), np.repeat((grey >> 8)[:, :, None], 3, axis=2))
    assert read.getexif()[0x0112] == 3  # so the crop can still be turned upright
    with Image.new("CMYK", (1, 1), (0, 255, 0, 0)) as printed:
        assert as_rgb(printed).getpixel((0, 0)) == (255, 0, 255)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_colour_modes_are_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=mode):
        board_crop(Image.new(mode, (300, 300)), preprocessing("bgr"))


@pytest.mark.parametrize("folded", [False, True])
def test_the_permuted_model_on_board_bytes_equals_the_model_on_rgb(folded: bool) -> None:
    model = weights.load("efficientvit_m0", "random")
    model = fold(model) if folded else model
    pixels = np.random.default_rng(1).integers(0, 256, (300, 280, 3), dtype=np.uint8)
    logits = {}
    for order in ORDERS:
        p = preprocessing(order)
        fed = torch.from_numpy(normalize(board_crop(Image.fromarray(pixels), p), p))
        with torch.inference_mode():
            logits[order] = for_board(model, order)(fed).numpy()
    assert parity(logits["bgr"], logits["rgb"]) < 1e-4


def test_the_model_itself_is_left_alone() -> None:
    model = timm.create_model("efficientvit_m0").eval()
    before = model.patch_embed.conv1.conv.weight.clone()
    permuted = for_board(model, "bgr")
    assert torch.equal(model.patch_embed.conv1.conv.weight, before)
    assert torch.equal(permuted.get_submodule("patch_embed.conv1.conv").weight, before.flip(1))


def test_the_graph_remembers_how_its_pixels_come() -> None:
    graph = helper.make_model(helper.make_graph([], "g", [], []))
    assert read_metadata(graph) is None
    write_metadata(graph, preprocessing("rgb"))
    write_metadata(graph, preprocessing("bgr"))
    assert read_metadata(onnx.load_from_string(graph.SerializeToString())) == preprocessing("bgr")
    graph.metadata_props[0].value = '{"board_input": "grb"}'
    assert read_metadata(graph) is None
