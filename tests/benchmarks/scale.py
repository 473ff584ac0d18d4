"""What sharing out windows costs: windows per second for 1, 2 and 4 workers, and a driver of 256 workers.

    python -m tests.benchmarks.scale [--windows 200] [--seconds 0.2] [--ray] [--answers 650000]

The workers are real processes (with ``--ray``: actors of a cluster with four nodes on this machine). Their model is a
stand-in that sleeps, so what is measured is our overhead: handing out, sending rows back, staging them on disk.

* ``linear``: windows per second of 2 and 4 workers, relative to so many times the rate of one.
* ``scheduling_ms``: time per window to hand it out and take its rows, when the model takes no time at all.
* ``overhead_ms``: the same with the rows staged: written, flushed to disk, and merged at the end.
* ``driver``: one process hands out all answers to 256 workers and stages their rows. The workers are simulated: a
  window takes ``ANSWER_SECONDS`` per answer of a virtual clock. Its processor time, relative to the virtual time, is
  the number of cores that a driver needs.

The last line is one JSON object.
"""

import argparse
import heapq
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.distribution.crew import Event, TaskDone, Team, WorkerReady
from t2s_pipeline.core.distribution.processes import Processes, WorkerDevice
from t2s_pipeline.core.distribution.sharing import SharedWork
from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.evaluation.windows import Item, StagedWindows, Window
from t2s_pipeline.lake.schema import COMPLETIONS

PLACE = {"system": "stand-in", "dataset": "d", "split": "test"}
PER_WINDOW = 64
"""Answers of a window."""
ANSWER_SECONDS = 1.0
"""Virtual seconds that a simulated worker needs for an answer: a model of 7 billion parameters on one GPU."""
WORKERS = 256
TEXT = "<think>The bridge crosses the river.</think><answer>[{}]</answer>".format('{"bbox_2d": [1, 2, 3, 4]}, ' * 8)


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class StandIn:
    """A model that sleeps for a window."""

    seconds: float

    def open(self, device: str) -> Callable[[Window], list[pa.Table]]:
        """The function that answers a window."""

        def answer(window: Window) -> list[pa.Table]:
            time.sleep(self.seconds)
            return [rows_of(window)]

        return answer


def rows_of(window: Window) -> pa.Table:
    """Completions as a real model writes them."""
    items = [item for items in window.values() for item in items]
    columns = {
        "sample_id": [item.sample_id for item in items],
        "question_index": [item.question_index for item in items],
        "text": [TEXT] * len(items),
        "tokens": [120] * len(items),
        "finish_reason": ["stop"] * len(items),
        "seconds": [1.0] * len(items),
        "settings": ["{}"] * len(items),
    }
    return pa.table(columns, schema=COMPLETIONS.schema)


def windows(answers: int) -> list[Window]:
    """Windows of six questions per image."""
    made: list[Window] = []
    for start in range(0, answers, PER_WINDOW):
        numbers = range(start, min(start + PER_WINDOW, answers))
        window: Window = {}
        for number in numbers:
            item = Item(f"sample_{number // 6:07}", number % 6, "Where would a boat find shelter from the wind?")
            window.setdefault(f"image_{number // 6:07}", []).append(item)
        made.append(window)
    return made


