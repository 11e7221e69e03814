"""Archives of others: read without unpacking, refused where they are dangerous."""

import gzip
import io
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.graph.preprocess import Preprocessing, board_crop, normalize
from helpers.pulsar2 import archive_contents
from helpers.pulsar2.archive_contents import ArchiveError, contents, pictures
from helpers.pulsar2.calibration import ArchiveFormat, make_archive


def png(size: tuple[int, int], mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def npy(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(shape, np.float32))
    return buffer.getvalue()


def tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


MEMBERS = {"a/1.png": png((9, 8)), "a/2.png": png((9, 8), "L"), "3.npy": npy((1, 3, 8, 9)), "4.txt": b"text"}


def test_tar_and_zip_are_sorted_by_what_is_in_them(tmp_path: Path) -> None:
    plain, packed = tar(tmp_path / "a.tar", MEMBERS), tar(tmp_path / "a.tar.gz", MEMBERS, "w:gz")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in MEMBERS.items():
            archive.writestr(name, content)
    for path in (plain, packed, tmp_path / "a.zip"):
        held = contents(path)
        assert held.pictures == {(9, 8): 2} and held.modes == {"RGB": 1, "L": 1}
        assert held.arrays == {("float32", (1, 3, 8, 9)): 1}
        assert held.others == ["4.txt"]


@pytest.mark.parametrize("name", ["../1.png", "/1.png", "a/../../1.png", "..\\1.png", "C:\\1.png"])
def test_a_member_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="outside its folder"):
        contents(tar(tmp_path / "a.tar", {name: png((9, 8))}))
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, png((9, 8)))
    with pytest.raises(ArchiveError, match="outside its folder"):
        contents(tmp_path / "a.zip")


def test_links_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("1.png")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(info)
    linked = zipfile.ZipInfo("1.png")
    linked.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(linked, "/etc/passwd")
    for name in ("a.tar", "a.zip"):
        with pytest.raises(ArchiveError, match="outside its folder"):
            contents(tmp_path / name)


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE])
def test_devices_pipes_and_hard_links_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("1.png")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(ArchiveError, match="do not unpack it"):
        contents(tmp_path / "a.tar")


def test_a_device_in_a_zip_is_refused(tmp_path: Path) -> None:
    device = zipfile.ZipInfo("1.png")
    device.external_attr = (stat.S_IFCHR | 0o666) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(device, b"")
    with pytest.raises(ArchiveError, match="do not unpack it"):
        contents(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_unpacks_to_much_is_not_read(tmp_path: Path, kind: bytes) -> None:
    """64 KB of file, 64 MB in one header; 7 MB of file took 1.6 GB of memory."""
    header = tarfile.TarInfo("long")
    header.type, header.size = kind, 64 << 20
    path = tmp_path / "a.tar.gz"
    with gzip.open(path, "wb") as packed:
        packed.write(header.tobuf(tarfile.GNU_FORMAT) + bytes(header.size))
    tracemalloc.start()
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_long_name_and_a_large_member_are_read(tmp_path: Path) -> None:
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=style) as archive:
            archive.addfile(tarfile.TarInfo("n" * 300))
        assert contents(tmp_path / "a.tar").others == ["n" * 300]
    large = {"large": bytes(archive_contents.EXTENSION_BYTES + 1)}
    assert contents(tar(tmp_path / "a.tar", large)).others == ["large"]


def test_a_huge_picture_in_a_small_file_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "convert", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ArchiveError, match=r"huge\.png.*64 × 64"):
        pictures(tar(tmp_path / "a.tar", {"huge.png": png((8_000, 8_000), "1")}), PREPROCESSING, 1)


def test_what_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tar(tmp_path / "a.tar", MEMBERS)
    monkeypatch.setattr(archive_contents, "BYTES_LIMIT", sum(map(len, MEMBERS.values())) - 1)
    with pytest.raises(ArchiveError, match="make it smaller"):
        contents(path)


def test_what_is_no_archive_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no such file"):
        contents(tmp_path / "a.tar")
    (tmp_path / "a.tar").write_bytes(b"text")
    with pytest.raises(ArchiveError, match="not a tar or zip"):
        contents(tmp_path / "a.tar")
    whole = tar(tmp_path / "b.tar.gz", MEMBERS, "w:gz").read_bytes()
    (tmp_path / "b.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArchiveError, match="damaged"):
        contents(tmp_path / "b.tar.gz")


def test_what_a_damaged_zip_raises_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ä.png", png((9, 8)))
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xff"))
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("1.png", b"text" * 100)
        packed = archive.infolist()[0].compress_size
    held = bytearray(path.read_bytes())
    held[40 : 35 + packed] = b"\xff" * (packed - 5)
    path.write_bytes(held)
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path)


@pytest.mark.parametrize("damage", [b"\xff" * 20, bytes(512)])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_damaged_header_in_the_middle_is_not_the_end(tmp_path: Path, mode: str, damage: bytes) -> None:
    """tarfile stops there without a word, so 40 pictures of 64 passed for the whole archive."""
    path = tar(tmp_path / "a.tar", {f"{index}.png": png((9, 8)) for index in range(64)})
    with tarfile.open(path) as archive:
        at = archive.getmembers()[40].offset
    held = bytearray(path.read_bytes())
    held[at : at + len(damage)] = damage
    path.write_bytes(held if mode == "w" else gzip.compress(held))
    with pytest.raises(ArchiveError, match="damaged"):
        contents(path)


@pytest.mark.parametrize("zeros", [0, 512, 1024, 20_480])
def test_an_archive_may_end_with_few_zeros_or_many(tmp_path: Path, zeros: int) -> None:
    path = tar(tmp_path / "a.tar", MEMBERS)
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    ended = path.read_bytes()[: last.offset_data + 512] + bytes(zeros)
    for stored in (ended, gzip.compress(ended)):
        path.write_bytes(stored)
        assert contents(path).pictures == {(9, 8): 2}


PREPROCESSING = Preprocessing.of(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.2), board_input="bgr", size=64)


@pytest.mark.parametrize("calibration_format", ["Image", "Numpy"])
def test_pictures_come_as_the_model_gets_them(tmp_path: Path, calibration_format: ArchiveFormat):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 280, 3), np.uint8)).save(photo)
    out = tmp_path / "calibration.tar"
    make_archive([photo], out, PREPROCESSING, calibration_format=calibration_format)
    (found,) = pictures(out, PREPROCESSING, 5)
    expected = normalize(board_crop(Image.open(photo), PREPROCESSING), PREPROCESSING)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected)
    assert not np.array_equal(found, expected[:, ::-1])


def test_pictures_takes_the_first_ones(tmp_path: Path):
    archive = tar(tmp_path / "a.tar", {f"{index}.png": png((64, 64)) for index in range(3)})
    assert len(pictures(archive, PREPROCESSING, 2)) == 2


@pytest.mark.parametrize("content", [b"no picture", png((65, 64)), b""])
def test_pictures_that_do_not_fit_are_refused_by_name(tmp_path: Path, content: bytes):
    with pytest.raises(ArchiveError, match=r"odd\.png.*64 × 64"):
        pictures(tar(tmp_path / "a.tar", {"odd.png": content}), PREPROCESSING, 1)


def test_pictures_of_a_cut_off_archive_are_refused(tmp_path: Path):
    whole = tar(tmp_path / "a.tar", {"1.png": png((64, 64)), "2.png": png((64, 64))})
    whole.write_bytes(whole.read_bytes()[:700])
    with pytest.raises(ArchiveError, match="damaged"):
        pictures(whole, PREPROCESSING, 2)
