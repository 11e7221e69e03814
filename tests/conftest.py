"""What several test files need."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
from IPython.core.interactiveshell import InteractiveShell
from playwright.sync_api import Browser, sync_playwright

# Tests run side by side: more threads than cores only wait for each other. Notebook kernels inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["EFFICIENTVIT_CHECKPOINT"] = "random"  # whatever weights this machine has

import helpers.model.reference  # noqa: F401  declares torchvision's operators before any test imports timm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Chapters first: they take longest, and two workers then end together."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no Chromium on PATH: apt install chromium")
    quiet = "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet.split()]
        )
        yield launched
        launched.close()


@pytest.fixture
def shell() -> Iterator[None]:
    """`display` prints plain text unless a shell is there to take the data."""
    InteractiveShell.instance()
    yield
    InteractiveShell.clear_instance()


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """A context in which no file of this process or its children grows past so many bytes.

    It breaks off in the middle of writing as a full disk does, and needs no rights; the error is EFBIG, and
    that ENOSPC gets its sentence is tested in test_files.py.
    """

    @contextmanager
    def full(size: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return full
