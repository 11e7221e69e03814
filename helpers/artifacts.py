"""The step: artifacts that are made once, pass their gate, say what they were made from, and are kept.

A step is a function that writes files into a folder. Around it stands what every step needs: it runs only if
its arguments, its inputs, the packages and the code that it uses are not those of the files already there;
one process at a time works in the folder; files appear whole and together, beside a `STEP.json` that vouches
for them. The JSON holds no dates and no absolute paths, so the same inputs give the same bytes.
"""

import ast
import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HELPERS = Path(__file__).parent
LOCK = ".lock"  # in every folder that a step works in
Facts = dict[str, Any]  # plain data, as JSON holds it


class GateFailed(RuntimeError):
    """An artifact does not pass its gate, so the next step may not start; what was there before stays."""


class Busy(RuntimeError):
    """Somebody else writes there; the message names the process."""


@dataclass(frozen=True)
class Made:
    """What a step left in `folder`: its files, what it found out (`facts`), and whether it had to work."""

    folder: Path
    facts: Facts
    remade: bool

    def path(self, name: str) -> Path:
        """The file of this name."""
        return self.folder / name


def step(
    name: str,
    out: Path,
    work: Callable[[Path], Facts],
    *,
    files: Sequence[str],
    arguments: Facts,
    inputs: Mapping[str, Path] | None = None,
    packages: Sequence[str] = (),
    code: str = "",
) -> Made:
    """Runs `work`, which writes `files` into the scratch folder that it gets and returns its facts.

    It runs only when `NAME.json` in `out` does not vouch for the files: they are kept while `arguments`, the
    contents of `inputs`, the versions of `packages` and the `code` (a module of helpers, else that of `work`,
    with all that it imports) are the same. Whatever `work` raises, nothing in `out` changes. Waits, and says
    so, while another process works in `out`.
    """
    report = out / f"{name}.json"
    made_from = ingredients(arguments, inputs or {}, packages, [code or work.__module__])
    new = not out.exists()
    with alone(out, wait=True):
        if (facts := kept(report, files, made_from)) is not None:
            return Made(out, facts, remade=False)
        for left in out.glob(f".{name}-*"):  # of a process that was killed: nobody else holds the lock
            shutil.rmtree(left, ignore_errors=True)
        try:
            with tempfile.TemporaryDirectory(dir=out, prefix=f".{name}-") as folder:
                scratch = Path(folder)
                facts = json.loads(json.dumps(work(scratch)))
                vouching = vouched(scratch, files, facts, made_from)
                (scratch / report.name).write_text(vouching, encoding="utf-8")
                for file in (*files, report.name):  # the report last: it vouches for the others
                    (scratch / file).replace(out / file)
        except BaseException:
            if new and [path.name for path in out.iterdir()] == [LOCK]:
                shutil.rmtree(out)  # nothing came of it: no trace is left
            raise
    return Made(out, facts, remade=True)


def ingredients(
    arguments: Facts, inputs: Mapping[str, Path], packages: Sequence[str], code: Sequence[str]
) -> Facts:
    """All that a result depends on: arguments, the inputs' contents, packages' versions, and code."""
    return {
        "arguments": json.loads(json.dumps(arguments)),  # tuples become lists, as they are read back
        "inputs": {key: file_hash(path) for key, path in inputs.items()},
        "packages": {package: _version(package) for package in packages},
        "code": code_hash(*code),
    }


def vouched(folder: Path, files: Sequence[str], facts: Facts, made_from: Facts) -> str:
    """What vouches for files in `folder`, as `kept` reads it."""
    hashes = {file: file_hash(folder / file) for file in files}
    return json.dumps({"made_from": made_from, "facts": facts, "sha256": hashes}, indent=1) + "\n"


def kept(report: Path, files: Sequence[str], made_from: Facts) -> Facts | None:
    """The facts of the files already there, if they were made from this and are still what they were."""
    try:
        said = json.loads(report.read_text(encoding="utf-8"))
        same = said["made_from"] == made_from and set(said["sha256"]) == set(files)
        if same and all(file_hash(report.parent / file) == said["sha256"][file] for file in files):
            return dict(said["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


_version = cache(importlib.metadata.version)  # it reads files each time


def file_hash(path: Path) -> str:
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_hash(*modules: str) -> str:
    """The SHA-256 of modules of helpers and of all that they import from helpers, docstrings left out.

    Read from the source, wherever in it an import stands; nothing is imported.
    """
    content = hashlib.sha256()
    for name, code in sorted(_reached(*modules).items()):
        content.update(f"{name}\n{code}\n".encode())
    return content.hexdigest()


def _reached(*modules: str) -> dict[str, str]:
    """The code of these modules and of all that they import from helpers."""
    found, left = dict[str, str](), list(modules)
    while left:
        if (name := left.pop()) not in found:
            found[name], more = _read(name)
            left += more
    return found


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Its code without docstrings, and the modules of helpers that it imports."""
    tree = ast.parse(_file(module).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
    return ast.dump(tree), imports(tree)


def imports(tree: ast.Module) -> tuple[str, ...]:
    """The modules of helpers that code imports: `from helpers.a import b` counts `b` if it is one."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{name.name}" for name in node.names] + [str(node.module)]
    return tuple(name for name in names if name.partition(".")[0] == HELPERS.name and _file(name).is_file())


def _file(module: str) -> Path:
    path = HELPERS.joinpath(*module.split(".")[1:])
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@contextmanager
def alone(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds `folder` for this process; while another has it, raises Busy, or with `wait` says so and waits.

    The system lets go of the lock when the process ends, however it ends: no lock is ever left behind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            told = f"process {file.read()} is at work in {folder.name}/"
            if not wait:
                raise Busy(f"{told}: wait until it has ended, or end it") from None
            print(f"{told}: waiting until it has ended", file=sys.stderr)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
