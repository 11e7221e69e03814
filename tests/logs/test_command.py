"""Prompts and command lines: what counts as one, and what is read from it."""

import pytest

from helpers.logs.command import joined, read_command


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("# sample_npu_classification -m a.axmodel -i b.jpg -r 10", "sample_npu_classification"),
        ("/root/sample # ./ax_classification -m a", "ax_classification"),
        ("root@board:/home/test# ./ax_yolov5s -m a -i b", "ax_yolov5s"),
        ("[root@board ~]# ax_run_model -m a", "ax_run_model"),
        ("(base) you@host:~/x$ time sudo ./axcl_run_model -m a", "axcl_run_model"),
        ("root@~# cd /opt && LD_LIBRARY_PATH=. ./ax_run_model -m a | tee log", "ax_run_model"),
        ("root@board:~# ax_run_model -m a; ./clean_up", "ax_run_model"),
        ("root@board:~# python3 -u demo/classification.py -m a", "classification.py"),
        ("root@board:~# python3 my_demo.py", "my_demo.py"),
        ("root@board:~# ./my_demo -m a", "my_demo"),
        ("you@host:~$ ssh root@board 'cd demo && /opt/bin/ax_run_model -m a -r 5'", "ax_run_model"),
        ("$ docker run --rm -v /x:/data pulsar2:5.1 pulsar2 build --config c", "pulsar2"),
        ("$ docker run --rm --entrypoint pulsar2 pulsar2:7.0 build --config c", "pulsar2"),
        ('$ docker run --rm pulsar2:7.0 bash -c "pulsar2 build --config c"', "pulsar2"),
        ("root# pulsar2 version", "pulsar2"),
        ("+ ax_run_model -m a", "ax_run_model"),  # set -x, as CI systems run scripts
        ("root@board:~# sudo -E ax_run_model -m a", "ax_run_model"),
        ("root@board:~# /usr/bin/time -v ./ax_run_model -m a", "ax_run_model"),
        ("LD_LIBRARY_PATH=/lib:$LD_LIBRARY_PATH ./ax_run_model -m a", "ax_run_model"),
        ("C:\\work>docker run --rm pulsar2:5.1 pulsar2 build --config c", "pulsar2"),
        ("./ax_classification -m a -i b", "ax_classification"),
        ("python3 classification.py", "classification.py"),
        ("root@board:~# ./run_all.sh", None),
        ("root@board:~# python3 -m pip install axengine", None),
        ("root@board:~# cat ax_run_model.log", None),
        ("root@board:~# ls /opt/bin/ax_run_model", None),
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
        "# ax_model_info a.axmodel",
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


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ('"my model.axmodel"', "my model.axmodel"),
        ("'my; model.axmodel'", "my; model.axmodel"),
        ("my\\ model.axmodel", "my model.axmodel"),
        ('"my.axmodel', "my.axmodel"),  # the quote that ends it is not in the text
        ("my.axmodel; ls", "my.axmodel"),
        ("my#1.axmodel # twice", "my#1.axmodel"),
    ],
)
def test_a_path_is_read_as_a_shell_reads_it(written: str, model: str) -> None:
    command = read_command(f"root@board:~# ax_run_model -m {written}")
    assert command is not None
    assert (command.program, command.option("-m")) == ("ax_run_model", model)


def test_a_command_line_goes_on_behind_a_backslash() -> None:
    text = [
        "root@board:~# ax_run_model \\",
        ">  -m a \\",
        "  -r 3",
        "not a command \\",
        "more",
        "# pulsar2 run \\",
    ]
    assert list(joined(iter(text))) == [
        "root@board:~# ax_run_model -m a -r 3",
        "not a command \\",
        "more",
        "# pulsar2 run ",
    ]


def test_builds_and_simulations_are_told_apart() -> None:
    build = read_command("$ docker run --rm --entrypoint pulsar2 pulsar2:7.0 build --config c")
    simulation = read_command("root@x:/data# pulsar2 run --model a.axmodel --input_dir build")
    assert build is not None and build.starts == "build"
    assert simulation is not None and simulation.starts == "simulation"
