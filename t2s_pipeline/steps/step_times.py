"""What each step took: its seconds and its memory, as rows of the table ``step_times``."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import psutil
import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.lake.schema import STEP_TIMES
from t2s_pipeline.lake.store import append_rows

MOST_ROWS = 10_000
"""Rows that are kept per step: the latest."""

LOOK_SECONDS = 0.25
"""Seconds between two looks at the memory."""

LOOKS_PER_SEARCH = 4
"""Looks at the memory between two searches for new child processes, which take longer."""

MEGABYTE = 1e6


@dataclass(frozen=True)
class Cost:
    """What a step took.

    Attributes:
        started_at: when it began.
        seconds: how long it took.
        process_mb: the most resident memory of this process, in megabytes (10⁶ bytes).
        children_mb: the most resident memory of all its child processes together, in megabytes.
    """

    started_at: datetime
    seconds: float
    process_mb: float
    children_mb: float


class CostMeter:
    """Measures what happens inside its ``with`` block. A thread looks at the memory four times per second.

    Memory that is needed for less than a quarter of a second can be missed. Pages that child processes share count once
    per process.
    """

    def __enter__(self) -> "CostMeter":
        self._process_mb = self._children_mb = self._seconds = 0.0
        self._process, self._looks = psutil.Process(), 0
        self._children: list[psutil.Process] = []
        self._has_ended = threading.Event()
        self._started_at, self._began = datetime.now(UTC), time.perf_counter()
        self._thread = threading.Thread(target=self._look_repeatedly, daemon=True, name="memory of a step")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds = time.perf_counter() - self._began
        self._has_ended.set()
        self._thread.join()

    @property
    def cost(self) -> Cost:
        """What the block took, after it has ended."""
        return Cost(self._started_at, self._seconds, self._process_mb, self._children_mb)

    def look(self) -> None:
        """Look at the memory once."""
        if self._looks % LOOKS_PER_SEARCH == 0:
            self._children = self._process.children(recursive=True)
        self._looks += 1
        self._process_mb = max(self._process_mb, _resident_mb(self._process))
        self._children_mb = max(self._children_mb, sum(map(_resident_mb, self._children)))

    def _look_repeatedly(self) -> None:
        while True:
            self.look()
            if self._has_ended.wait(LOOK_SECONDS):
                return


def _resident_mb(process: psutil.Process) -> float:
    """The resident memory of a process; 0 if it has ended."""
    try:
        return float(process.memory_info().rss) / MEGABYTE
    except psutil.Error:
        return 0.0


def record_cost(
    home: Path, lake: LakePlace, step: str, subject: str, rows: int, cost: Cost, say: Callable[[str], None]
) -> None:
    """Add a row to the table ``step_times``.

    If the earlier rows cannot be read, they stay as they are and the new row is not written. A sentence says so.

    Args:
        home: T2S_HOME.
        lake: where the tables are.
        step: the name of the step.
        subject: what it was applied to.
        rows: the rows that it has written.
        cost: what it took.
        say: takes the sentence.

    Raises:
        T2SError: if the disk is full.
    """
    row = [_session(), subject, cost.started_at, cost.seconds, cost.process_mb, cost.children_mb, rows]
    table = pa.table([[value] for value in row], schema=STEP_TIMES.schema)
    partition = {"step_name": step}
    with only_one(home, f"the times of the step {step}"):
        try:
            append_rows(lake, STEP_TIMES, partition, table, MOST_ROWS)
        except InputError as error:
            say(f"The time of this step is not recorded. {error}")


def _session() -> str:
    """A name of this process that sorts by the time at which it started."""
    started = datetime.fromtimestamp(psutil.Process().create_time(), UTC)
    return f"{started:%Y-%m-%dT%H:%M:%S}Z {os.getpid()}"
