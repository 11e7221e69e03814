"""The whole way as one command, with stand-ins for the compiler and the board."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import far_side
import onnx
import pulsar2_stand_ins
import pytest
from small_graphs import graph, node

from helpers import artifacts, chain
from helpers.__main__ import COMMANDS, PARSER, SWEEPS, main
from helpers.chain import STEPS
from helpers.graph.graph import load
from helpers.lab.tasks import speeds
from helpers.pulsar2 import archive
from helpers.pulsar2.rehearse import preprocessing_of, rehearse
from helpers.quant import NoRule

MADE = {
    "export": ("model.onnx", "model-sim.onnx", "export.json"),
    "calibrate": ("calibration.tar", "calibration.json"),
    "rehearse": ("model-int8.onnx", "rehearsal.json"),
    "configure": ("pulsar2.json", "configuration.json"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a first call leaves."""
    folder = tmp_path_factory.mktemp("chain") / "out"
    assert deploy(folder, "--until", "preflight") == 0
    return folder


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Puts onto an otherwise empty PATH what the test names."""

    def only(*, native: bool = False) -> Path:
        found = pulsar2_stand_ins.install(tmp_path / "tools", native=native).path
        monkeypatch.setenv("PATH", str(found))
        return found

    return only


def deploy(out: Path, *more: str) -> int:
    return main(["deploy", "--model", "efficientvit_m0", "--checkpoint", "random", "--out", str(out), *more])


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for files in MADE.values() for name in files}


def test_a_second_call_remakes_nothing_and_needs_no_torch(out: Path):
    before = bytes_of(out)
    script = (
        "import sys; from helpers.__main__ import main; status = main(sys.argv[1:]); "
        "sys.exit(status or 10 * len({'torch', 'onnxruntime', 'timm', 'onnxsim'} & sys.modules.keys()))"
    )
    arguments = ["deploy", "--model", "efficientvit_m0", "--checkpoint", "random", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--until", "preflight"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(STEPS[:5])
    assert [line.split()[1] for line in lines] == ["kept"] * 4 + ["read"]
    assert Path(last) == out / "pulsar2.json"
    assert bytes_of(out) == before
    assert all(str(out) not in text.decode(errors="ignore") for text in before.values())


def test_another_setting_remakes_its_step_and_no_other(
    out: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    copy = shutil.copytree(out, tmp_path / "out")
    assert deploy(copy, "--npu-mode", "NPU3", "--until", "configure") == 0
    made = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " made " in line]
    assert made == ["configure"]
    assert json.loads((copy / "pulsar2.json").read_text())["npu_mode"] == "NPU3"
    assert deploy(copy, "--batch", "8", "--until", "preflight") == 0  # of the same graph and rehearsal
    made = [line.split()[0] for line in capsys.readouterr().out.splitlines() if " made " in line]
    assert made == ["configure"]
    assert json.loads((copy / "pulsar2.json").read_text())["compiler"]["static_batch_sizes"] == [8]


@pytest.mark.parametrize(
    ("model", "more"), [("timm/test_resnet", []), ("efficientvit_m0", ["--image-size", "256"])]
)
def test_another_network_and_another_size_go_the_same_way(model: str, more: list[str], tmp_path: Path):
    arguments = ["--model", model, "--checkpoint", "random", "--out", str(tmp_path), *more]
    assert main(["deploy", *arguments, "--until", "preflight"]) == 0
    fed = preprocessing_of(load(tmp_path / "model-sim.onnx"))
    assert fed.size == (256 if more else 160) and fed.short_side > 160
    assert archive.pictures(tmp_path / "calibration.tar", fed, 1)[0].shape == (1, 3, fed.size, fed.size)


def test_without_tools_it_goes_as_far_as_it_can(
    out: Path, tools: Callable[..., Path], capsys: pytest.CaptureFixture[str]
):
    tools()
    assert deploy(out) == 0
    told = capsys.readouterr()
    assert Path(told.out.splitlines()[-1]) == out / "pulsar2.json"
    assert "pulsar2 build --target_hardware AX650" in told.err
    assert deploy(out, "--until", "build") == 1
    assert deploy(out, "--host", "my-board") == 1


@pytest.mark.parametrize(
    "wrong",
    [["--until", "lunch"], ["--batch", "0"], ["--checkpoint", "nowhere.pth"], ["--host=-oProxyCommand=x"]],
)
def test_wrong_arguments_are_refused_before_anything_is_made(wrong: list[str], tmp_path: Path):
    assert deploy(tmp_path / "out", *wrong) == 2
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"board_input": "grb"}, {"npu_mode": "NPU4"}])
def test_the_library_refuses_before_any_work_what_the_command_does_not_offer(
    wrong: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(artifacts, "step")
    with pytest.raises(ValueError, match="|".join(wrong.values())):
        next(chain.deploy("efficientvit_m0", tmp_path / "out", checkpoint="random", **wrong))


def test_a_graph_that_cannot_be_rehearsed_goes_on_without(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(*_: object) -> None:
        raise NoRule("no rule says how Mish rounds")

    copy = shutil.copytree(out, tmp_path / "copy")
    monkeypatch.setattr(chain, "rehearse", refuse)
    assert deploy(copy, "--until", "preflight") == 0
    assert "left out: no rule says how Mish rounds" in capsys.readouterr().out


def test_a_graph_that_another_process_has_replaced_is_not_compiled(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    copy = shutil.copytree(out, tmp_path / "copy")
    monkeypatch.setattr(chain, "preflight", lambda graph, *_: graph.write_bytes(b"other") and [])
    assert deploy(copy, "--until", "preflight") == 1
    assert "a folder of its own" in capsys.readouterr().err


@pytest.mark.parametrize("shape", [[1, 1, 8, 8], [1, 3, 8, 9], [1, 8, 8, 3]])
def test_a_graph_of_other_inputs_is_not_rehearsed(shape: list[int], out: Path, tmp_path: Path):
    onnx.save(graph(node("Relu"), shape=shape, out=shape), tmp_path / "own.onnx")
    with pytest.raises(ValueError, match="its inputs are"):
        rehearse(tmp_path / "own.onnx", out / "calibration.tar", tmp_path, config=out / "pulsar2.json")


def test_it_ends_in_a_row_of_the_board(
    out: Path, tools: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if far_side.SSHD is None:
        pytest.skip("there is no sshd here: install openssh-server to test runs on a board")
    copy = shutil.copytree(out, tmp_path / "out")
    ssh = shutil.which("ssh")
    with far_side.started(tmp_path) as far:
        far.fresh()
        path = tools(native=True)
        wrapped = f'#!/bin/sh\nexec {ssh} -F {far.root}/ssh_config -p {far.port} "$@"\n'
        (path / "ssh").write_text(wrapped)
        (path / "ssh").chmod(0o755)
        host = f"{far_side.USER}@127.0.0.1"
        assert deploy(copy, "--host", host) == 0
        *lines, last = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == list(STEPS)
        assert "8 images in 1.052 ms, 7,605 images/s, engine NPU" in lines[-1]  # what the stand-in prints
        calls = len(far.calls())
        assert deploy(copy, "--host", host) == 0
        assert len(far.calls()) == calls, "nothing is run again"
        shutil.copytree(copy, tmp_path / "deploy" / "efficientvit_m0-NPU1-1")
        task = speeds(["efficientvit_m0"], npu_mode=["NPU1"], batch=[1], host=[host], checkpoint="random")[-1]
        row = chain.row(tmp_path / "tasks" / "key", task.inputs, **task.arguments)
        assert (row["engine"], row["device"], task.alone) == ("NPU", host, host)
        assert row["fps"] == pytest.approx(8000 / row["ms"]) and row["ms"] == 1.052
    assert main(["parse-log", last]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()[-2:]]
    assert {row["program"] for row in rows} == set(far_side.PROGRAMS)
    assert (copy / "compiled.axmodel").is_file() and (copy / "build" / "build.log").is_file()


def test_a_failed_build_is_told_and_keeps_its_log(
    out: Path, tools: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    copy = shutil.copytree(out, tmp_path / "out")
    tools(native=True)
    (tmp_path / "tools" / "state" / "behaviour").write_text("unsupported operator")
    assert deploy(copy) == 1
    assert "build.log" in capsys.readouterr().err
    assert (copy / "build" / "build.log").is_file() and not (copy / "compiled.axmodel").exists()


@pytest.mark.parametrize("command", COMMANDS.choices)
def test_each_command_shows_an_example_that_it_takes(command: str):
    for made in SWEEPS.choices.values() if command == "sweep" else [COMMANDS.choices[command]]:
        shown, _, example = str(made.epilog).partition(" python -m helpers ")
        assert shown == "example:" and f"python -m helpers {example}".startswith(made.prog)
        assert PARSER.parse_args(example.split()).run


def test_the_commands_of_the_steps_leave_what_deploy_leaves(out: Path, tmp_path: Path):
    """Each by itself, one after the other."""
    graph, archive = str(tmp_path / "model-sim.onnx"), str(tmp_path / "calibration.tar")
    shutil.copytree(out, tmp_path, dirs_exist_ok=True)
    for name in ("calibration", "rehearsal", "configuration"):
        (tmp_path / f"{name}.json").unlink()
    to = ["--out", str(tmp_path)]
    assert main(["calibrate", "--onnx", graph, *to]) == 0
    assert main(["rehearse", "--onnx", graph, "--calibration", archive, *to]) == 0
    assert main(["configure", "--onnx", graph, "--calibration", archive, *to]) == 0
    assert bytes_of(tmp_path) == bytes_of(out)


def test_chip_and_batches_can_be_said_where_the_configuration_is_made(out: Path, tmp_path: Path):
    files = ["--onnx", str(out / "model-sim.onnx"), "--calibration", str(out / "calibration.tar")]
    asked = ["--target-hardware", "AX620E", "--npu-mode", "NPU2", "--static-batch-sizes", "1", "8"]
    assert main(["configure", *files, "--out", str(tmp_path), *asked]) == 0
    written = json.loads((tmp_path / "pulsar2.json").read_text())
    assert (written["target_hardware"], written["npu_mode"]) == ("AX620E", "NPU2")
    assert written["compiler"]["static_batch_sizes"] == [1, 8]
    both = [*asked, "--max-dynamic-batch-size", "8"]
    assert main(["configure", *files, "--out", str(tmp_path / "no"), *both]) == 2
    assert deploy(tmp_path / "no", "--max-dynamic-batch-size", "8", "--static-batch-sizes", "1", "8") == 2
    assert deploy(tmp_path / "no", "--static-batch-sizes", "1", "4", "--batch", "8") == 2
    assert not (tmp_path / "no").exists()


def test_a_rehearsal_of_another_graph_gives_no_16_bits(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    graph = out / "model-sim.onnx"
    files = ["--onnx", str(graph), "--calibration", str(out / "calibration.tar"), "--out", str(tmp_path)]
    entry = {"op_types": ["Add"], "data_type": "U16"}
    for of, taken in ((artifacts.file_hash(graph), [entry]), ("another's", [])):
        said = {"made_from": {"inputs": {"onnx": of}}, "facts": {"layer_configs": [entry]}}
        (tmp_path / "rehearsal.json").write_text(json.dumps(said))
        assert main(["configure", *files]) == 0
        assert json.loads((tmp_path / "pulsar2.json").read_text())["quant"].get("layer_configs", []) == taken
    assert "is of another graph" in capsys.readouterr().err


def test_the_processors_own_mean_counts_before_that_of_the_calibration(out: Path, tmp_path: Path):
    written = json.loads((out / "pulsar2.json").read_text())
    written["input_processors"][0]["mean"] = [1.0, 2.0, 3.0]
    (tmp_path / "own.json").write_text(json.dumps(written))
    fed = preprocessing_of(load(out / "model-sim.onnx"), tmp_path / "own.json")
    assert fed.mean == (1, 2, 3)
    assert list(fed.std) == written["quant"]["input_configs"][0]["calibration_std"]
