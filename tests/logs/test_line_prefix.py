"""What CI systems, terminals, mail and forums put around the lines of a log."""

import io

import pytest

from helpers.logs.build import BuildLog
from helpers.logs.line_prefix import Bare
from helpers.logs.parse_log import parse
from helpers.logs.run_record import BoardRun

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
    "11-03 10:00:01.123  1234  1240 I ax      : ",  # logcat
    "pulsar-1  | ",  # docker compose
    "INFO[0006] ",
    "> ",
    "> > ",
    "&gt; ",
    "> 2025-11-03 10:00:01 ",
    "    ",
    "\t",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_before_each_line_changes_nothing(prefix: str) -> None:
    text = "".join(f"{prefix}{line}\n" for line in (RUN + BUILD).splitlines())
    run, build = parse(io.BytesIO(text.encode()), source="s")
    expected_run, expected_build = parse(io.BytesIO((RUN + BUILD).encode()), source="s")
    assert isinstance(run, BoardRun) and isinstance(build, BuildLog)
    assert run.ok and build.ok and build.max_cycles == [56_789] and len(build.precision) == 1
    assert run == expected_run
    assert build.to_json() == expected_build.to_json()


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_cut_run_behind_a_prefix_is_not_ok(prefix: str) -> None:
    text = "".join(f"{prefix}{line}\n" for line in RUN.splitlines()[:-1])
    (run,) = parse(io.BytesIO(text.encode()))
    assert isinstance(run, BoardRun)
    assert not run.ok and len(run.top_k) == 2


@pytest.mark.parametrize(
    "line", [*RUN.splitlines(), *BUILD.splitlines(), "", "[  12.345678] axcl: up", "2.0000, 3"]
)
def test_a_line_of_the_programs_themselves_has_no_prefix(line: str) -> None:
    assert Bare().line(line) == line


def test_a_container_whose_bar_stands_where_that_of_a_time_stamp_does_is_taken_off() -> None:
    line = "efficientvit-pulsar2-1  | Repeat 2 times"
    assert line.index("|") == "2025-11-03 10:00:04.123 | INFO".index("|")
    assert Bare().line(line) == "Repeat 2 times"


def test_entities_of_html_are_read_as_characters() -> None:
    assert Bare().line("(&lt;ErrorCode.QuantError: 3&gt;, IndexError(&#x27;x&#39;))&nbsp;&amp;&notan;") == (
        "(<ErrorCode.QuantError: 3>, IndexError('x')) &&notan;"
    )
    text = (
        "yamain.common.error.CodeException: (&lt;ErrorCode.QuantError: 3&gt;, IndexError(&#x27;out&#x27;))\n"
    )
    (build,) = parse(io.BytesIO(text.encode()))
    assert isinstance(build, BuildLog) and build.error
    assert (build.error.code, build.error.exception, build.error.message) == (
        "QuantError",
        "IndexError",
        "out",
    )


def test_blanks_that_a_web_page_does_not_break_are_blanks() -> None:
    (run,) = parse(io.BytesIO(RUN.replace(" ", "\u00a0").encode()), source="s")
    assert run == next(parse(io.BytesIO(RUN.encode()), source="s"))


FAILURE = """\
Traceback (most recent call last):
  File "<frozen yamain.main>", line 1, in <module>
yasched.exceptions.TileFailException: AxErf
    op: /Erf
"""


@pytest.mark.parametrize("start", ["", "It says:\n\n"])
@pytest.mark.parametrize("margin", ["    ", "\t"])
@pytest.mark.parametrize("failure", [FAILURE, "TileFailException: AxErf\n    op: /Erf\n"])
def test_a_failure_inside_a_block_of_code_is_read(start: str, margin: str, failure: str) -> None:
    text = start + "".join(f"{margin}{line}\n" for line in failure.splitlines())
    *_, build = parse(io.BytesIO(text.encode()))
    assert isinstance(build, BuildLog) and build.error
    assert (build.error.exception, build.error.message) == ("TileFailException", "AxErf\nop: /Erf")


def test_an_indented_exception_inside_a_message_shows_no_margin() -> None:
    bare = Bare()
    lines = [
        "RuntimeError: it failed",
        "    ValueError: inside",
        "    more",
        "",
        "    ValueError: a block",
        "    more",
    ]
    assert [bare.line(line) for line in lines] == [*lines[:4], "ValueError: a block", "more"]
