"""Why a build failed: codes, exceptions, single lines; and what is known of failures."""

import io

import pytest
from read_builds import FUSED, build, said

from helpers.logs.failures import Where, advise, known_failures
from helpers.logs.parse_log import parse
from helpers.logs.records import BoardRun

KNOWN = [
    (where, known)
    for where in ("build", "run")
    for known in known_failures(where)
    if where == "build" or known not in known_failures("build")
]


@pytest.mark.parametrize(("where", "known"), KNOWN, ids=[known["example"][:50] for _, known in KNOWN])
def test_every_known_failure_is_found_by_its_example(where: Where, known: dict[str, str]) -> None:
    advice = f"{known['meaning']} {known['action']} [{known['source']}]"  # so none is hidden by one before it
    assert advise(f"before\n{known['example']}\nafter", where) == advice
    assert known["meaning"].endswith(".") and known["action"].endswith(".") and known["source"]


def test_what_a_board_knows_of_builds_and_a_build_does_not_know_of_boards() -> None:
    assert advise("Killed", "run") == advise("Killed", "build") is not None
    assert advise("Segmentation fault", "run") and advise("Segmentation fault", "build") is None
    assert advise("something else went wrong", "run") is None


def test_an_unknown_failure_is_shown_with_the_innermost_exception_and_no_advice() -> None:
    record = build(
        "2025-01-02 03:04:05.000 | INFO     | yamain.command.build:quant:1 - x\n"
        "Traceback (most recent call last):\n"
        '  File "<frozen yamain.x>", line 1, in f\n'
        '    raise OddThing("No space left on device")\n'
        "some.module.OddThing: never seen\n"
        "  detail: 7\n"
        "\n"
        "The above exception was the direct cause of the following exception:\n"
        "\n"
        "Traceback (most recent call last):\n"
        '  File "<frozen yamain.y>", line 2, in g\n'
        "RuntimeError: outer\n"
    )
    assert record.error is not None
    assert (record.error.exception, record.error.message) == ("OddThing", "never seen\ndetail: 7")
    assert record.error.code is None and record.error.advice is None


def test_a_traceback_that_the_build_survived_does_not_explain_its_failure() -> None:
    record = build(
        "root@x:/data# pulsar2 build --config c\n"
        "Traceback (most recent call last):\n  File a\nValueError: handled\n"
        "2025-01-02 03:04:05.000 | INFO     | yamain.command.build:quant:1 - goes on\n"
        "Traceback (most recent call last):\n  File b\nTypeError: fatal\n"
    )
    assert record.error is not None
    assert (record.error.exception, record.error.message) == ("TypeError", "fatal")


@pytest.mark.parametrize(
    "line",
    [
        *("Illegal instruction (core dumped)", "^C", "Aborted", "docker: invalid reference format."),
        *("Unable to find image 'pulsar2:7.0' locally", "No space left on device", "x: command not found"),
        *("pulsar2: error: no such option", "pulsar2 build: error: unrecognized arguments: -x"),
        *("Killed", "Segmentation fault", "x.sh: line 3: 41 Killed", "pulsar2: cannot execute binary file"),
        "Sentinel LDK Protection System: Sentinel key not found (H0007)",
    ],
)
def test_a_failure_without_an_exception_is_shown_as_it_is_printed(line: str) -> None:
    record = build(f"root@x:/data# pulsar2 build --config c\n{line}\n")
    assert record.error is not None
    assert (record.error.exception, record.error.message) == (None, line)


@pytest.mark.parametrize(
    ("raised", "name", "message"),
    [
        ("AssertionError", "AssertionError", None),
        ("KeyError: 'it\\'s'", "KeyError", "it's"),
        ("KeyError: '", "KeyError", "'"),
        ("ErrorCode.QuantError: OddThing(b'x')", "OddThing", "x"),
        ("ErrorCode.QuantError: KeyError('a\\tb')", "KeyError", "a\tb"),
        ("OddThing: why\nErrorCode.QuantError: OddThing()", "OddThing", "why"),
    ],
)
def test_the_message_of_an_exception_comes_without_its_quotes(
    raised: str, name: str, message: str | None
) -> None:
    record = build(f"{said('x')}Traceback (most recent call last):\n  File a\n{raised}\n")
    assert record.error is not None
    assert (record.error.exception, record.error.message) == (name, message)


FULL = "OSError: [Errno 28] No space left on device\n"


FAILED = f'Traceback (most recent call last):\n  File "<frozen yamain.main>", line 1, in f\n{FULL}'


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (FAILED, "[Errno 28] No space left on device"),
        ("Killed\n", "Killed"),
        (FAILED.replace("<frozen yamain.main>", "compare.py"), None),  # of another program
        ("root@f00d:/data# ./compare\nKilled\n", None),
        ("copied\nKilled\n", None),
    ],
)
def test_a_failure_of_its_own_right_after_the_success_line_takes_the_success_back(
    after: str, message: str | None
) -> None:
    record = build(FUSED + after)
    assert record.ok == (message is None)
    assert (record.error and record.error.message) == message


def test_a_message_at_level_error_explains_a_failure_and_is_a_warning_where_a_success_follows() -> None:
    record = build(error := said("the disk is worn", level="ERROR", at="2025-11-03 10:00:03.123"))
    assert record.error is not None and record.error.message == "the disk is worn"
    assert record.warnings == []
    record = build(error + FUSED)
    assert (record.ok, record.error, record.warnings) == (True, None, ["the disk is worn"])


def test_a_card_that_is_not_there_is_told_in_a_run() -> None:
    (record,) = parse(io.BytesIO(b"pi@rpi:~$ ./axcl_sample_classification -m a\nno device connected\n"))
    assert isinstance(record, BoardRun) and "PCIe bus" in record.errors[0]
