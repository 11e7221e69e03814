"""Kernels whose slow imports are done: each is a fork of one process that did them.

A chapter would spend about five seconds on torch, timm and the like, and `make tutorial` that twelve times.
"""

import os
import sys
from importlib.metadata import EntryPoint
from multiprocessing import forkserver, parent_process
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from threading import Thread
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

# Of ours only what makes timm importable: others read the environment when they are imported.
_SLOW = ["helpers.model.reference", "ipykernel.kernelapp"]
_SLOW += ["matplotlib.figure", "onnxruntime", "onnxsim", "pandas"]


def import_once() -> None:
    """From here on this process's kernels are such forks; where that is not safe (macOS), nothing changes."""
    if sys.platform != "linux":
        return
    forkserver.set_forkserver_preload(_SLOW)
    forkserver.ensure_running()
    factory = KernelProvisionerFactory.instance()
    factory.provisioners[__name__] = EntryPoint(__name__, f"{__name__}:Forked", "")
    factory.default_provisioner_name = __name__


class Forked(LocalProvisioner):
    """Starts and stops such a kernel for Jupyter."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        kernel = _Kernel(target=_run, args=(cmd[cmd.index("-f") :], Path.cwd(), kwargs["env"]))
        kernel.start()
        self.process, self.pid, self.pgid = kernel, kernel.pid, kernel.pid  # type: ignore[assignment]
        return self.connection_info


class _Kernel(ForkServerProcess):
    """With what Jupyter asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self) -> int | None:
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)  # type: ignore[arg-type]


def _run(arguments: list[str], folder: Path, environment: dict[str, str]) -> None:
    import pandas
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # Ctrl-C is for the one who started it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    pandas.set_option("display.max_columns", 20)  # it took the process without a notebook for a terminal
    for name in ("tqdm.auto", "tqdm.autonotebook"):  # and so did what came with timm
        sys.modules.pop(name, None)
    Thread(target=_end_with_the_parent, daemon=True).start()
    IPKernelApp.launch_instance(arguments)


def _end_with_the_parent() -> None:
    parent_process().join()  # type: ignore[union-attr]  # not the one it is a fork of
    os._exit(1)
