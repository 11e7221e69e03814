"""An ONNX file to look at: live in Netron where a browser can reach it, else as a table of its operators."""

import importlib.util
import json
import os
from collections.abc import Mapping
from pathlib import Path

from IPython.display import IFrame
from jupyter_core.paths import jupyter_runtime_dir

from helpers.view import browser, netron_server

_PROXY = "jupyter_server_proxy"


def netron_frame(path: Path, *, height: int = 560) -> IFrame | None:
    """A frame with the graph in Netron, or None where no browser could open it: draw the operator table then.

    Serves this one file, on a free loopback port, by a thread that ends with the kernel. The browser reaches
    it on localhost under a Jupyter server of this machine, through jupyter-server-proxy under one that is
    behind a hub, a prefix or a container's port; a kernel that papermill started has no browser.
    """
    if not browser.can_answer():
        return None
    prefix = _prefix()
    if prefix and importlib.util.find_spec(_PROXY) is None:
        return None
    port = netron_server.serve(path.resolve(strict=True))
    address = f"{prefix}proxy/{port}/" if prefix else f"http://{netron_server.LOOPBACK}:{port}/"
    return IFrame(address, width="100%", height=height)


def _prefix() -> str | None:
    """The path under which a browser finds the Jupyter server; None for a plain one on this machine.

    A hub says it in the environment, a server in the file that it keeps in Jupyter's runtime folder.
    """
    if hub := os.environ.get("JUPYTERHUB_SERVICE_PREFIX"):
        return f"{hub.rstrip('/')}/"
    described = Path(jupyter_runtime_dir()) / f"jpserver-{os.environ.get('JPY_PARENT_PID')}.json"
    if not described.is_file():
        return None
    server = json.loads(described.read_text(encoding="utf-8"))
    local = server["base_url"] == "/" and server["hostname"] in ("localhost", "127.0.0.1", "::1")
    return None if local else str(server["base_url"])


def operator_rows(graphs: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """Operator counts of several graphs side by side, most frequent first: `rows[operator][graph]`."""
    operators = {operator for counts in graphs.values() for operator in counts}
    ordered = sorted(operators, key=lambda op: [-counts.get(op, 0) for counts in graphs.values()])
    return {op: {name: counts.get(op, 0) for name, counts in graphs.items()} for op in ordered}
