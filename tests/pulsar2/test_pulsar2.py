"""Builds from end to end, against stand-in executables: native and docker, success, failure and interrupt."""

import json
import shutil
from pathlib import Path

import pytest
from pulsar2_stand_ins import BUILD_CONFIG, IMAGES, StandIns, failure, install, read, run

from helpers.pulsar2 import container, pulsar2

# --- find --------------------------------------------------------------------------------------------------


def test_the_native_tool_comes_first_unless_an_image_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins = install(tmp_path, native=True, images=IMAGES)
    monkeypatch.setenv("PATH", str(stand_ins.path))
    tool = pulsar2.find()
    assert (tool.program, tool.version, tool.image) == (str(stand_ins.path / "pulsar2"), "6.0", None)
    named = pulsar2.find("pulsar2:6.0-lite")
    assert (named.program, named.version) == (str(stand_ins.path / "docker"), "6.0-lite")


def test_a_native_tool_that_does_not_tell_its_version_is_still_found(
    native_pulsar2: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    native_pulsar2.set("behaviour", "mute")
    monkeypatch.setattr(pulsar2, "_VERSION_SECONDS", 0.3)
    assert pulsar2.find().version is None


def test_the_newest_image_is_taken(docker_pulsar2: StandIns) -> None:
    tool = pulsar2.find()
    assert tool.image == container.Image(
        "pulsar2:7.0", version="7.0", id="sha256:feed", entry_point=("bash",)
    )


@pytest.mark.parametrize(
    ("daemon", "image", "said"),
    [
        ("runs", "pulsar2:5.2", "No such image: pulsar2:5.2"),
        ("absent", None, "Cannot connect to the Docker daemon"),
        ("hangs", None, "did not answer within 0.5 s"),
    ],
)
def test_a_missing_tool_is_one_clear_sentence(
    docker_pulsar2: StandIns, monkeypatch: pytest.MonkeyPatch, daemon: str, image: str | None, said: str
) -> None:
    docker_pulsar2.set("daemon", daemon)
    if daemon == "hangs":
        monkeypatch.setattr(container, "PROBE_SECONDS", 0.5)
    with pytest.raises(pulsar2.Pulsar2Missing) as caught:
        pulsar2.find(image)
    message = str(caught.value)
    assert said in message and "docker load -i" in message and (image or "pulsar2:*") in message
    assert "\n" not in message


def test_no_docker_and_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pulsar2.Pulsar2Missing, match="`docker` is not on PATH"):
        pulsar2.find()
    monkeypatch.setenv("PATH", str(install(tmp_path, images={"ubuntu:24.04": None}).path))
    with pytest.raises(pulsar2.Pulsar2Missing, match="docker has no `pulsar2:"):
        pulsar2.find()


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker client here")
def test_a_real_docker_client_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").symlink_to(str(shutil.which("docker")))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    with pytest.raises(pulsar2.Pulsar2Missing, match=r"docker says: .*nowhere\.sock"):
        pulsar2.find()


# --- command -----------------------------------------------------------------------------------------------


def test_the_command_of_the_documented_image(tmp_path: Path) -> None:
    paths = {"onnx": tmp_path / "m.onnx", "config": tmp_path / "c.json", "output_dir": tmp_path / "output"}
    shown = pulsar2.command(pulsar2.DOCUMENTED, **paths, work=tmp_path)
    assert shown == [
        *("docker", "run", "--rm", "--name", "pulsar2-build", "--volume", f"{tmp_path}:/data"),
        *("--workdir", "/data", "--env", "COLUMNS=200", "--env", "PYTHONUNBUFFERED=1"),
        *("--entrypoint", "pulsar2", "pulsar2:7.0", "build", "--target_hardware", "AX650"),
        *("--input", "m.onnx", "--output_dir", "output", "--config", "c.json"),
    ]
    native = pulsar2.command(pulsar2.Tool("/opt/bin/pulsar2", "6.0"), **paths, work=tmp_path)
    assert native == ["/opt/bin/pulsar2", *shown[shown.index("build") :]]


@pytest.mark.parametrize("name", ["--entrypoint.onnx", "-x/m.onnx", "../m.onnx", "a\nb.onnx"])
def test_names_that_could_be_options_or_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"option|outside"):
        pulsar2.command(
            pulsar2.DOCUMENTED,
            onnx=tmp_path / name,
            config=tmp_path / "c.json",
            output_dir=tmp_path / "output",
            work=tmp_path,
        )


