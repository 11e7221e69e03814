"""What ssh and scp say when they fail, and what to do about it: one sentence each."""

import re
from pathlib import Path


class BoardError(RuntimeError):
    """The board could not be used; the message says what to do next. `log`: what came before, if anything."""

    def __init__(self, sentence: str, *, log: Path | None = None) -> None:
        self.sentence = sentence
        self.log = log if log is not None and log.is_file() else None
        super().__init__(f"{sentence} (log so far: {self.log})" if self.log else sentence)


# Searched in order in ssh's messages (OpenSSH 8 and 9). {login}: the arguments that reach the board by hand.
_LINK_FAILURES = tuple(
    (re.compile(pattern), sentence)
    for pattern, sentence in (
        (
            r"IDENTIFICATION HAS CHANGED",
            "the host key of {name} is not the one in known_hosts: if the board was set up anew, compare the "
            "fingerprint with the one on its console, remove the old entry ({forget}) and log in once by "
            "hand (ssh {login}); if it was not, something else answers at this address",
        ),
        (
            r"Host key verification failed|No \S+ host key is known",
            "the host key of {name} is not known here: log in once by hand (ssh {login}), and compare the "
            "fingerprint with the one on the board's console before you accept it",
        ),
        (
            r"UNPROTECTED PRIVATE KEY FILE",
            "ssh does not use a private key that others can read: take their rights away with chmod 600",
        ),
        (
            r"Bad configuration option|Can't open user config file|Bad owner or permissions|terminating, \d",
            "ssh does not take its configuration{why}: correct it, or name another with Board(config=…)",
        ),
        (
            r"Permission denied \(|Too many authentication failures",
            "{name} does not let this key or user in: put your key there with ssh-copy-id {login}, load a "
            "key that has a passphrase with ssh-add, or name the right one with Board(user=…, identity=…)",
        ),
        (
            r"Could not resolve hostname",
            "no host {host} is known: check the name, or give the board's address",
        ),
        (
            r"Connection refused",
            "nothing answers at the ssh port of {name}: check the port, and that sshd runs on the board",
        ),
        (
            r"connect to host .*(?:timed out|No route to host|unreachable)|timed out during banner",
            "{name} cannot be reached{why}: check that it is on and in this network",
        ),
    )
)
_LOST = "the link to {name} was lost{why}: check the network and that the board is up, then run it again"


def link_sentence(name: str, port: int | None, said: str) -> str:
    """What ssh's messages mean; a lost link where they tell nothing else."""
    return known_link_sentence(name, port, said) or _filled(_LOST, name, port, said)


def known_link_sentence(name: str, port: int | None, said: str) -> str | None:
    """The same for messages that may also be about something other than the link: None where they are."""
    for pattern, sentence in _LINK_FAILURES:
        if pattern.search(said):
            return _filled(sentence, name, port, said)
    return None


def _filled(sentence: str, name: str, port: int | None, said: str) -> str:
    host = name.rpartition("@")[2]
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return sentence.format(
        name=name,
        host=host,
        login=f"-p {port} {name}" if port else name,
        forget=f"ssh-keygen -R '[{host}]:{port}'" if port and port != 22 else f"ssh-keygen -R {host}",
        why=f" ({lines[-1]})" if lines else "",
    )
