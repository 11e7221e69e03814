"""Archives: what is in them, what stays out, and that their bytes depend on the pictures alone."""

import io
import shutil
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.graph.preprocess import Preprocessing, as_rgb, board_crop, centre_crop, normalize
from helpers.pulsar2 import calibration
from helpers.pulsar2.calibration import (
    CalibrationError,
    crops_of_one_photo,
    make_archive,
    make_stand_in_archive,
)

BGR = Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input="bgr", size=64)


def picture(path: Path, seed: int, *, size: tuple[int, int] = (90, 70), mode: str = "RGB") -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}  # type: ignore[union-attr]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        picture(tmp_path / "photos" / f"{seed}.png", seed)
    return tmp_path / "photos"


def test_members_are_the_crops_the_board_makes(folder: Path, tmp_path: Path) -> None:
    report = make_archive(folder, tmp_path / "a.tar", BGR)
    held = members(report.path)
    assert list(held) == ["00000_0.png", "00001_1.png", "00002_2.png"]
    with Image.open(io.BytesIO(held["00001_1.png"])) as stored, Image.open(folder / "1.png") as original:
        assert np.array_equal(np.asarray(stored), centre_crop(original, 64))  # files are RGB for every board
    assert (report.count, report.bytes) == (3, report.path.stat().st_size)


def test_arrays_are_what_the_model_gets(folder: Path, tmp_path: Path) -> None:
    report = make_archive(folder, tmp_path / "a.tar", BGR, calibration_format="Numpy")
    stored = np.load(io.BytesIO(members(report.path)["00001_1.npy"]))
    with Image.open(folder / "1.png") as original:
        assert np.array_equal(stored, normalize(board_crop(original, BGR), BGR))
    assert (stored.dtype, stored.shape) == (np.float32, (1, 3, 64, 64))


def test_same_pictures_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = make_archive(folder, tmp_path / "a.tar", BGR).path.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    for name in ("2.png", "0.png", "1.png"):  # another order, other times and rights
        elsewhere.mkdir(exist_ok=True)
        shutil.copy(folder / name, elsewhere / name)
        (elsewhere / name).chmod(0o600)
    assert make_archive(elsewhere, tmp_path / "b.tar", BGR).path.read_bytes() == first
    paths = [folder / "2.png", folder / "0.png", folder / "1.png", folder / "1.png"]
    assert make_archive(paths, tmp_path / "c.tar", BGR).path.read_bytes() == first


def test_what_cannot_serve_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    picture(folder / "clear.png", 5, mode="RGBA")
    Image.new("L", (90, 70)).save(folder / "key.png", transparency=0)
    picture(folder / "float.tif", 5, mode="F")
    picture(folder / "tiny.png", 6, size=(200, 20))
    shutil.copy(folder / "1.png", folder / "sub-1.png")
    whole = picture(folder / "cut.png", 7).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_text("skipped without a word")
    report = make_archive(folder, tmp_path / "a.tar", BGR)
    assert report.count == 3
    assert {entry.name: entry.reason.split(":")[0] for entry in report.left_out} == {
        "clear.png": "transparent (RGBA)",
        "key.png": "transparent (L)",
        "float.tif": "of mode F, neither RGB nor grey nor CMYK",
        "tiny.png": "tiny",
        "sub-1.png": "the same picture as 1.png",
        "cut.png": "broken",
        "notes.txt": "not an image that Pillow can read",
    }
    assert "left out tiny.png: tiny: 200 × 20" in str(report)


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "L"), ("a.png", "1"), ("a.png", "P"), ("a.png", "I;16"), ("a.jpg", "CMYK")]
)
def test_grey_and_printed_pictures_serve_as_the_board_reads_them(
    tmp_path: Path, name: str, mode: str
) -> None:
    path = picture(tmp_path / "photos" / name, 5, mode=mode)
    with Image.open(path) as image:
        assert image.mode == mode
        crop = centre_crop(as_rgb(image), 64)
    report = make_archive(path.parent, tmp_path / "a.tar", BGR)
    (content,) = members(report.path).values()
    with Image.open(io.BytesIO(content)) as stored:
        assert stored.mode == "RGB" and np.array_equal(np.asarray(stored), crop)


