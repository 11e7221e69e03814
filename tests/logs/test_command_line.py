"""Prompts and command lines: what counts as one, and what is read from it."""

import pytest

from helpers.logs.command_line import read_command


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("# sample_npu_classification -m a.axmodel -i b.jpg -r 10", "sample_npu_classification"),
        ("/root/sample # ./ax_classification -m a", "ax_classification"),
        ("root@board:/home/test# ./ax_yolov5s -m a -i b", "ax_yolov5s"),
        ("[root@board ~]# ax_run_model -m a", "ax_run_model"),
        ("(base) you@host:~/x$ time sudo ./axcl_run_model -m a", "axcl_run_model"),
        ("root@~# cd /opt && LD_LIBRARY_PATH=. ./ax_run_model -m a | tee log", "ax_run_model"),
        ("root@board:~# python3 -u demo/classification.py -m a", "classification.py"),
        ("root@board:~# python3 my_demo.py", "my_demo.py"),
        ("root@board:~# ./my_demo -m a", "my_demo"),
        ("you@host:~$ ssh root@board '/opt/bin/ax_run_model -m a -r 5'", "ax_run_model"),
        ("$ docker run --rm -v /x:/data pulsar2:5.1 pulsar2 build --config c", "pulsar2"),
        ("$ docker run --rm --entrypoint pulsar2 pulsar2:7.0 build --config c", "pulsar2"),
        ("root# pulsar2 version", "pulsar2"),
        ("+ ax_run_model -m a", "ax_run_model"),
        ("root@board:~# sudo -E ax_run_model -m a", "ax_run_model"),
        ("root@board:~# /usr/bin/time -v ./ax_run_model -m a", "ax_run_model"),
        ("root@board:~# strace -f -o trace ax_run_model -m a", "ax_run_model"),
        ("LD_LIBRARY_PATH=/lib:$LD_LIBRARY_PATH ./ax_run_model -m a", "ax_run_model"),
        ("PS C:\\Users\\you> ssh root@board ax_run_model -m a", "ax_run_model"),
        ("C:\\work>docker run --rm pulsar2:5.1 pulsar2 build --config c", "pulsar2"),
        ("./ax_classification -m a -i b", "ax_classification"),
        ("python3 classification.py", "classification.py"),
        ("root@board:~# ./run_all.sh", None),
        ("root@board:~# cat old.log", None),
        ("root@board:~#", None),
    ],
)
def test_a_command_line_names_its_program(line: str, program: str | None) -> None:
    command = read_command(line)
    assert command is not None
    assert command.program == program


@pytest.mark.parametrize(
    "line",
    [
        "# Block [1 / 51]: [['207'] -> ['211']]",
        "# Tuning Procedure : 100%|████| 50/50",
        "===>export io data to folder: out",
        "threshold=0.5 for $x -m",
        "use it as ax_run_model -m <model>",
        "C:\\work\\a.py:3: x > y -m",
        ">>> [0] start",
        "<frozen backend.normalize>:186: RuntimeWarning: divide by zero",
        "2024-09-25 11:45:26.533 | INFO     | yamain.command.build:quant:797 - save #1",
        "285:  9.8%,  Egyptian cat",
        "--------------------------------------",
        "Calibration Progress(Phase 1):   3%|▎         | 1/32",
        "",
    ],
)
def test_output_is_no_command_line(line: str) -> None:
    assert read_command(line) is None


def test_options_are_read_in_every_spelling() -> None:
    command = read_command("# ax_run_model -m a.axmodel -r10 --warmup=4 --batch 2 -v")
    assert command is not None
    assert command.option("-m", "--model") == "a.axmodel"
    assert command.option("-r", "--repeat") == "10"
    assert command.option("-w", "--warmup") == "4"
    assert command.option("-b", "--batch") == "2"
    assert command.option("-v", "--vnpu") is None
    assert command.option("-a", "--affinity") is None


def test_builds_and_simulations_are_told_apart() -> None:
    build = read_command("$ docker run --rm --entrypoint pulsar2 pulsar2:7.0 build --config c")
    simulation = read_command("root@x:/data# pulsar2 run --model a.axmodel --input_dir build")
    assert build is not None and build.is_build and not build.is_simulation
    assert simulation is not None and simulation.is_simulation and not simulation.is_build
