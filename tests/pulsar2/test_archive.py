"""Archives: what goes in and what stays out, the same bytes each time, and reading those of others."""

import gzip
import io
import shutil
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_archives import npy, png, tar

from helpers.files import PHOTO
from helpers.graph.preprocess import Preprocessing, as_rgb, board_crop, centre_crop, normalize
from helpers.pulsar2 import archive
from helpers.pulsar2.archive import (
    ArchiveError,
    Member,
    calibrate,
    check_archive,
    contents,
    pictures,
)

BGR = Preprocessing.of(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225), board_input="bgr", size=64)


def held(path: Path) -> Counter[Member]:
    """How often an archive holds each kind of member."""
    return Counter(contents(path).values())


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
    report = calibrate(tmp_path / "out", BGR, images=folder)
    held = members(report.path)
    assert list(held) == ["00000_0.png", "00001_1.png", "00002_2.png"]
    with Image.open(io.BytesIO(held["00001_1.png"])) as stored, Image.open(folder / "1.png") as original:
        assert np.array_equal(np.asarray(stored), centre_crop(original, 64))  # files are RGB for every board
    assert (report.count, report.stand_in) == (3, None)


def test_same_pictures_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = calibrate(tmp_path / "a", BGR, images=folder).path.read_bytes()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("2.png", "0.png", "1.png"):  # another order, other times and rights
        shutil.copy(folder / name, elsewhere / name).chmod(0o600)
    assert calibrate(tmp_path / "b", BGR, images=elsewhere).path.read_bytes() == first


def test_an_archive_is_kept_until_one_of_its_pictures_changes(folder: Path, tmp_path: Path) -> None:
    paths = [folder / "0.png", picture(folder / "more" / "0.png", 7)]  # two of one name
    assert calibrate(tmp_path / "out", BGR, images=folder).remade
    assert not calibrate(tmp_path / "out", BGR, images=folder).remade
    for seed, path in enumerate(paths, start=10):
        picture(path, seed)
        assert calibrate(tmp_path / "out", BGR, images=folder).remade


def test_where_there_are_no_images_cuts_of_one_photo_stand_in(tmp_path: Path) -> None:
    report = calibrate(tmp_path / "a", BGR)
    assert report.stand_in and PHOTO.name in str(report)
    assert held(report.path) == {Member("Image", (64, 64), "RGB"): archive.PICTURES}
    assert len(set(members(report.path).values())) == archive.PICTURES
    assert calibrate(tmp_path / "b", BGR, images="").path.read_bytes() == report.path.read_bytes()


def test_of_many_pictures_some_are_packed_whatever_cannot_serve(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for seed in range(3 * archive.PICTURES):
        path = picture(folder / f"{seed:03d}.png", seed)
        if seed % 5 == 0:
            path.write_text("no picture")
    report = calibrate(tmp_path / "a", BGR, images=folder)
    held = list(members(report.path))
    assert report.count == len(held) == archive.PICTURES
    places = sorted(int(name.split("_")[1].removesuffix(".png")) for name in held)
    assert places[0] < archive.PICTURES and places[-1] > 2 * archive.PICTURES  # from all of the folder
    assert calibrate(tmp_path / "b", BGR, images=folder).path.read_bytes() == report.path.read_bytes()


def test_what_cannot_serve_is_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    Image.new("RGBA", (90, 70), (1, 2, 3, 254)).save(folder / "clear.png")
    Image.new("L", (90, 70)).save(folder / "key.png", transparency=0)
    picture(folder / "float.tif", 5, mode="F")
    picture(folder / "tiny.png", 6, size=(200, 20))
    whole = picture(folder / "cut.png", 7).read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "notes.txt").write_text("not a picture")
    (folder / ".hidden.png").write_text("skipped without a word")
    report = calibrate(tmp_path / "out", BGR, images=folder)
    assert report.count == 3
    reasons = {name: reason for name, reason in report.left_out}
    for name, said in {
        "clear.png": "RGBA",
        "key.png": "transparent",
        "float.tif": "mode F",
        "tiny.png": "200 × 20",
        "cut.png": "Pillow",
        "notes.txt": "Pillow",
    }.items():
        assert said in reasons.pop(name) and name in str(report)
    assert not reasons


def test_a_picture_whose_alpha_hides_nothing_serves(tmp_path: Path) -> None:
    path = picture(tmp_path / "photos" / "a.png", 5)
    Image.open(path).convert("RGBA").save(path)
    assert calibrate(tmp_path / "out", BGR, images=path.parent).count == 1


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
    (content,) = members(calibrate(tmp_path / "out", BGR, images=path.parent).path).values()
    with Image.open(io.BytesIO(content)) as stored:
        assert stored.mode == "RGB" and np.array_equal(np.asarray(stored), crop)


def test_names_of_files_stay_out_of_the_archive(tmp_path: Path) -> None:
    for name in ("a b.png", "ü.png", f"{'long' * 40}.png"):
        picture(tmp_path / "photos" / name, len(name))
    held = members(calibrate(tmp_path / "out", BGR, images=tmp_path / "photos").path)
    assert all(len(name) < 80 and name.isascii() and "/" not in name and " " not in name for name in held)


