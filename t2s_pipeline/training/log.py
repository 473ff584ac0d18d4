"""The table training_log while it grows: a reader sees every finished step but those of the last moments. No torch."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.lake.schema import TRAINING_LOG
from t2s_pipeline.lake.store import read_partition, write_partition


@dataclass(frozen=True)
class StepRecord:
    """One row of the table; the columns' meaning is in the schema. None where a number could not be had."""

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
    """The rows of one run. They stay under an empty fingerprint until ``finish``, so that an unfinished log
    is never taken for a finished one.

    The partition is one file, rewritten whole and renamed: a row is about 200 bytes, a long run 600 kB.
    """

    def __init__(self, lake: Path, run: str, every_seconds: float = 2.0) -> None:
        self._lake, self._partition, self._every = lake, {"run": run}, every_seconds
        self._written = -every_seconds
        self.rows: list[dict] = []

    def resume(self, step: int) -> None:
        """Take over what an interrupted run wrote, up to the step of the checkpoint that it goes on from."""
        try:
            rows = read_partition(self._lake, TRAINING_LOG, self._partition).to_pylist()
        except NotMaterializedError:
            rows = []
        self.rows = [{**row, "reward_parts": dict(row["reward_parts"] or ())} for row in rows if row["step"] <= step]

    def append(self, record: StepRecord) -> None:
        self.rows.append(asdict(record))
        now = time.monotonic()
        if now - self._written >= self._every:
            self._write("")
            self._written = now

    def flush(self) -> None:
        self._write("")

    def finish(self, fingerprint: str) -> int:
        """Write all rows under the run's fingerprint; returns how many."""
        return self._write(fingerprint)

    def _write(self, fingerprint: str) -> int:
        rows = [{**row, "reward_parts": list(row["reward_parts"].items())} for row in self.rows]
        table = pa.Table.from_pylist(rows, schema=TRAINING_LOG.schema)
        return write_partition(self._lake, TRAINING_LOG, self._partition, table, fingerprint)
