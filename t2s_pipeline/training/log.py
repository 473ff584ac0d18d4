"""The table training_log while a run writes it: readers see all steps but those of the last seconds."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.schema import TRAINING_LOG
from t2s_pipeline.lake.store import read_partition, write_partition

EVERY_SECONDS = 2.0
"""The shortest time between two writes to a folder."""

EVERY_SECONDS_OF_OBJECTS = 60.0
"""The shortest time between two writes to an object store, where each write stays for a day."""


@dataclass(frozen=True)
class StepRecord:
    """One row of the table; the schema describes the columns. None where there is no number."""

    step: int
    reward: float | None
    reward_std: float | None
    reward_parts: dict[str, float]
    zero_variance_share: float | None
    valid_share: float | None
    abstained: int
    kl: float | None
    loss: float | None
    grad_norm: float | None
    learning_rate: float | None
    completion_tokens: float | None
    longest_completion: float | None
    clipped_share: float | None
    entropy: float | None
    seconds: float
    generate_seconds: float
    reward_seconds: float
    update_seconds: float
    tokens_per_second: float | None
    peak_mb: float
    samples: list[str]
    warnings: list[str]


class TrainingLog:
    """The rows of one run. Their fingerprint is empty until ``finish``: so an unfinished log can be recognized.

    The partition is one file. Each time it is written completely and renamed: a row has about 200 bytes, the rows of
    a long run 600 kB.

    Args:
        lake: where the tables are.
        run: the run's name.
        every_seconds: the shortest time between two writes; None for the default of the place.
    """

    def __init__(self, lake: LakePlace, run: str, every_seconds: float | None = None) -> None:
        if every_seconds is None:
            every_seconds = EVERY_SECONDS if isinstance(lake, Path) else EVERY_SECONDS_OF_OBJECTS
        self._lake, self._partition, self._every = lake, {"run": run}, every_seconds
        self._written = -every_seconds
        self.rows: list[dict[str, Any]] = []

    def resume(self, step: int) -> None:
        """Read the rows of an interrupted run, up to the step of the checkpoint that it continues from."""
        try:
            rows = read_partition(self._lake, TRAINING_LOG, self._partition).to_pylist()
        except NotMaterializedError:
            rows = []
        self.rows = [{**row, "reward_parts": dict(row["reward_parts"] or ())} for row in rows if row["step"] <= step]

    def append(self, record: StepRecord) -> None:
        """Add a row; write the table if the last write was long enough ago."""
        self.rows.append(asdict(record))
        now = time.monotonic()
        if now - self._written >= self._every:
            self._write("")
            self._written = now

    def flush(self) -> None:
        """Write all rows as an unfinished log."""
        self._write("")

    def finish(self, fingerprint: str) -> int:
        """Write all rows with the run's fingerprint; return their number."""
        return self._write(fingerprint)

    def _write(self, fingerprint: str) -> int:
        rows = [{**row, "reward_parts": list(row["reward_parts"].items())} for row in self.rows]
        table = pa.Table.from_pylist(rows, schema=TRAINING_LOG.schema)
        return write_partition(self._lake, TRAINING_LOG, self._partition, table, fingerprint)
