"""Sweeps in processes: what is done once stays, and what fails is told."""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import LocalCluster
from waiting import PATIENCE, wait_until

from helpers import artifacts
from helpers.lab import sweep, worker
from helpers.lab.sweep import Row, SweepError, Task, processes, read

NUMBERS = 150
TASKS = [Task(f"square {number:03d}", "sweep_work:square", {"number": number}) for number in range(NUMBERS)]


@pytest.fixture(autouse=True, scope="module")
def children_find_the_work() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parent, artifacts.HELPERS.parent)))
        )
        yield


@pytest.fixture(scope="module")
def cluster(children_find_the_work: None) -> Iterator[str]:
    """Two workers of Dask, each a process with one thread."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as started:
        yield started.scheduler_address


def one(name: str, **arguments: Any) -> Task:
    return Task(name, f"sweep_work:{name}", arguments)


def told(rows: list[Row]) -> list[tuple[Any, ...]]:
    """What a row says beside who did it, and how fast."""
    return [(row.key, row.name, row.arguments, row.state, row.row, row.sentence) for row in rows]


def test_every_task_has_its_row_and_a_failure_is_one_of_them(tmp_path: Path):
    tasks = [*TASKS[:4], one("fails")]
    rows = sweep.sweep(tasks, tmp_path, engine=processes(2))
    assert [row.row.get("square") for row in rows] == [0, 1, 4, 9, None]
    assert rows[-1].state == "failed" and "spam" in rows[-1].sentence
    again = sweep.sweep([*tasks, TASKS[4]], tmp_path)
    assert again[:4] == rows[:4]  # with their seconds and workers: they were not done again
    assert again[4].worker != rows[4].worker and again[5].row == {"square": 16}


def test_all_tasks_are_looked_at_before_one_starts(tmp_path: Path):
    missing = Task("missing", "sweep_work:square", {"number": 1}, inputs={"file": tmp_path / "nowhere"})
    for wrong in ([TASKS[0], missing], [TASKS[0], TASKS[0]]):
        with pytest.raises((OSError, ValueError)):
            sweep.sweep(wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_row_of_other_inputs_takes_the_place_of_the_old(tmp_path: Path):
    rows = []
    for content in "ab":
        (tmp_path / "input").write_text(content)
        task = Task("square", "sweep_work:square", {"number": 3}, inputs={"input": tmp_path / "input"})
        rows += sweep.sweep([task], tmp_path / "out")
    assert rows[0].key != rows[1].key
    assert read(tmp_path / "out") == rows[1:]


def test_a_lost_workers_task_is_done_again_twice_and_no_more(tmp_path: Path):
    twice, thrice = (Task(f"dies {times}", "sweep_work:dies", {"times": times}) for times in (2, 3))
    lived, died, *others = sweep.sweep([twice, thrice, *TASKS[:6]], tmp_path, engine=processes(2))
    assert (lived.state, lived.row, lived.attempts) == ("done", {"deaths": 2}, 3)
    assert (died.state, died.attempts) == ("failed", 3) and "-9" in died.sentence
    assert {(row.state, row.attempts) for row in others} == {("done", 1)}


def test_a_task_that_hangs_is_ended_and_its_worker_goes_on(tmp_path: Path):
    def request(task: Task) -> dict[str, Any]:
        return task.request | {"out": str(tmp_path / "tasks" / "key")}

    with worker.threads(1) as pool:
        hung = pool.submit(worker.perform, request(one("hangs")), 0.5).result(PATIENCE)
        next_one = pool.submit(worker.perform, request(TASKS[3]), PATIENCE).result(PATIENCE)
    assert hung["state"] == "failed" and "0.5 s" in hung["sentence"]
    assert next_one["row"] == {"square": 9}
    assert not running(hung["worker"]) and not running(next_one["worker"])


def running(told: str) -> bool:
    return psutil.pid_exists(int(told.rpartition(":")[2]))


@pytest.mark.parametrize("part", ["code", "packages", "inputs"])
def test_a_worker_in_another_state_refuses(part: str, tmp_path: Path):
    request = TASKS[0].request | {"out": str(tmp_path)}
    assert worker.answer(request)["state"] == "done"
    refused = worker.answer(request | {"made_from": request["made_from"] | {part: "other"}})
    assert refused["state"] == "failed" and f"other {part}" in refused["sentence"]


def test_one_board_has_one_task_at_a_time(tmp_path: Path):
    tasks = [Task(f"{n}", "sweep_work:alone", {"number": n}, alone="my-board") for n in range(4)]
    assert {row.state for row in sweep.sweep(tasks, tmp_path, engine=processes(2))} == {"done"}


def test_a_second_sweep_on_a_table_is_refused_and_reading_is_not(tmp_path: Path):
    rows = sweep.sweep(TASKS[:2], tmp_path)
    with artifacts.alone(tmp_path):
        with pytest.raises(artifacts.Busy, match=str(os.getpid())):
            sweep.sweep(TASKS[:4], tmp_path)
        assert read(tmp_path) == rows


def test_a_full_disk_costs_no_row(tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]):
    before = sweep.sweep(TASKS[:2], tmp_path)
    with full_disk(60_000), pytest.raises(SweepError, match="free some space"):
        sweep.sweep(TASKS, tmp_path, engine=processes(2))
    left = read(tmp_path)
    assert 2 < len(left) < NUMBERS
    rows = sweep.sweep(TASKS, tmp_path, engine=processes(2))
    assert rows[:2] == before and not [row for row in left if row not in rows]


def test_a_killed_driver_leaves_its_rows_and_no_process(tmp_path: Path):
    script = (
        "import sys, pathlib; from test_sweep import *; from helpers.lab import sweep\n"
        "sweep.sweep([*TASKS[:9], one('hangs')], pathlib.Path(sys.argv[1]), engine=processes(2))"
    )
    paths = os.environ["PYTHONPATH"] + os.pathsep + str(Path(__file__).parents[1])
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.DEVNULL
    ) as driver:
        wait_until(lambda: len(read(tmp_path)) == 9)
        workers = psutil.Process(driver.pid).children(recursive=True)
        assert len(workers) == 2
        driver.kill()
    wait_until(lambda: not any(each.is_running() for each in workers))
    rows = read(tmp_path)
    assert sweep.sweep(TASKS[:9], tmp_path) == rows


@contextmanager
def once(holds: Callable[[], bool], act: Callable[[], object]) -> Iterator[None]:
    """Does something beside the block, in the moment that `holds()`."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            if holds():
                act()
                return

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            over.set()
    watching.result()


