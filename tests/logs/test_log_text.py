"""Lines out of raw bytes: every way in which a terminal capture spoils them."""

import io
import tracemalloc

import pytest

from helpers.logs.log_text import MAX_LINE, iter_lines
from helpers.logs.run_lines import line_shape


def lines(data: bytes) -> list[str]:
    return list(iter_lines(io.BytesIO(data), shape=line_shape))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\ntwo\r\r\nthree", ["one", "two", "three"]),
        (b" 10%|#\r 20%|##\rdone\n", [" 10%|#", " 20%|##", "done"]),
        (b"\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07text\x1b[2K", ["green text"]),
        (b"caf\xc3\xa9 \xff\xfe broken \xc3", ["café \ufffd\ufffd broken \ufffd"]),
        (b"\xef\xbb\xbffirst", ["first"]),
        ("one\nzwei\n".encode("utf-16"), ["one", "zwei"]),
        ("│ Conv │ 1.0 │\r\n━━\r\n【a】\r\n".encode("utf-16"), ["│ Conv │ 1.0 │", "━━", "【a】"]),
        ("│ a │\n".encode("utf-16") + b"plain text\n", ["│ a │", "plain text"]),  # appended by another shell
        (b"\x00\x00abcd\x00efgh", ["abcdefgh"]),
        (b"ax_rum\x08\x1b[Kn -m aab\x08\x08\x1b[K", ["ax_run -m a"]),  # typed, taken back
        (b"ax_rum\x08 \x08n", ["ax_run"]),
        (b"a\xc2\xa0b", ["a b"]),
        (b"a\x00b\x08c\x07d", ["abcd"]),
        (b"", []),
    ],
)
def test_bytes_become_clean_lines(data: bytes, expected: list[str]) -> None:
    assert [line for line in lines(data) if line] == expected


def test_no_blank_lines_come_out_of_line_ends_in_utf_16() -> None:
    assert lines("one\r\n\r\ntwo\r\n".encode("utf-16")) == ["one", "", "two"]


@pytest.mark.timeout(20)
def test_a_megabyte_of_backspaces_does_not_hang() -> None:
    assert lines((b"a" * 1_000 + b"\x08" * 1_000 + b"\x1b[K") * 500)


def test_a_long_line_keeps_its_beginning_and_the_next_line_survives() -> None:
    found = lines(b"x" * 1_000_000 + b"\nnext\n" + b"y" * (MAX_LINE + 5) + b"\nlast")
    assert [line for line in found if line] == ["x" * MAX_LINE, "next", "y" * MAX_LINE, "last"]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("[AX_SYS_LOG] Waiting thread(281473600864432) to exit\nok\n", ["ok"]),
        ("9.50[AX_SYS_LOG] AX_SYS_Log2ConsoleThread_Start\n94, 285\n", ["9.5094, 285"]),
        ("9.5094, 2[AX_SYS_LOG] join thread(281473600864432) ret:0\n85\n", ["9.5094, 285"]),
        ("9.5094, 285__sys_logctl_deinit!!!\n9.3773, 282\n", ["9.5094, 285", "9.3773, 282"]),
        (
            "model file : a.ax[  12.345678] axcl: reset\nmodel\nimage file : b\n",
            ["model file : a.axmodel", "image file : b"],
        ),
        (
            "model file : a.axmodel[AX_SYS_LOG] x\nimage file : b\n",
            ["model file : a.axmodel", "image file : b"],
        ),
        (
            "Repeat 1 times, avgApr 26 16:24:35 board user.warn kernel: x\n time 1.00 ms\n",
            ["Repeat 1 times, avg time 1.00 ms"],
        ),
        ("__sys_logctl_deinit!!!topk cost time:0.07 ms\n", ["topk cost time:0.07 ms"]),
        (
            " engine ver: [Axera version]: libax_sys.so V1.13.0 Apr 26 2023 16:48:53 1.1.0\n",
            [" engine ver: [Axera version]: libax_sys.so V1.13.0 Apr 26 2023 16:48:53 1.1.0"],
        ),
        ("cut at the end[AX_SYS_LOG] x", ["cut at the end"]),
    ],
)
def test_noise_of_the_board_is_taken_out_and_cut_lines_are_joined(data: str, expected: list[str]) -> None:
    assert [line for line in lines(data.encode()) if line] == expected


class Endless(io.RawIOBase):
    """A stream of so many bytes, made on demand."""

    def __init__(self, unit: bytes, size: int) -> None:
        self.unit, self.left = unit * (65_536 // len(unit)), size

    def read(self, size: int = -1) -> bytes:
        self.left -= len(self.unit)
        return self.unit if self.left > 0 else b""


@pytest.mark.parametrize("unit", [b"x", b"one line of text\n", b"50%|#####     |\r", b"[AX_SYS_LOG] "])
def test_memory_does_not_grow_with_the_length_of_the_log(unit: bytes) -> None:
    tracemalloc.start()
    try:
        for _ in iter_lines(Endless(unit, 20_000_000), shape=line_shape):  # type: ignore[arg-type]
            pass
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
