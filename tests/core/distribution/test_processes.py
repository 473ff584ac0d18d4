"""Processes of this machine share tasks: each is done once, whatever ends a process, and none stays."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from t2s_pipeline.core.distribution.crew import ThisProcess
from t2s_pipeline.core.distribution.processes import Processes, WorkerDevice
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import REPO
from tests.core.distribution.workloads import Deadly, DeadlyStart, Faulty, Squares, nothing
from tests.processes import PATIENCE

TASKS = list(enumerate(range(9)))


def team(size: int, silence: float = 60.0) -> Processes:
    return Processes((WorkerDevice("cpu"),) * size, nothing, silence)


def results(team, work, tasks=TASKS) -> dict:
    """Number → result. Fails if a result comes twice."""
    taken = {}

    def take(number, result):
        assert number not in taken
        taken[number] = result

    team.do(work, tasks, take)
    return taken


def test_every_task_is_done_once_whoever_does_it(tmp_path):
    shared = results(team(2), Squares(tmp_path, 2))
    assert {number: square for number, (square, *_) in shared.items()} == {n: n * n for n in range(9)}
    processes = {process for _, process, *_ in shared.values()}
    assert len(processes) == 2 and os.getpid() not in processes
    assert not any(psutil.pid_exists(process) for process in processes)
    alone = results(ThisProcess(), Squares(tmp_path, 1))
    assert {number: square for number, (square, *_) in alone.items()} == {n: n * n for n in range(9)}


def test_there_are_no_more_processes_than_tasks(tmp_path):
    results(team(4), Squares(tmp_path, 1), TASKS[:1])
    assert len(list(tmp_path.iterdir())) == 1


def test_no_task_starts_no_process():
    assert results(team(2), DeadlyStart(), []) == {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_tasks_of_a_process_that_is_killed_are_done_by_another(tmp_path, number):
    assert results(team(2), Deadly(tmp_path, 2, number)) == {n: n * n for n in range(9)}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_task_that_ends_three_workers_ends_the_work_with_a_sentence(tmp_path):
    with pytest.raises(T2SError, match=r"Window 3 ended its worker 3 times \(last: ended by SIGKILL\)\. Finished work"):
        results(team(2), Deadly(tmp_path, 100))
    assert len(list(tmp_path.iterdir())) == 3


def test_a_process_that_is_stopped_is_replaced(tmp_path):
    # One second: the process sends no heartbeat within it, so it must do its other tasks faster.
    assert results(team(1, silence=1.0), Deadly(tmp_path, 1, signal.SIGSTOP)) == {n: n * n for n in range(9)}


def test_a_worker_that_cannot_start_ends_the_work_with_a_sentence():
    with pytest.raises(T2SError, match=r"A worker ended 3 times while it started \(exit code 7\)"):
        results(team(1), DeadlyStart())


def test_an_error_of_a_task_is_that_of_a_single_process():
    with pytest.raises(T2SError, match=r"^This image is no image\.$"):
        results(team(2), Faulty(can_be_corrected=True))
    with pytest.raises(RuntimeError, match="ZeroDivisionError: a bug"):
        results(team(2), Faulty(can_be_corrected=False))


def test_each_process_sees_its_own_device_only(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    devices = tuple(WorkerDevice("cuda:0", {"CUDA_VISIBLE_DEVICES": number}) for number in "47")
    seen = results(Processes(devices, nothing, 60.0), Squares(tmp_path, 2)).values()
    assert {(device, visible) for *_, device, visible in seen} == {("cuda:0", "4"), ("cuda:0", "7")}
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


SHARE_FOREVER = """
import sys
from pathlib import Path
from tests.core.distribution.test_processes import team
from tests.core.distribution.workloads import Forever

if __name__ == "__main__":
    print(flush=True)
    team(2).do(Forever(Path(sys.argv[1])), enumerate(range(4)), print)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_processes_end_with_the_one_that_shares_the_work(tmp_path, number):
    script = tmp_path / "share.py"
    script.write_text(SHARE_FOREVER)
    folder = tmp_path / "pids"
    folder.mkdir()
    sharing = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    sharing.stdout.readline()
    while len(list(folder.iterdir())) < 2:
        assert sharing.poll() is None
    workers = [psutil.Process(int(path.name)) for path in folder.iterdir()]
    sharing.send_signal(number)
    sharing.wait(PATIENCE)
    _, remaining = psutil.wait_procs(workers, timeout=PATIENCE)
    assert remaining == []