class Clocked(NoProgress):
    """Remembers when windows are done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def advance(self, done: int, note: str = "") -> None:
        """Remember the time."""
        self.times.append(time.perf_counter())


def scheduling(team: Team, count: int) -> float:
    """Milliseconds per window when nothing is staged and the model takes no time."""
    times: list[float] = []
    tasks = enumerate(windows(count * PER_WINDOW))
    team.do(StandIn(0.0), tasks, lambda number, rows: times.append(time.perf_counter()))
    return 1e3 * (times[-1] - times[0]) / (count - 1)


def rate(team: Team, workers: int, count: int, seconds: float) -> float:
    """Windows per second, from the first that is done to the last, so without the start of processes."""
    progress = Clocked()
    with tempfile.TemporaryDirectory() as lake:
        staged = StagedWindows(Path(lake), COMPLETIONS, [PLACE], windows(count * PER_WINDOW), "f")
        staged.finish("", StandIn(seconds), team, progress)
    # So many are done at the first moment, one by each worker.
    return (count - workers) / (progress.times[-1] - progress.times[workers - 1])


class Simulated:
    """A crew whose workers take virtual time."""

    def __init__(self, size: int) -> None:
        self.size, self.clock = size, 0.0
        self._events: list[tuple[float, int, Event]] = []
        self._free_at = [0.0] * size
        self._count = 0

    def start(self, worker: int) -> None:
        """The worker is ready at once."""
        self._add(self.clock, WorkerReady(worker))

    def give(self, worker: int, task: Any) -> None:
        """The worker begins when its last task is done."""
        self._free_at[worker] = max(self.clock, self._free_at[worker]) + PER_WINDOW * ANSWER_SECONDS
        self._add(self._free_at[worker], TaskDone(worker, task))

    def events(self) -> Sequence[Event]:
        """What happens next."""
        self.clock, _, event = heapq.heappop(self._events)
        return [TaskDone(event.worker, [rows_of(event.result)]) if isinstance(event, TaskDone) else event]

    def _add(self, moment: float, event: Event) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, event))


class SimulatedTeam:
    """A ``Team`` of simulated workers."""

    def __init__(self) -> None:
        self.crew = Simulated(WORKERS)

    def do(self, work: Any, tasks: Any, take: Any) -> None:
        """Do all tasks."""
        SharedWork(self.crew, tasks, take, patience=60.0).finish()


def driver(answers: int) -> dict[str, float]:
    """A driver of 256 workers: processor seconds, virtual seconds, peak memory in MB."""
    team, start = SimulatedTeam(), time.process_time()
    with tempfile.TemporaryDirectory() as lake:
        staged = StagedWindows(Path(lake), COMPLETIONS, [PLACE], windows(answers), "f")
        rows = staged.finish("", StandIn(0.0), team, NoProgress())
    assert rows == answers
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e3 if sys.platform == "linux" else 1e6)
    return {
        "answers": answers,
        "processor_seconds": round(seconds, 1),
        "virtual_seconds": round(team.crew.clock),
        "cores": round(seconds / team.crew.clock, 4),
        "ms_per_window": round(1e3 * seconds / (answers / PER_WINDOW), 2),
        "peak_mb": round(peak),
    }


def processes(workers: int) -> Team:
    """Workers of this machine."""
    return Processes((WorkerDevice("cpu"),) * workers, nothing, 600.0)


def measure(make_team: Callable[[int], Team], count: int, seconds: float) -> dict[str, float]:
    """Rates with 1, 2 and 4 workers, and the time per window of a model that takes none."""
    rates = {workers: rate(make_team(workers), workers, count * workers, seconds) for workers in (1, 2, 4)}
    return {
        **{f"per_second_{workers}": round(value, 2) for workers, value in rates.items()},
        **{f"linear_{workers}": round(rates[workers] / rates[1] / workers, 4) for workers in (2, 4)},
        "scheduling_ms": round(scheduling(make_team(4), 10 * count), 2),
        "overhead_ms": round(1e3 / rate(make_team(4), 4, 10 * count, 0.0), 2),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--windows", type=int, default=100, help="per worker")
    parser.add_argument("--seconds", type=float, default=0.2, help="that the model takes for a window")
    parser.add_argument("--answers", type=int, default=650_000, help="of the simulation")
    parser.add_argument("--ray", action="store_true", help="measure actors of a Ray cluster too (worker environment)")
    options = parser.parse_args()
    # First: peak memory is that of this process since its start.
    result: dict[str, Any] = {"driver": driver(options.answers)}
    result["processes"] = measure(processes, options.windows, options.seconds)
    if options.ray:
        from t2s_pipeline.core.distribution.ray_crew import RayTeam
        from tests.faults.clusters import local_cluster

        home = Path(tempfile.mkdtemp())
        with local_cluster(4) as cluster:
            team = lambda workers: RayTeam(cluster.address, workers, home, nothing, 300.0)  # noqa: E731
            result["ray"] = measure(team, options.windows, options.seconds)
        shutil.rmtree(home)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
