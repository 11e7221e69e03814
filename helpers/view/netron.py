"""An ONNX file to look at in Netron, for a reader who asks for it."""

import atexit
import logging
import shutil
import tempfile
from pathlib import Path

import netron


def serve(path: Path) -> str:
    """Starts Netron's server on a copy of `path` and returns its address on this machine.

    It ends with this process. The copy lies alone in a folder, for Netron hands out all that lies beside its
    file. Netron's page asks ipinfo.io for the reader's country and reports to Google Analytics (netron 9.3.3,
    browser.js): start it for one who asked.
    """
    folder = Path(tempfile.mkdtemp(prefix="netron-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = shutil.copy(path, folder)
    logging.getLogger("netron.server").setLevel(logging.WARNING)  # it would tell the address on stderr
    host, port = netron.serve(str(copy), address=("127.0.0.1", 0))
    return f"http://{host}:{port}/"
