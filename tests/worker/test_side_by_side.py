"""Independent work runs at the same time, within a budget. Its results come in order. An interrupt stops all of it."""

import os
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import psutil
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.worker import side_by_side as module
from t2s_pipeline.worker.launcher import KEEP, plain_launch
from t2s_pipeline.worker.side_by_side import LANE_BYTES, LANES, THREADS, lanes, side_by_side
from tests.processes import Doorbell, has_ended


@pytest.fixture
def two_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LANES, "2")
    monkeypatch.delenv(THREADS, raising=False)


def machine(monkeypatch: pytest.MonkeyPatch, cores: int, lane_memories: float, gpu: bool = False) -> None:
    """A machine with so many cores, and free memory for so many workers."""
    monkeypatch.delenv(LANES, raising=False)
    monkeypatch.delenv(THREADS, raising=False)
    free = type("Memory", (), {"available": int(lane_memories * LANE_BYTES)})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(module, "_cores", lambda: cores)
    monkeypatch.setattr(module.shutil, "which", lambda name: "/usr/bin/nvidia-smi" if gpu else None)


@pytest.mark.parametrize(
    "cores, memories, jobs, expected", [(2, 9, 9, 2), (64, 99, 9, 4), (8, 2.9, 9, 2), (8, 0.5, 9, 1), (8, 9, 3, 3)]
)
def test_cores_memory_and_jobs_limit_the_lanes(monkeypatch, cores: int, memories: float, jobs: int, expected: int):
    machine(monkeypatch, cores, memories)
    assert lanes(jobs) == expected


def test_a_gpu_does_one_thing_at_a_time(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, 8, 9, gpu=True)
    assert lanes(9) == 1


def test_who_sets_the_threads_gets_workers_of_that_size(monkeypatch: pytest.MonkeyPatch):
    machine(monkeypatch, 8, 9)
    monkeypatch.setenv(THREADS, "4")
    assert lanes(9) == 2


@pytest.mark.parametrize("text", ["0", "two", "-1"])
def test_a_wrong_number_of_lanes_is_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv(LANES, text)
    with pytest.raises(InputError, match=LANES):
        lanes(2)


def test_jobs_that_take_all_cores_follow_each_other(two_lanes: None):
    running, most = [], []

    def job(number: int) -> int:
        running.append(number)
        most.append(len(running))
        running.remove(number)
        return threading.get_ident()

    taken: list[int] = []
    side_by_side([partial(job, number) for number in range(3)], taken.append, share_cores=False)
    assert most == [1, 1, 1] and set(taken) == {threading.get_ident()}


def test_two_jobs_run_at_once_and_the_results_are_in_order(two_lanes: None):
    together, taken = threading.Barrier(2), []

    def job(number: int) -> int:
        together.wait(60)
        return number

    side_by_side([partial(job, number) for number in range(4)], taken.append)
    assert taken == [0, 1, 2, 3]


NOTES = """#!{python}
import os, sys
from pathlib import Path
Path(sys.argv[5], f"{{sys.argv[4]}}-{{os.getpid()}}").write_text(os.environ.get("T2S_WORKER_THREADS", "all"))
"""


def test_answers_get_one_thread_and_masks_all(two_lanes: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEEP, "off")
    (tmp_path / "python").write_text(NOTES.format(python=sys.executable))
    (tmp_path / "python").chmod(0o755)
    launch = plain_launch(Settings(tmp_path / "home", tmp_path / "python"))

    def noted(folder: str, number: str = "2") -> set[tuple[str, str]]:
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(LANES, number)
        verbs = ("generate", "segment", "train")
        side_by_side([partial(launch, [verb, str(tmp_path / folder)]) for verb in verbs], lambda nothing: None)
        return {(path.name.partition("-")[0], path.read_text()) for path in (tmp_path / folder).iterdir()}

    assert noted("several") == {("generate", "1"), ("segment", "all"), ("train", "all")}
    assert ("generate", "all") in noted("alone", "1")
    monkeypatch.setenv(THREADS, "2")
    assert ("generate", "all") in noted("chosen")


def test_one_lane_is_this_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LANES, "1")
    monkeypatch.delenv(THREADS, raising=False)
    taken = []
    side_by_side([threading.current_thread], taken.append)
    assert taken == [threading.main_thread()]


def test_after_a_failure_no_job_begins_and_those_that_run_are_finished(two_lanes: None):
    begun, taken, failing = [], [], threading.Event()

    def job(number: int) -> int:
        begun.append(number)
        if number == 1:
            failing.set()
            raise InputError("the second")
        failing.wait(60)
        return number

    with pytest.raises(InputError, match="the second"):
        side_by_side([partial(job, number) for number in range(2)] + [partial(job, 9)] * 20, taken.append)
    assert taken == [0]
    assert len(begun) <= 3, "at most the job that was chosen before the failure"


INTERRUPTED = """
import signal, sys
from functools import partial
from pathlib import Path
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.worker.launcher import plain_launch
from t2s_pipeline.worker.side_by_side import side_by_side
signal.signal(signal.SIGINT, signal.default_int_handler)
launch = plain_launch(Settings(Path({home!r}), Path({python!r})), grace=0.2)
jobs = [partial(launch, [verb]) for verb in ("generate", "train", "segment")]
try:
    side_by_side(jobs, print)
except KeyboardInterrupt:
    print("interrupted")
"""

DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open({bell!r}, "w") as bell:
    bell.write(f"{{os.getpid()}}\\n")
time.sleep(3600)
"""


def test_an_interrupt_stops_every_worker_and_no_other_begins(tmp_path: Path):
    bell = Doorbell(tmp_path / "bell")
    held = os.open(bell.path, os.O_WRONLY)
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{DEAF.format(bell=str(bell.path))}")
    script.chmod(0o755)
    code = INTERRUPTED.format(home=str(tmp_path / "home"), python=str(script))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=REPO, env={**os.environ, LANES: "2"}, stdout=subprocess.PIPE) as process:
        pids: set[int] = set()
        while len(pids) < 2:
            pids |= {int(pid) for pid in bell.rung(process).split()}
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=120)
    os.close(held)
    assert output == b"interrupted\n"
    assert len(pids) == 2 and all(has_ended(pid) for pid in pids)
