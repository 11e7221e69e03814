"""Archives: what goes in and what stays out, the same bytes each time, and reading those of others."""

import gzip
import io
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.graph.preprocess import Preprocessing, as_rgb, board_crop, centre_crop, normalize
from helpers.pulsar2 import archive
from helpers.pulsar2.archive import ArchiveError, archive_for, contents, crops_of_one_photo, pictures

BGR = Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input="bgr", size=64)


def picture(path: Path, seed: int, *, size: tuple[int, int] = (90, 70), mode: str = "RGB") -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened}  # type: ignore[union-attr]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        picture(tmp_path / "photos" / f"{seed}.png", seed)
    return tmp_path / "photos"


def test_members_are_the_crops_the_board_makes(folder: Path, tmp_path: Path) -> None:
    report = archive_for(folder, tmp_path / "a.tar", BGR)
    held = members(report.path)
    assert list(held) == ["00000_0.png", "00001_1.png", "00002_2.png"]
    with Image.open(io.BytesIO(held["00001_1.png"])) as stored, Image.open(folder / "1.png") as original:
        assert np.array_equal(np.asarray(stored), centre_crop(original, 64))  # files are RGB for every board
    assert (report.count, report.bytes, report.stand_in) == (3, report.path.stat().st_size, None)


def test_same_pictures_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = archive_for(folder, tmp_path / "a.tar", BGR).path.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    for name in ("2.png", "0.png", "1.png"):  # another order, other times and rights
        elsewhere.mkdir(exist_ok=True)
        shutil.copy(folder / name, elsewhere / name)
        (elsewhere / name).chmod(0o600)
    assert archive_for(elsewhere, tmp_path / "b.tar", BGR).path.read_bytes() == first
    paths = [folder / "2.png", folder / "0.png", folder / "1.png", folder / "1.png"]
    assert archive_for(paths, tmp_path / "c.tar", BGR).path.read_bytes() == first


@pytest.mark.parametrize("none", ["", []])
def test_where_there_are_no_images_cuts_of_one_photo_stand_in(
    tmp_path: Path, none: str | Sequence[str]
) -> None:
    report = archive_for(none, tmp_path / "a.tar", BGR)
    assert report.stand_in and archive.STAND_IN.name in str(report)
    assert contents(report.path).pictures == {(64, 64): archive.CUTS}
    assert archive_for(none, tmp_path / "b.tar", BGR).path.read_bytes() == report.path.read_bytes()


def test_cuts_of_one_photo_are_many_and_the_same_each_time(tmp_path: Path) -> None:
    photo = picture(tmp_path / "cat.png", 3, size=(451, 300))
    crops = crops_of_one_photo(photo, 40, size=64)
    assert len({crop.tobytes() for crop in crops}) == 40
    assert {crop.shape for crop in crops} == {(64, 64, 3)}
    again = crops_of_one_photo(photo, 10, size=64)  # more only follow
    assert all(np.array_equal(one, other) for one, other in zip(crops, again, strict=False))
    with pytest.raises(ArchiveError, match="no such file"):
        crops_of_one_photo(tmp_path / "dog.png", 1, size=64)


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
    report = archive_for(folder, tmp_path / "a.tar", BGR)
    assert report.count == 3
    reasons = dict(report.left_out)
    for name, said in {
        "clear.png": "RGBA",
        "key.png": "transparent",
        "float.tif": "mode F",
        "tiny.png": "200 × 20",
        "sub-1.png": "1.png",
        "cut.png": "Pillow",
        "notes.txt": "Pillow",
    }.items():
        assert said in reasons.pop(name) and name in str(report)
    assert not reasons


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
    (content,) = members(archive_for(path.parent, tmp_path / "a.tar", BGR).path).values()
    with Image.open(io.BytesIO(content)) as stored:
        assert stored.mode == "RGB" and np.array_equal(np.asarray(stored), crop)


def test_names_of_files_stay_out_of_the_archive(tmp_path: Path) -> None:
    for name in ("a b.png", "ü.png", f"{'long' * 40}.png"):
        picture(tmp_path / "photos" / name, len(name))
    held = members(archive_for(tmp_path / "photos", tmp_path / "a.tar", BGR).path)
    assert all(len(name) < 80 and name.isascii() and "/" not in name and " " not in name for name in held)


def test_no_usable_picture_leaves_the_old_archive(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"the old one")
    with pytest.raises(ArchiveError, match="gone"):
        archive_for([folder / "gone.png"], tmp_path / "a.tar", BGR)
    assert (tmp_path / "a.tar").read_bytes() == b"the old one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "photos"]
    with pytest.raises(ArchiveError, match="no such folder"):
        archive_for(tmp_path / "none", tmp_path / "a.tar", BGR)
    with pytest.raises(ArchiveError, match=r"\.tar"):
        archive_for(folder, tmp_path / "a.zip", BGR)


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as opened:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return path


