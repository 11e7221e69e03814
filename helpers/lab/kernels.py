"""Kernels whose slow imports are done: each is a fork of one process that did them.

A chapter would spend about five seconds on torch, timm and the like, and `make tutorial` that twelve times.
"""

import os
import sys
from importlib.metadata import EntryPoint
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any

from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

# Of ours only what makes timm importable: the rest reads its environment when it is imported.
_SLOW = ["helpers.model.reference", "ipykernel.kernelapp", "matplotlib.figure", "onnxruntime", "onnxsim", "pandas"]


def import_once() -> None:
    """From here on this process's kernels are such forks; where a fork is not safe (macOS), nothing changes."""
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
        self.process = _Kernel(target=_run, args=(cmd[cmd.index("-f") :], os.getcwd(), kwargs["env"]))
        self.process.start()
        self.pid = self.pgid = self.process.pid
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
        os.kill(self.ident, number)


def _run(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()  # Ctrl-C is for the one who started it
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    IPKernelApp.launch_instance(arguments)