def test_no_usable_picture_leaves_the_old_archive(folder: Path, tmp_path: Path) -> None:
    before = calibrate(tmp_path / "out", BGR, images=folder).path.read_bytes()
    tiny = picture(tmp_path / "small" / "tiny.png", 6, size=(200, 20))
    for useless in (tiny.parent, tmp_path / "none"):
        with pytest.raises(ArchiveError, match=r"tiny|none"):
            calibrate(tmp_path / "out", BGR, images=useless)
    assert (tmp_path / "out" / "calibration.tar").read_bytes() == before


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
        assert held(path) == {
            Member("Image", (9, 8), "RGB"): 1,
            Member("Image", (9, 8), "L"): 1,
            Member("Numpy", (1, 3, 8, 9), "float32"): 1,
            Member("Binary", (4,), "4.txt"): 1,
        }
    inner = zipped(tmp_path / "b.zip", {"readme.txt": b"text"}).read_bytes()
    last = held(tar(tmp_path / "b.tar", {"1.png": png((9, 8)), "last.zip": inner}))  # still a tar
    assert last[Member("Image", (9, 8), "RGB")] == 1


@pytest.mark.parametrize("name", ["../1.png", "/1.png", "a/../../1.png", "..\\1.png", "C:1.png"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    for path in (tar(tmp_path / "a.tar", {name: png((9, 8))}), zipped(tmp_path / "a.zip", {name: b""})):
        with pytest.raises(ArchiveError, match="outside its folder"):
            contents(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_devices_and_links_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as opened:
        info = tarfile.TarInfo("1.png")
        info.type = kind
        info.linkname = "../../etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
        opened.addfile(info)
    with pytest.raises(ArchiveError, match=r"'1.png' is a link or a device.*tar -h"):
        contents(tmp_path / "a.tar")


@pytest.mark.parametrize(
    ("members", "level", "said"),
    [
        ({"a/._1.png": b"\0\5\26\7"}, "fail", "macOS adds, such as a/._1.png"),
        ({".DS_Store": b"Bud1"}, "fail", "COPYFILE_DISABLE=1"),
        ({"__MACOSX/1.png": png((9, 8))}, "fail", "__MACOSX/1.png"),
        ({"labels.txt": b"cat"}, "fail", "labels.txt"),
    ],
)
def test_what_a_desktop_adds_to_an_archive_is_named(
    tmp_path: Path, members: dict[str, bytes], level: str, said: str
) -> None:
    finding = check_archive(tar(tmp_path / "a.tar", {"0.png": png((9, 8)), **members}), None, None)
    assert finding.level == level and said in finding.message


def test_what_is_no_archive_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file"):
        contents(tmp_path / "a.tar")
    whole = tar(tmp_path / "b.tar.gz", MEMBERS, "w:gz").read_bytes()
    packed = zipped(tmp_path / "a.zip", MEMBERS).read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2], packed[:-30]):
        (tmp_path / "a.tar").write_bytes(content)
        with pytest.raises(ArchiveError, match="damaged"):
            contents(tmp_path / "a.tar")


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path: Path, mode: str) -> None:
    """tarfile stops there without a word, so 40 pictures of 64 passed for the whole archive."""
    path = tar(tmp_path / "a.tar", {f"{index}.png": png((9, 8)) for index in range(64)})
    with tarfile.open(path) as opened:
        at = opened.getmembers()[40].offset
    held = bytearray(path.read_bytes())
    held[at : at + 20] = b"\xff" * 20
    path.write_bytes(held if mode == "w" else gzip.compress(held))
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path)


@pytest.mark.parametrize("zeros", [0, 20_480])
def test_an_archive_may_end_with_few_zeros_or_many(tmp_path: Path, zeros: int) -> None:
    path = tar(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(path) as opened:
        last = opened.getmembers()[-1]
    path.write_bytes(path.read_bytes()[: last.offset_data + 512] + bytes(zeros))
    assert held(path).total() == len(MEMBERS)


def test_pictures_come_as_the_model_gets_them(tmp_path: Path) -> None:
    photo = picture(tmp_path / "photos" / "a.png", 0, size=(280, 300))
    expected = normalize(board_crop(Image.open(photo), BGR), BGR)
    made = calibrate(tmp_path / "out", BGR, images=photo.parent).path
    for path in (made, tar(tmp_path / "arrays.tar", {"0.npy": npy(expected), "1.npy": npy(expected)})):
        found = pictures(path, BGR, 1)[0]
        assert found.dtype == np.float32 and np.array_equal(found, expected)
    assert len(pictures(path, BGR, 1)) == 1
    assert not np.array_equal(expected, expected[:, ::-1])


@pytest.mark.parametrize("content", [b"no picture", png((65, 64)), b"", npy(np.zeros((1, 3, 64, 64)))])
def test_pictures_that_do_not_fit_are_refused_by_name(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ArchiveError, match=r"odd\.png.*64 × 64"):
        pictures(tar(tmp_path / "a.tar", {"odd.png": content}), BGR, 1)
