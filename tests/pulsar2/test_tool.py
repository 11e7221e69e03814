"""Which Pulsar2 is found, and what is said within seconds where there is none."""

from pathlib import Path

import pytest
from pulsar2_stand_ins import IMAGES, PATIENCE, StandIns, install

from helpers.pulsar2 import tool
from helpers.pulsar2.tool import Pulsar2Missing, Tool, find_tool, newest


def test_the_native_tool_comes_first_unless_an_image_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_ins = install(tmp_path, native=True, images=IMAGES)
    monkeypatch.setenv("PATH", str(stand_ins.path))
    assert find_tool() == Tool(str(stand_ins.path / "pulsar2"), "6.0")
    docker = str(stand_ins.path / "docker")
    assert find_tool("pulsar2:6.0-lite") == Tool(docker, "6.0-lite", "pulsar2:6.0-lite")
    (stand_ins.path / "pulsar2").unlink()
    assert find_tool() == Tool(docker, "7.0", "pulsar2:7.0")


def test_a_native_tool_that_does_not_tell_its_version_is_still_found(
    native_pulsar2: StandIns, monkeypatch: pytest.MonkeyPatch
) -> None:
    native_pulsar2.set("behaviour", "mute")
    monkeypatch.setattr(tool, "PROBE_SECONDS", 0.2)
    assert find_tool().version is None


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["pulsar2:9.1", "pulsar2:10.0", "pulsar2:4.2"], "pulsar2:10.0"),  # numbers, not text
        (["pulsar2:7.0", "pulsar2:7.0-patch1", "pulsar2:7.0-lite"], "pulsar2:7.0-patch1"),
        (["pulsar2:7.0-lite", "pulsar2:7.0"], "pulsar2:7.0"),
        (["pulsar2:1.9_enc", "pulsar2:temp-58aa62e4", "notpulsar2:8.0", "pulsar2:<none>"], "pulsar2:1.9_enc"),
        (["pulsar2:latest", "ubuntu:24.04"], None),
    ],
)
def test_the_newest_release(images: list[str], expected: str | None) -> None:
    assert newest(images) == newest(images[::-1]) == expected


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
    monkeypatch.setattr(tool, "PROBE_SECONDS", 0.5 if daemon == "hangs" else PATIENCE)
    with pytest.raises(Pulsar2Missing) as caught:
        find_tool(image)
    message = str(caught.value)
    assert said in message and "docker load -i" in message and (image or "pulsar2:*") in message
    assert "\n" not in message


def test_no_docker_and_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Pulsar2Missing, match="`docker` is not on PATH"):
        find_tool()
    monkeypatch.setenv("PATH", str(install(tmp_path, images=["ubuntu:24.04"]).path))
    with pytest.raises(Pulsar2Missing, match="docker has no `pulsar2:"):
        find_tool()