def test_a_hardware_or_image_that_could_be_an_option_is_refused(
    tmp_path: Path, docker_pulsar2: StandIns
) -> None:
    file = tmp_path / "x"
    with pytest.raises(ValueError, match="not the name of a chip"):
        pulsar2.command(
            pulsar2.DOCUMENTED,
            onnx=file,
            config=file,
            output_dir=file,
            work=tmp_path,
            hardware="--privileged",
        )
    with pytest.raises(ValueError, match="not the name of a docker image"):
        pulsar2.find("--privileged")


# --- build -------------------------------------------------------------------------------------------------


def test_a_native_build(native_pulsar2: StandIns, build_inputs: list[Path]) -> None:
    built = run(build_inputs)
    assert built.axmodel == build_inputs[0].parent / "built" / "output" / "compiled.axmodel"
    assert built.axmodel.is_file() and built.output == built.axmodel.parent
    assert built.versions == {"pulsar2": "7.0", "commit": "0123abcd"}  # the file's word beats `version`
    assert built.parsed == read(built.log) and "fuse 1 subgraph(s)" in built.parsed
    assert list(built.stage_seconds)[-3:] == ["schedule", "assemble", "done"]
    assert built.seconds == sum(built.stage_seconds.values()) > 0


@pytest.mark.parametrize("image", IMAGES)
def test_a_build_in_each_kind_of_image(
    docker_pulsar2: StandIns, build_inputs: list[Path], image: str
) -> None:
    tool = pulsar2.find(image)
    built = pulsar2.build(
        *build_inputs, build_inputs[0].parent / "built", parse=Path.exists, tool=tool, progress=False
    )
    assert built.parsed is True and built.axmodel.is_file()
    assert built.versions["image"] == image and built.versions["image_id"] == "sha256:feed"
    assert docker_pulsar2.containers() == [] and docker_pulsar2.calls("kill") == []
    config = json.loads((build_inputs[0].parent / "built" / "inputs" / "pulsar2.json").read_text())
    assert config["quant"]["input_configs"][0]["calibration_dataset"] == "inputs/images of cats.tar"


def test_the_bar_names_stages_and_counts(
    native_pulsar2: StandIns, build_inputs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    run(build_inputs, progress=True)
    assert "done: 100%" in capsys.readouterr().err


def test_an_output_name_in_the_configuration_is_kept(
    native_pulsar2: StandIns, build_inputs: list[Path]
) -> None:
    build_inputs[1].write_text(BUILD_CONFIG.replace('"npu_mode"', '"output_name": "m5.axmodel", "npu_mode"'))
    assert run(build_inputs).axmodel.name == "m5.axmodel"


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (
            "unsupported operator",
            "exit status 1: axnn.yamain.common.error.CodeException: (<ErrorCode.NPUBackend",
        ),
        ("no licence", "Sentinel key not found (H0007)"),
        ("out of memory", "was killed, most often for lack of memory: Killed"),
        ("no marker", "ended without its closing line"),
        ("no model", "left no compiled.axmodel"),
    ],
)
def test_a_failed_build_says_why(
    docker_pulsar2: StandIns, build_inputs: list[Path], behaviour: str, said: str
) -> None:
    stale = build_inputs[0].parent / "built" / "output" / "compiled.axmodel"
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier build")
    docker_pulsar2.set("behaviour", behaviour)
    failed = failure(build_inputs)
    assert failed.log is not None and failed.log.is_file()
    assert said in str(failed) and str(failed.log) in str(failed)
    assert failed.error_line and failed.error_line in read(failed.log)
    assert docker_pulsar2.containers() == []


def test_the_bash_entry_point_of_7_0_breaks_a_build_that_does_not_replace_it(
    docker_pulsar2: StandIns, build_inputs: list[Path]
) -> None:
    image = container.Image("pulsar2:7.0", version="7.0", id=None, entry_point=())
    with pytest.raises(pulsar2.BuildFailed, match="cannot execute binary file"):
        pulsar2.build(
            *build_inputs,
            build_inputs[0].parent / "built",
            parse=Path.exists,
            tool=pulsar2.Tool(str(docker_pulsar2.path / "docker"), "7.0", image),
            progress=False,
        )