ARRAY = npy(np.zeros((1, 3, 8, 9), np.float32))
MEMBERS = {"a/1.png": png((9, 8)), "a/2.png": png((9, 8), "L"), "3.npy": ARRAY, "4.txt": b"text"}


def test_tar_and_zip_are_sorted_by_what_is_in_them(tmp_path: Path) -> None:
    for path in (
        tar(tmp_path / "a.tar", MEMBERS),
        tar(tmp_path / "a.tar.gz", MEMBERS, "w:gz"),
        zipped(tmp_path / "a.zip", MEMBERS),
    ):
        held = contents(path)
        assert held.pictures == {(9, 8): 2} and held.modes == {"RGB": 1, "L": 1}
        assert held.arrays == {("float32", (1, 3, 8, 9)): 1}
        assert held.others == ["4.txt"]


def test_a_tar_whose_last_member_is_a_zip_is_a_tar(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "a.zip", {"readme.txt": b"text"}).read_bytes()
    held = contents(tar(tmp_path / "a.tar", {"1.png": png((9, 8)), "last.zip": inner}))
    assert held.pictures == {(9, 8): 1} and held.others == ["last.zip"]


@pytest.mark.parametrize("name", ["../1.png", "/1.png", "a/../../1.png", "..\\1.png"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    for path in (tar(tmp_path / "a.tar", {name: png((9, 8))}), zipped(tmp_path / "a.zip", {name: b""})):
        with pytest.raises(ArchiveError, match="outside its folder"):
            contents(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices_and_links_that_lead_out_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as opened:
        info = tarfile.TarInfo("1.png")
        info.type, info.linkname = kind, "../../etc/passwd"
        opened.addfile(info)
    with pytest.raises(ArchiveError, match="outside its folder"):
        contents(tmp_path / "a.tar")


def test_what_is_no_archive_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file"):
        contents(tmp_path / "a.tar")
    whole = tar(tmp_path / "b.tar.gz", MEMBERS, "w:gz").read_bytes()
    packed = zipped(tmp_path / "a.zip", MEMBERS).read_bytes()
    for content in (
        b"",
        b"text",
        whole[: len(whole) // 2],
        packed[:-30],
        packed.replace(b"\x89PNG", b"\0PNG"),
    ):
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(ArchiveError, match="damaged"):
            contents(tmp_path / "a.tar")


@pytest.mark.parametrize("damage", [b"\xff" * 20, bytes(512)])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path: Path, mode: str, damage: bytes) -> None:
    """tarfile stops there without a word, so 40 pictures of 64 passed for the whole archive."""
    path = tar(tmp_path / "a.tar", {f"{index}.png": png((9, 8)) for index in range(64)})
    with tarfile.open(path) as opened:
        at = opened.getmembers()[40].offset
    held = bytearray(path.read_bytes())
    held[at : at + len(damage)] = damage
    path.write_bytes(held if mode == "w" else gzip.compress(held))
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path)


@pytest.mark.parametrize("zeros", [0, 512, 1024, 20_480])
def test_an_archive_may_end_with_few_zeros_or_many(tmp_path: Path, zeros: int) -> None:
    path = tar(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(path) as opened:
        last = opened.getmembers()[-1]
    ended = path.read_bytes()[: last.offset_data + 512] + bytes(zeros)
    for stored in (ended, gzip.compress(ended)):
        path.write_bytes(stored)
        assert contents(path).pictures == {(9, 8): 2}


def test_pictures_come_as_the_model_gets_them(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photos" / "a.png", 0, size=(280, 300))
    expected = normalize(board_crop(Image.open(photo), BGR), BGR)
    made = archive_for([photo], tmp_path / "made.tar", BGR).path
    for path in (made, tar(tmp_path / "arrays.tar", {"0.npy": npy(expected)})):
        (found,) = pictures(path, BGR, 5)
        assert found.dtype == np.float32 and np.array_equal(found, expected)
    assert not np.array_equal(expected, expected[:, ::-1])


def test_pictures_takes_the_first_ones(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", {f"{index}.png": png((64, 64)) for index in range(3)})
    assert len(pictures(path, BGR, 2)) == 2


@pytest.mark.parametrize("content", [b"no picture", png((65, 64)), b"", npy(np.zeros((1, 3, 64, 64)))])
def test_pictures_that_do_not_fit_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"odd\.png.*64 × 64"):
        pictures(tar(tmp_path / "a.tar", {"odd.png": content}), BGR, 1)


def test_pictures_of_a_cut_off_archive_are_refused(tmp_path: Path) -> None:
    whole = tar(tmp_path / "a.tar", {"1.png": png((64, 64)), "2.png": png((64, 64))})
    whole.write_bytes(whole.read_bytes()[:700])
    with pytest.raises(ArchiveError, match="damaged"):
        pictures(whole, BGR, 2)
