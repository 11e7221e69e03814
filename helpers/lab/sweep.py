"""Many tasks, one table: each is done once, wherever a worker is free, and its row stays when others fail.

A task is a function's name and plain data. Its key is a fingerprint of all that its row depends on, so a
second call does what is left, and a worker with other code refuses. One process, the driver, writes the
table; workers are threads of an executor (`helpers.lab.worker`), here or on a Dask cluster.
"""

import hashlib
import json
import queue
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from helpers import artifacts
from helpers.artifacts import Facts
from helpers.files import BUILD
from helpers.lab import worker

FOLDER = BUILD / "sweep"  # where nobody names another
LIMIT_S = 4 * 3600.0
LOSSES = 2  # a task whose worker was lost is done again as often
AT_ONCE = 1000  # tasks that a cluster's scheduler gets at once
ANSWER_S = 10  # seconds that a scheduler has to answer


class SweepError(RuntimeError):
    """A table or a cluster that cannot be used; rows that are in the table stay."""


@dataclass(frozen=True)
class Task:
    """`work` ("module:function") called with a folder of its own, `inputs` and `arguments`: its row.

    Of two rows of one `name` the newer stays. `code`: further modules that the row depends on; `alone`: of
    the tasks with this word, such as a board's name, only one runs at a time.
    """

    name: str
    work: str
    arguments: Facts
    inputs: Mapping[str, Path] = field(default_factory=dict)
    packages: Sequence[str] = ()
    code: Sequence[str] = ()
    alone: str = ""

    @cached_property
    def request(self) -> Facts:
        """What a worker gets, less its folder. Raises what a missing input or package raises."""
        code = [self.work.partition(":")[0], *self.code]
        inputs = {name: str(path.resolve()) for name, path in self.inputs.items()}
        made_from = artifacts.ingredients(self.arguments, self.inputs, self.packages, code)
        plain = {"work": self.work, "arguments": self.arguments, "packages": [*self.packages], "code": code}
        return plain | {"inputs": inputs, "made_from": made_from}

    @cached_property
    def key(self) -> str:
        """The fingerprint: SHA-256 of the work's name and of what its row is made from."""
        told = json.dumps([self.work, self.request["made_from"]], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()


@dataclass(frozen=True)
class Row:
    """One task in the table; `row` is empty where it failed, and `sentence` says why."""

    key: str
    name: str
    work: str
    arguments: Facts
    state: str
    row: Facts
    sentence: str
    seconds: float
    worker: str
    attempts: int
    engine: str


_COLUMNS = [column.name for column in fields(Row)]


@dataclass(frozen=True)
class Engine:
    """Where tasks run: in words, how many may wait or run there, and what opens its executor."""

    words: str
    at_once: int
    open: Callable[[], AbstractContextManager[Executor]]


def processes(count: int = 1) -> Engine:
    """So many processes of this machine. Raises ValueError below one."""
    if count < 1:
        raise ValueError(f"--workers {count}: give 1 or more")
    return Engine(f"{count} of this machine's processes", count, partial(worker.threads, count))


def dask(address: str) -> Engine:
    """The workers of the Dask cluster at `address`, which have the same checkout and packages."""
    return Engine(f"Dask at {address}", AT_ONCE, partial(_cluster, address))


def sweep(
    tasks: Sequence[Task], folder: Path = FOLDER, *, engine: Engine | None = None, limit_s: float = LIMIT_S
) -> list[Row]:
    """Does those of `tasks` that no row says are done, and returns the rows of all, in their order.

    A failure is a row with its sentence; a call that was interrupted, even killed, keeps every row there is.
    What a task makes is in `tasks/KEY` in `folder`. Raises Busy while another sweep has the folder,
    SweepError, and before any task starts what a task's missing input raises.
    """
    if len({task.name for task in tasks}) < len(tasks):
        raise ValueError("two tasks of a sweep have one name: give each value once")
    keys = [task.key for task in tasks]  # the fingerprints of all: what cannot be read is told now
    engine = engine or processes()
    with artifacts.alone(folder), _table(folder) as table:
        done = {row.key for row in _rows(table) if row.state == worker.DONE}
        if left := [task for task in tasks if task.key not in done]:
            bar = tqdm(total=len(left), desc="sweep", unit="task", smoothing=0)
            with bar, engine.open() as executor:
                for row in _driven(left, folder.resolve(), engine, executor, limit_s, bar):
                    _write(table, row)
        rows = {row.key: row for row in _rows(table)}
    return [rows[key] for key in keys]


def read(folder: Path = FOLDER) -> list[Row]:
    """The rows of a table by name, also of one that is being written; none where there is no table."""
    if not (folder / "sweep.sqlite").is_file():
        return []
    with _table(folder) as table:
        return _rows(table)


def _driven(
    left: list[Task], folder: Path, engine: Engine, executor: Executor, limit_s: float, bar: "tqdm[Any]"
) -> Iterator[Row]:
    """A row when a task has ended for good; those whose word is taken wait, and others pass them."""
    running: dict[Future[Facts], Task] = {}
    ended, attempts = queue.SimpleQueue[Future[Facts]](), Counter[str]()
    failed = 0
    while left or running:
        for task in [*left]:
            if len(running) >= engine.at_once:
                break
            if task.alone and task.alone in {other.alone for other in running.values()}:
                continue
            left.remove(task)
            attempts[task.key] += 1
            request = task.request | {"out": str(folder / "tasks" / task.key[:16])}
            running[future := executor.submit(worker.perform, request, limit_s)] = task
            future.add_done_callback(ended.put)
        task = running.pop(future := ended.get())
        try:
            answer = future.result()
        except (Exception, CancelledError) as error:  # the executor's own: it lost the worker
            if type(error).__name__ == "KilledWorker":  # and tried again itself
                attempts[task.key] += LOSSES
            answer = {"state": worker.LOST, "sentence": f"its worker was lost ({type(error).__name__})"}
        if answer["state"] == worker.LOST:
            if attempts[task.key] <= LOSSES:
                left.append(task)
                continue
            answer |= {"state": worker.FAILED, "sentence": f"{answer['sentence']}, {LOSSES + 1} times"}
        failed += answer["state"] == worker.FAILED
        found: Facts = {"row": {}, "sentence": "", "seconds": 0.0, "worker": ""} | answer
        found |= {"key": task.key, "name": task.name, "work": task.work, "arguments": task.arguments}
        yield Row(**found, attempts=attempts[task.key], engine=engine.words)
        bar.update()
        waiting = len(left) + len(running)
        ends = time.localtime(time.time() + waiting * bar.format_dict["elapsed"] / bar.n)
        bar.set_postfix_str(f"{failed} failed, {waiting} left, ends about {time.strftime('%H:%M', ends)}")


@contextmanager
def _table(folder: Path) -> Iterator[sqlite3.Connection]:
    """SQLite's write-ahead log: a row is in it whole or not, and readers need not wait for the writer."""
    path = folder / "sweep.sqlite"
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as table:
            table.execute("PRAGMA journal_mode = WAL")
            table.execute("PRAGMA synchronous = NORMAL")  # only a power cut may cost the last rows
            table.execute(f"CREATE TABLE IF NOT EXISTS tasks ({', '.join(_COLUMNS)}, PRIMARY KEY (name))")
            yield table
    except sqlite3.Error as error:
        full = error.sqlite_errorname.startswith(("SQLITE_FULL", "SQLITE_IOERR"))
        why = "the disk is full or broken: free some space" if full else f"{error}: use another folder"
        raise SweepError(f"{path}: {why}, and run it again; the rows in it stay") from error


def _rows(table: sqlite3.Connection) -> list[Row]:
    rows = table.execute(f"SELECT {', '.join(_COLUMNS)} FROM tasks ORDER BY name").fetchall()
    plain = (dict(zip(_COLUMNS, row, strict=True)) for row in rows)
    return [Row(**row | {name: json.loads(row[name]) for name in ("arguments", "row")}) for row in plain]


def _write(table: sqlite3.Connection, row: Row) -> None:
    """One statement, so that nothing can come between."""
    plain = asdict(row) | {name: json.dumps(getattr(row, name)) for name in ("arguments", "row")}
    table.execute(f"INSERT OR REPLACE INTO tasks VALUES ({', '.join('?' * len(plain))})", [*plain.values()])


@contextmanager
def _cluster(address: str) -> Iterator[Executor]:
    """Dask's executor, once every worker has said that its code is this one's."""
    try:
        from distributed import Client

        client = Client(address, timeout=ANSWER_S, set_as_default=False)
    except ImportError:
        raise SweepError("Dask is missing: pip install -c constraints.txt -e '.[cluster]'") from None
    except (OSError, ValueError) as error:
        raise SweepError(f"{address}: no Dask scheduler answers ({error}): start one") from error
    with client:
        try:
            client.run_on_scheduler(_allow)
            theirs = client.run(artifacts.code_hash, __name__)
        except Exception as error:
            raise SweepError(f"{address} cannot import helpers ({error}): install it there") from error
        others = [name for name, code in theirs.items() if code != artifacts.code_hash(__name__)]
        if others or not theirs:
            told = f"other code than here on {', '.join(others)}" if others else "no worker has joined it"
            raise SweepError(f"{address}: {told}; bring all to the same state and start them")
        executor = client.get_executor(pure=False)  # a task is no pure function of what Dask sees
        try:
            yield executor
        finally:
            executor.shutdown(wait=False)


def _allow(dask_scheduler: object) -> None:
    vars(dask_scheduler)["allowed_failures"] = LOSSES