def test_a_list_may_name_files_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    report = make_archive([folder / "0.png", folder / "gone.png"], tmp_path / "a.tar", BGR)
    assert [(entry.name, entry.reason) for entry in report.left_out] == [("gone.png", "no such file")]


def test_an_image_bomb_is_refused_by_its_header(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for name, side in (("bomb.png", 30_000), ("large.png", 9_000)):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    decoded = []
    load = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda image: decoded.append(image.size) or load(image))
    report = make_archive(folder, tmp_path / "a.tar", BGR)
    assert {entry.name for entry in report.left_out} == {"bomb.png", "large.png"}
    assert all("megapixels" in entry.reason for entry in report.left_out)
    assert decoded and max(decoded) <= (90, 90)


def test_fewer_than_32_is_a_warning(tmp_path: Path) -> None:
    for seed in range(32):
        picture(tmp_path / "photos" / f"{seed}.png", seed)
    assert make_archive(tmp_path / "photos", tmp_path / "a.tar", BGR).warnings == ()
    (tmp_path / "photos" / "0.png").unlink()
    assert (
        "31 pictures, fewer than 32" in make_archive(tmp_path / "photos", tmp_path / "a.tar", BGR).warnings[0]
    )


def test_no_member_can_leave_the_folder(tmp_path: Path) -> None:
    odd = [picture(tmp_path / "photos" / "..." / ".." / "-_\n..evil;$.png", 1)]
    report = make_archive(odd, tmp_path / "a.tar", BGR)
    with tarfile.open(report.path) as tar:
        (info,) = tar
    assert set(info.name) <= set("0123456789abcdefghijklmnopqrstuvwxyz-_.") and ".." not in info.name
    assert info.isfile() and (info.mtime, info.uid, info.gid, info.uname, info.mode) == (0, 0, 0, "", 0o644)


def test_without_a_usable_picture_nothing_is_written(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "clear.png", 5, mode="RGBA")
    (tmp_path / "a.tar").write_bytes(b"the old one")
    with pytest.raises(CalibrationError, match=r"clear\.png: transparent"):
        make_archive(tmp_path / "photos", tmp_path / "a.tar", BGR)
    assert (tmp_path / "a.tar").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "photos"]
    with pytest.raises(CalibrationError, match="no such folder"):
        make_archive(tmp_path / "none", tmp_path / "a.tar", BGR)
    with pytest.raises(CalibrationError, match=r"ending in \.tar"):
        make_archive(tmp_path / "photos", tmp_path / "a.zip", BGR)


def test_cuts_of_one_photo_are_many_and_the_same_each_time(tmp_path: Path) -> None:
    photo = picture(tmp_path / "cat.png", 3, size=(451, 300))
    crops = crops_of_one_photo(photo, 40, size=64)
    assert len({crop.tobytes() for crop in crops}) == 40
    assert {crop.shape for crop in crops} == {(64, 64, 3)}
    again = crops_of_one_photo(photo, 40, size=64)
    assert all(np.array_equal(one, other) for one, other in zip(crops, again, strict=True))
    assert not np.array_equal(crops[0], crops_of_one_photo(photo, 1, size=64, seed=1)[0])
    with pytest.raises(CalibrationError, match="no such file"):
        crops_of_one_photo(tmp_path / "dog.png", 1)


def test_a_stand_in_says_that_it_is_one(tmp_path: Path) -> None:
    photo = picture(tmp_path / "cat.png", 3, size=(451, 300))
    report = make_stand_in_archive(photo, tmp_path / "a.tar", BGR)
    assert report.count == calibration.TYPICAL and report.warnings == ()
    assert report.stand_in is not None and "Stand-in" in str(report) and "one photo (cat.png)" in str(report)
    other = make_stand_in_archive(photo, tmp_path / "b.tar", BGR)
    assert other.path.read_bytes() == report.path.read_bytes()
