"""An ONNX file to look at: live in Netron where a browser can reach it, else as a table of its operators."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path

import netron
from IPython.display import IFrame


def netron_frame(path: Path, *, height: int = 560) -> IFrame | None:
    """A frame with the graph in Netron, or None where no browser could open it: draw the operator table then.

    Serves this one file, from memory, on a free loopback port, by a thread that ends with the kernel. A
    kernel under a plain Jupyter server is reached on localhost; one behind a hub through its proxy, if
    jupyter-server-proxy is there; one that papermill started has no browser.
    """
    environment = os.environ
    if "JPY_SESSION_NAME" not in environment:  # set by a Jupyter server, and by nothing else
        return None
    hub = environment.get("JUPYTERHUB_SERVICE_PREFIX")
    if hub and importlib.util.find_spec("jupyter_server_proxy") is None:
        return None
    host, port = netron.serve(path.name, path.read_bytes(), address=("127.0.0.1", 0), browse=False)
    address = f"{hub.rstrip('/')}/proxy/{port}/" if hub else f"http://{host}:{port}/"
    return IFrame(address, width="100%", height=height)


def operator_rows(graphs: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """Operator counts of several graphs side by side, most frequent first: `rows[operator][graph]`."""
    operators = {operator for counts in graphs.values() for operator in counts}
    ordered = sorted(operators, key=lambda op: [-counts.get(op, 0) for counts in graphs.values()])
    return {op: {name: counts.get(op, 0) for name, counts in graphs.items()} for op in ordered}
