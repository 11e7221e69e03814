"""Lines out of raw bytes: every way in which a terminal capture spoils them."""

import io
import tracemalloc

import pytest

from helpers.logs.text import MAX_LINE, iter_lines


class Stream(io.RawIOBase):
    """A stream of `size` bytes made on demand, in reads of so many bytes."""

    def __init__(self, unit: bytes, *, size: int, block: int = 65_536) -> None:
        self.unit, self.left, self.block = unit, size, block

    def read(self, size: int = -1) -> bytes:
        start = -self.left % len(self.unit)
        data = (self.unit * (2 + self.block // len(self.unit)))[start : start + min(self.block, self.left)]
        self.left -= len(data)
        return data


def lines(data: bytes, *, block: int = 65_536) -> list[str]:
    return list(iter_lines(Stream(data or b" ", size=len(data), block=block)))  # type: ignore[arg-type]


@pytest.mark.parametrize("block", [1, 3, 65_536])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"one\ntwo", ["one", "two"]),
        (b"one\r\n\r\ntwo\r\nthree\n", ["one", "", "two", "three"]),
        (b"one\r\r\ntwo\r\r\n", ["one", "two"]),  # doubled by a terminal within a terminal
        (b"one\r50 %\r", ["one", "50 %"]),
        (b" 10%|#\r 20%|##\rdone\n", [" 10%|#", " 20%|##", "done"]),
        (b"\x1b[1;32mgreen\x1b[0m \x1b]0;title\x07text\x1b[2K", ["green text"]),
        (b"caf\xc3\xa9 \xff\xfe broken \xc3", ["café \ufffd\ufffd broken \ufffd"]),
        (b"\xef\xbb\xbffirst", ["first"]),
        (b"a\x00b\x08c\x07d", ["abcd"]),
        (b"", []),
        (b"a\xc2\xa0b \x1b(B\x1bktitle\x1b\\c", ["a b c"]),
        (
            "b.sh: 行 3:  41 已杀死  pulsar2\n段错误".encode(),
            ["b.sh: line 3:  41 Killed  pulsar2", "Segmentation fault"],
        ),
        ("pulsar2：未找到命令".encode(), ["pulsar2: command not found"]),
        (b"cut at the end[AX_SYS_LOG] x", ["cut at the end"]),
    ],
)
def test_bytes_become_clean_lines(data: bytes, expected: list[str], block: int) -> None:
    assert lines(data, block=block) == expected


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_a_file_of_powershell_is_read_by_its_mark(code: str) -> None:
    assert lines("\ufeffone\r\n│ two".encode(code), block=7) == ["one", "│ two"]


def test_a_long_line_keeps_its_beginning_and_the_next_line_survives() -> None:
    found = lines(b"x" * 1_000_000 + b"\nnext\n" + b"y" * (MAX_LINE + 5) + b"\nlast")
    assert found == ["x" * MAX_LINE, "next", "y" * MAX_LINE, "last"]


RUN = "model file : a.axmodel\n9.5094, 285\nRepeat 1 times, avg time 1.00 ms\n"
VERSION = "[Axera version]: libax_sys.so V1.13.0 Apr 26 2023 16:48:53"


@pytest.mark.parametrize("block", [7, 65_536])
@pytest.mark.parametrize(
    "noise",
    [
        "[AX_SYS_LOG] AX_SYS_Log2ConsoleThread_Start\n",
        "[AX_SYS_LOG] Waiting thread(281473600864432) to exit\n",
        "__sys_logctl_deinit!!!\n",
        "WARN,Func(__is_valid_file),NOT find file = '/etc/ax_syslog.conf'\n",
        "ERROR,Func(__syslog_parma_cfg_get), NOT find = '/etc/ax_syslog.conf' \n",
        f"{VERSION} JK\n",
        "[   12.345678] axcl: reset\n",
        "Apr 26 16:24:35 board user.warn kernel: x\n",
        "Apr 26 16:24:35 board kernel: x\n",
    ],
)
def test_noise_of_the_board_is_taken_out_wherever_it_stands(noise: str, block: int) -> None:
    for at in range(len(RUN) + 1):
        assert lines((RUN[:at] + noise + RUN[at:]).encode(), block=block) == RUN.splitlines()


def test_what_only_looks_like_noise_stays() -> None:
    said = [
        f" engine ver: {VERSION}",
        "Nov 03 10:00:01 board run.sh[1234]: model file : a",
        "[10:00:02] AX x",
    ]
    assert lines("\n".join([*said, "[AX_SYS_LOG] x"]).encode()) == said


@pytest.mark.parametrize(
    "unit",
    [b"x", b"one line of text\n", b"50%|#####     |\r", b"[AX_SYS_LOG] ", b"x" * 200 + b"[AX_SYS_LOG] y\n"],
)
def test_memory_does_not_grow_with_the_length_of_the_log(unit: bytes) -> None:
    tracemalloc.start()
    try:
        for _ in iter_lines(Stream(unit, size=10_000_000)):  # type: ignore[arg-type]
            pass
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
