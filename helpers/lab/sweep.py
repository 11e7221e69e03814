"""Many tasks, one table: each is done once, wherever a worker is free, and its row stays when others fail.

A task is a function's name and plain data. Its key is a fingerprint of all that its row depends on, so a
second call does what is left, and a worker with other code refuses. One process, the driver, writes the
table; workers are threads of an executor (`helpers.lab.worker`), here or on a Dask cluster.
"""

import hashlib
import json
import queue
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path

from tqdm.auto import tqdm

from helpers import artifacts
from helpers.artifacts import Facts
from helpers.files import BUILD
from helpers.lab import worker

FOLDER = BUILD / "sweep"  # where nobody names another
LIMIT_S = 4 * 3600.0
LOSSES = 2  # a task whose worker was lost is done again as often
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
    code: Sequence[str] = ()
    alone: str = ""

    @cached_property
    def request(self) -> Facts:
        """What a worker gets, less its folder. Raises what a missing input or package raises."""
        code = [self.work.partition(":")[0], *self.code]
        inputs = {name: str(path.resolve()) for name, path in self.inputs.items()}
        made_from = artifacts.ingredients(self.arguments, self.inputs, worker.PACKAGES, code)
        plain = {"work": self.work, "arguments": self.arguments, "code": code}
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
    attempts: int
    row: Facts = field(default_factory=dict)
    sentence: str = ""
    seconds: float = 0.0
    worker: str = ""


Engine = Callable[[], AbstractContextManager[Executor]]  # opens what tasks run on


def processes(count: int = 1) -> Engine:
    """So many processes of this machine. Raises ValueError below one."""
    if count < 1:
        raise ValueError(f"--workers {count}: give 1 or more")
    return partial(worker.threads, count)


def dask(address: str) -> Engine:
    """The workers of the Dask cluster at `address`, which have the same checkout and packages.

    Raises ValueError where the port is missing, as Dask would wait for another.
    """
    if not address.rpartition(":")[2].isdecimal():
        raise ValueError(f"--scheduler {address}: give its port as well, such as tcp://{address}:8786")
    return partial(_cluster, address)


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
    with artifacts.alone(folder), _table(folder) as table:
        done = {row.key for row in _rows(table) if row.state == worker.DONE}
        if left := [task for task in tasks if task.key not in done]:
            bar, failed = tqdm(total=len(left), desc="sweep", unit="task", smoothing=0), 0
            with bar, (engine or processes())() as executor:
                for row in _driven(left, folder.resolve(), executor, limit_s):
                    told = (row.name, row.key, json.dumps(asdict(row)))
                    table.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)", told)
                    failed += row.state == worker.FAILED
                    bar.set_postfix(failed=failed, refresh=False)
                    bar.update()
        rows = {row.key: row for row in _rows(table)}
    return [rows[key] for key in keys]


def read(folder: Path = FOLDER) -> list[Row]:
    """The rows of a table by name, also of one that is being written; none where there is no table."""
    if not (folder / "sweep.sqlite").is_file():
        return []
    with _table(folder) as table:
        return _rows(table)


def _driven(left: list[Task], folder: Path, executor: Executor, limit_s: float) -> Iterator[Row]:
    """A row when a task has ended for good; those whose word is taken wait, and others pass them."""
    running: dict[Future[Facts], Task] = {}
    ended, attempts = queue.SimpleQueue[Future[Facts]](), Counter[str]()
    while left or running:
        for task in [*left]:
            if task.alone and task.alone in {other.alone for other in running.values()}:
                continue
            left.remove(task)
            attempts[task.name] += 1
            request = task.request | {"out": str(folder / "tasks" / task.key[:16])}
            running[future := executor.submit(worker.perform, request, limit_s)] = task
            future.add_done_callback(ended.put)
        task = running.pop(future := ended.get())
        try:
            answer = future.result()
        except (Exception, CancelledError) as error:  # the executor's own: it lost the worker
            answer = {"state": worker.LOST, "sentence": f"its worker was lost ({type(error).__name__})"}
        if answer["state"] == worker.LOST:
            if attempts[task.name] <= LOSSES:
                left.append(task)
                continue
            answer["state"] = worker.FAILED
        yield Row(task.key, task.name, task.work, task.arguments, attempts=attempts[task.name], **answer)


@contextmanager
def _table(folder: Path) -> Iterator[sqlite3.Connection]:
    """SQLite's write-ahead log: a row is in it whole or not, and readers need not wait for the writer."""
    path = folder / "sweep.sqlite"
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as table:
            table.execute("PRAGMA journal_mode = WAL")
            table.execute("PRAGMA synchronous = NORMAL")  # only a power cut may cost the last rows
            table.execute("CREATE TABLE IF NOT EXISTS tasks (name PRIMARY KEY, key, row)")
            yield table
    except sqlite3.Error as error:
        advice = "free some space, or use another folder, and run it again; the rows in it stay"
        raise SweepError(f"{path}: {error}: {advice}") from error


def _rows(table: sqlite3.Connection) -> list[Row]:
    return [Row(**json.loads(told)) for (told,) in table.execute("SELECT row FROM tasks ORDER BY name")]


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
            # A lost task is tried again by the sweep, not by Dask as well.
            client.run_on_scheduler(lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0))
            theirs = client.run(artifacts.code_hash, __name__)
        except Exception as error:
            raise SweepError(f"{address} cannot import helpers ({error}): install it there") from error
        others = [name for name, code in theirs.items() if code != artifacts.code_hash(__name__)]
        if others or not theirs:
            told = f"other code than here on {', '.join(others)}" if others else "no worker has joined it"
            raise SweepError(f"{address}: {told}; bring all to the same state and start them")
        yield client.get_executor(pure=False)  # a task is no pure function of what Dask sees
