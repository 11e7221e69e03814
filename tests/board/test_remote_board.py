"""What a board may be called: nothing that ssh could take for an option."""

from pathlib import Path
from typing import Any

import pytest

from helpers.board.remote import Board

REFUSED: list[dict[str, Any]] = [
    *(
        {"host": host}
        for host in ("", "-oProxyCommand=touch x", "a b", "a;b", "a\n", "me@board", "$(x)", "h:22")
    ),
    *({"user": user} for user in ("", "-l", "a b", "a@b", "root\n", "$(x)")),
    *({"port": port} for port in (0, -1, 65_536)),
    *({"run_model": path} for path in ("-x", "./ax_run_model", "a b", "/a\nb", "/a\\b", "")),
    *({"classifier": path} for path in ("-x", "/a\x00b")),
    *({"folder": path} for path in ("tmp", "-x", "/tmp/$(x)", "/tmp/a b", "/tmp\n", "")),
    *({"identity": Path(path)} for path in ("/keys/%d", "/keys/${HOME}")),
    {"config": Path("a\nb")},
]


@pytest.mark.parametrize("values", REFUSED, ids=repr)
def test_what_could_be_misread_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"['\d] (is|names) no |cannot hold|would rewrite|does not exist"):
        Board(**({"host": "board"} | values))


@pytest.mark.parametrize("host", ["board", "192.168.1.9", "m4n-dock.lan", "my_alias", "::1", "fe80::1%eth0"])
def test_names_addresses_and_aliases_are_taken(host: str) -> None:
    assert Board(host=host, user="root").name == f"root@{host}"


def test_host_keys_are_left_to_the_user_and_nothing_is_asked() -> None:
    options = Board(host="board", identity=Path("-key"), config=Path("~/c")).options()
    assert "BatchMode=yes" in options
    assert not [word for word in options if "HostKey" in word or "KnownHosts" in word]
    assert options[-4:] == ["-F", str(Path.home() / "c"), "-i", str(Path.cwd() / "-key")]