def interrupt() -> None:
    main = threading.main_thread().ident
    assert main
    signal.pthread_kill(main, signal.SIGINT)


@pytest.mark.parametrize("where", ["processes", "cluster"])
def test_interrupted_ten_times_and_a_worker_killed_the_table_is_the_same(
    where: str, tmp_path: Path, request: pytest.FixtureRequest
):
    undisturbed = sweep.sweep(TASKS, tmp_path / "undisturbed", engine=processes(2))
    engine = processes(2) if where == "processes" else sweep.dask(request.getfixturevalue("cluster"))
    stops = sorted(random.Random(0).sample(range(NUMBERS // 3), 10))  # a busy machine sees them late
    kept: list[Row] = []

    def reached(stop: int) -> Callable[[], bool]:
        return lambda: len(read(tmp_path)) > stop

    def kill_a_worker() -> None:
        (newest,) = [row for row in read(tmp_path) if row not in kept][-1:]
        child = psutil.Process(int(newest.worker.rpartition(":")[2]))
        (child if where == "processes" else child.parent()).kill()

    for stop in stops:
        with suppress(KeyboardInterrupt), once(reached(stop), interrupt):  # a busy machine may be late
            sweep.sweep(TASKS, tmp_path, engine=engine)
            assert len(read(tmp_path)) == NUMBERS
        rows = read(tmp_path)
        assert [row for row in rows if row in kept] == kept  # nothing is lost, and nothing done twice
        kept = rows
    with once(reached(len(kept) + 2), kill_a_worker):
        rows = sweep.sweep(TASKS, tmp_path, engine=engine)
    assert told(rows) == told(undisturbed) == told(read(tmp_path))
    assert [row for row in rows if row in kept] == kept


def test_a_cluster_of_other_code_or_none_is_refused_at_once(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises(ValueError, match="port"):
        sweep.dask("tcp://127.0.0.1")
    monkeypatch.setattr(sweep, "ANSWER_S", 0.5)
    with pytest.raises(SweepError, match="no Dask scheduler"):
        sweep.sweep(TASKS, tmp_path, engine=sweep.dask("tcp://127.0.0.1:9"))
    monkeypatch.undo()
    monkeypatch.setattr(artifacts, "code_hash", lambda *_: str(os.getpid()))
    with pytest.raises(SweepError, match="other code"):
        sweep.sweep([one("fails")], tmp_path, engine=sweep.dask(cluster))
