"""What CI systems, containers and terminals put before the lines of a log."""

import io

import pytest

from helpers.logs.parse_log import parse
from helpers.logs.prefix import bare
from helpers.logs.records import BoardRun, BuildLog

RUN = """\
root@board:~# sample_npu_classification -m net.axmodel -i cat.jpg -r 2
model file : net.axmodel
image file : cat.jpg
img_h, img_w : 224 224
topk cost time:0.11 ms
12.3412, 281
-1.5000, 7
Repeat 2 times, avg time 1.30 ms, max_time 1.40 ms, min_time 1.20 ms
"""
BUILD = """\
root@f00d:/data# pulsar2 build --config c.json
2025-11-03 10:00:01.123 | INFO     | yamain.command.build:compile_ptq_model:1134 - QuantAxModel macs: 1,234
┏━━━━━━━━━━┳━━━━━━━━━┓
┃ Operator ┃ Cosin   ┃
┡━━━━━━━━━━╇━━━━━━━━━┩
│ Conv_0   │ 0.99993 │
└──────────┴─────────┘
[10:00:02] AX Set Float Op Table Pass Running ...
2025-11-03 10:00:03.123 | INFO     | yasched.test_onepass:results2model:2738 - max_cycle = 56,789
2025-11-03 10:00:04.123 | INFO     | yamain.command.build:compile_ptq_model:1308 - fuse 1 subgraph(s)
"""
FAILURE = """\
Traceback (most recent call last):
  File "<frozen yamain.main>", line 1, in <module>
yasched.exceptions.TileFailException: AxErf
    op: /Erf
"""
PREFIXES = [
    "2025-11-03T10:00:01.1234567Z ",  # GitHub Actions, docker logs -t
    "compile\tBuild the model\t2025-11-03T10:00:01.1234567Z ",  # gh run view --log
    "2025-11-03T10:00:01.123456Z 01O ",  # GitLab
    "Nov  3 10:00:01 ",  # ts
    "2025-11-03 10:00:01 ",
    "[2025-11-03 10:00:01.123] ",  # a serial terminal
    "[10:00:01.123] ",
    "00:00:01 ",
    "1762164001.123456 ",
    "Nov 03 10:00:01 board run.sh[1234]: ",  # journalctl
    "2025-11-03T10:00:01+0000 board run.sh[1234]: ",
    "2025-11-03 10:00:01,123 - INFO - ",  # Python's logging
    "2025-11-03 10:00:01,123 - my.tool - INFO - ",
    "pulsar-1  | ",  # docker compose
    "\x1b[33mpulsar-1  | \x1b[0m2025-11-03T10:00:01.1234567Z ",  # and in a CI system
    "efficientvit-pulsar2-1  | ",  # its bar stands where that of the compiler's time stamp does
    "    ",  # a block of code in Markdown
    "\t",
]


def prefixed(prefix: str, text: str) -> io.BytesIO:
    return io.BytesIO("".join(f"{prefix}{line}\n" for line in text.splitlines()).encode())


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_before_each_line_changes_nothing(prefix: str) -> None:
    noise = "[AX_SYS_LOG] join thread(281473600864432) ret:0\n" * 5
    failed, run, build = parse(prefixed(prefix, f"{FAILURE}{RUN}{noise}{BUILD}"), source="s")
    plain = list(parse(io.BytesIO(f"{FAILURE}{RUN}{BUILD}".encode()), source="s"))
    assert isinstance(run, BoardRun) and isinstance(build, BuildLog) and isinstance(failed, BuildLog)
    assert run.ok and build.ok and build.max_cycles == [56_789] and len(build.precision) == 1
    assert failed.error and failed.error.message == "AxErf\nop: /Erf"
    assert [failed, run, build] == plain


@pytest.mark.parametrize(
    "line", [*RUN.splitlines(), *BUILD.splitlines(), "", "[  12.345678] axcl: up", "2.0000, 3"]
)
def test_a_line_of_the_programs_themselves_has_no_prefix(line: str) -> None:
    assert list(bare(iter([line]))) == [line]


def test_the_margin_is_that_of_a_paragraphs_first_line() -> None:
    text = ["RuntimeError: it failed", "    inside", "", "", "    ValueError: a block", "      more", "end"]
    assert list(bare(iter(text))) == [*text[:4], "ValueError: a block", "  more", "end"]
