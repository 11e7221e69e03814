"""One writer at a time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.lab.lock import Busy, alone

HOLDER = """
import sys, time
from pathlib import Path
from helpers.lab.lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_the_second_is_told_who_is_first_and_a_killed_one_leaves_no_lock(tmp_path: Path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        try:
            assert first.stdout.readline() == b"held\n"
            told = rf"^process {first.pid} is at work in {re.escape(tmp_path.name)}/: wait"
            with pytest.raises(Busy, match=told), alone(tmp_path):
                pass
        finally:
            first.kill()
    with alone(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    with alone(tmp_path):
        pass
