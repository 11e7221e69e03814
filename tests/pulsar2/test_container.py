"""Images and their releases; what a container is started with; one that docker cannot be asked about."""

from pathlib import Path

import pytest
from pulsar2_stand_ins import install

from helpers.pulsar2 import container


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["pulsar2:5.2", "pulsar2:6.0", "pulsar2:4.2"], "pulsar2:6.0"),
        (["pulsar2:9.1", "pulsar2:10.0"], "pulsar2:10.0"),  # numbers, not text
        (["pulsar2:7.0-lite", "pulsar2:7.0"], "pulsar2:7.0"),
        (["pulsar2:7.0", "pulsar2:7.0-patch1", "pulsar2:7.0-lite"], "pulsar2:7.0-patch1"),
        (["pulsar2:1.9_enc", "pulsar2:temp-58aa62e4", "notpulsar2:8.0", "pulsar2:<none>"], "pulsar2:1.9_enc"),
        (["pulsar2:latest", "ubuntu:24.04"], None),
        ([], None),
    ],
)
def test_the_newest_release(images: list[str], expected: str | None) -> None:
    assert container.newest(images) == expected
    assert container.newest(images[::-1]) == expected


@pytest.mark.parametrize(
    ("entry_point", "replaced"),
    [(("bash",), True), (("/bin/bash", "-l"), True), ((), False), (("/opt/nvidia/entrypoint.sh",), False)],
)
def test_a_shell_as_entry_point_is_replaced(entry_point: tuple[str, ...], replaced: bool) -> None:
    image = container.Image("pulsar2:7.0", version="7.0", id=None, entry_point=entry_point)
    command = container.run_command(
        "docker", image, ["build"], work=Path("/work folder"), name="n", environment={}
    )
    end = (
        ["--entrypoint", "pulsar2", "pulsar2:7.0", "build"]
        if replaced
        else ["pulsar2:7.0", "pulsar2", "build"]
    )
    assert command == [
        *("docker", "run", "--rm", "--name", "n", "--volume", "/work folder:/data", "--workdir", "/data"),
        *end,
    ]


def test_a_folder_that_docker_cannot_mount_is_refused() -> None:
    image = container.Image("pulsar2:7.0", version="7.0", id=None, entry_point=("bash",))
    with pytest.raises(ValueError, match="colon"):
        container.run_command("docker", image, [], work=Path("/a:b"), name="n", environment={})


def test_a_container_that_may_still_run_is_named(tmp_path: Path) -> None:
    stand_ins = install(tmp_path, images={})
    stand_ins.set("daemon", "absent")
    with pytest.warns(UserWarning, match="docker rm --force build-1"):
        container.stop(str(stand_ins.path / "docker"), "build-1")


def test_files_that_are_the_callers_already_stay_as_they_are(tmp_path: Path) -> None:
    stand_ins = install(tmp_path, images={"pulsar2:7.0": ["bash"]})
    image = container.Image("pulsar2:7.0", version="7.0", id=None, entry_point=("bash",))
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "compiled.axmodel").touch()
    container.hand_back(str(stand_ins.path / "docker"), image, folder=tmp_path / "output", name="n")
    assert stand_ins.calls("run") == []
