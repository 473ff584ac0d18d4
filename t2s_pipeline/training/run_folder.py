"""A run's folder and its two tables: what marks them as this run's own, and when they count as finished. No torch."""

import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core import fingerprints as provenance
from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.schema import CHECKPOINTS, IMAGES, PSEUDO_LABELS, SAMPLES, TRAINING_LOG
from t2s_pipeline.lake.store import fingerprint_of, write_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.keeping import dispensable, val_giou
from t2s_pipeline.training.log import TrainingLog


@dataclass(frozen=True)
class RunFolder:
    """``T2S_HOME/runs/<run>`` for one experiment under one fingerprint."""

    experiment: Experiment
    settings: Settings
    fingerprint: str
    data_fingerprint: str

    @classmethod
    def of(cls, experiment: Experiment, home: Path, fingerprint: str) -> "RunFolder":
        """``fingerprint`` is of code, data and settings as the caller counts them; "" takes data and settings."""
        settings = Settings(home, Path(sys.executable))
        split = {"dataset": experiment.dataset, "split": "train"}
        data = provenance.fingerprint(
            **{table.name: fingerprint_of(settings.lake, table, split) for table in (IMAGES, SAMPLES)}
        )
        if experiment.recipe.labels:
            labels = fingerprint_of(settings.lake, PSEUDO_LABELS, {"method": experiment.recipe.labels, **split})
            data = provenance.fingerprint(data=data, labels=labels)
        own = provenance.fingerprint(data=data, experiment=experiment.fingerprint)
        return cls(experiment, settings, fingerprint or own, data)

    @property
    def path(self) -> Path:
        return self.settings.runs / self.experiment.run

    def latest(self) -> Checkpoint | None:
        """The latest complete checkpoint that this fingerprint made."""
        found = checkpoints.latest(self.path)
        return found if found is not None and found.fingerprint == self.fingerprint else None

    def set_aside(self, everything: bool = False) -> Path | None:
        """Move a run of another fingerprint (or ``everything``) out of the way; says where it is now, if any was."""
        found = checkpoints.complete(self.path)
        unwanted = any(everything or checkpoint.fingerprint != self.fingerprint for checkpoint in found)
        return checkpoints.set_aside(self.path) if unwanted else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep any other process from training this run meanwhile; ends with the process, however it ends.

        Raises:
            InputError: if one is training it.
        """
        self.settings.runs.mkdir(parents=True, exist_ok=True)
        with (self.settings.runs / f".{self.experiment.run}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"{self.experiment.run} is being trained by another process: wait for it.") from None
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder for what is unfinished, removed at the end. What a killed run left is removed too."""
        folder = checkpoints.staging(self.path)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            with disk_room(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staged: Path, step: int, steps: int) -> Checkpoint:
        """Make a staged checkpoint complete and list it in the table."""
        checkpoint = checkpoints.publish(
            staged,
            Checkpoint(
                path=self.path / f"checkpoint-{step}",
                run=self.experiment.run,
                step=step,
                steps=steps,
                experiment=self.experiment.as_json(),
                fingerprint=self.fingerprint,
                data_fingerprint=self.data_fingerprint,
                sha256=weights_sha256(staged),
                created_at=datetime.now(UTC).isoformat(),
            ),
        )
        self._list_checkpoints("")
        return checkpoint

    def prune(self) -> list[Checkpoint]:
        """Remove the checkpoints that ``watch.keep_last`` and ``watch.keep_best`` do not keep; returns them."""
        watch = self.experiment.watch
        scores = val_giou(self.settings.lake, self.experiment)
        gone = dispensable(checkpoints.complete(self.path), scores, watch.keep_last, watch.keep_best)
        for checkpoint in gone:
            checkpoints.remove(checkpoint)
        if gone:
            self._list_checkpoints("")
        return gone

    def restate(self) -> bool:
        """Have finished checkpoints say how they answer today, where only that has changed; says whether it had."""
        now = self.experiment.as_json()
        stale = [found for found in checkpoints.complete(self.path) if found.experiment != now]
        for found in stale:
            checkpoints.restate(found, now)
        if stale:
            self._list_checkpoints(self.fingerprint)
        return bool(stale)

    def log(self, up_to: int) -> TrainingLog:
        """The run's log, with the rows that were written up to a step."""
        log = TrainingLog(self.settings.lake, self.experiment.run)
        log.resume(up_to)
        return log

    def finish(self, log: TrainingLog) -> None:
        """Mark both tables as finished, by giving them the fingerprint."""
        log.finish(self.fingerprint)
        self._list_checkpoints(self.fingerprint)

    def is_recorded(self) -> bool:
        """Whether both tables say that the run is finished."""
        partition = {"run": self.experiment.run}
        marks = {fingerprint_of(self.settings.lake, table, partition) for table in (TRAINING_LOG, CHECKPOINTS)}
        return marks == {self.fingerprint}

    def _list_checkpoints(self, fingerprint: str) -> None:
        rows = [
            {
                "system": found.name,
                "experiment": self.experiment.name,
                "step": found.step,
                "path": found.path.relative_to(self.settings.home).as_posix(),
                "sha256": found.sha256,
                "base_model": self.experiment.prompter,
                "settings": json.dumps(found.experiment, sort_keys=True),
                "created_at": datetime.fromisoformat(found.created_at),
            }
            for found in checkpoints.complete(self.path)
        ]
        table = pa.Table.from_pylist(rows, schema=CHECKPOINTS.schema)
        write_partition(self.settings.lake, CHECKPOINTS, {"run": self.experiment.run}, table, fingerprint)
