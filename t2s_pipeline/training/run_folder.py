"""A run's folder and its two tables: which run they belong to, and when they are finished."""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.atomic_files import disk_room
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint as fingerprint_from
from t2s_pipeline.core.outside_files import outside_object
from t2s_pipeline.core.revision import revision
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.schema import CHECKPOINTS, IMAGES, PSEUDO_LABELS, SAMPLES, TRAINING_LOG
from t2s_pipeline.lake.store import copy_partition, fingerprint_of, write_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.continuation import Origin
from t2s_pipeline.training.keeping import dispensable, val_giou
from t2s_pipeline.training.log import TrainingLog


@dataclass(frozen=True)
class RunFolder:
    """``T2S_HOME/runs/<run>`` for one experiment.

    Attributes:
        origin: what the run is made from now. Its checkpoints may have been made from something else.
        settings: names T2S_HOME.
        fingerprint: of code, data and settings, for the tables.
    """

    origin: Origin
    settings: Settings
    fingerprint: str

    @classmethod
    def of(cls, experiment: Experiment, home: Path, fingerprint: str, code: str = "") -> "RunFolder":
        """The folder of an experiment's run.

        Args:
            experiment: decides the run's name.
            home: T2S_HOME.
            fingerprint: of code, data and settings, as the caller computes it; "" for that of data and settings.
            code: fingerprint of the training code; "" if the caller does not know it.
        """
        settings = Settings.of_worker(home)
        split = {"dataset": experiment.dataset, "split": "train"}
        data = fingerprint_from(
            **{table.name: fingerprint_of(settings.lake, table, split) for table in (IMAGES, SAMPLES)}
        )
        for other in experiment.train_datasets[1:]:
            more = fingerprint_of(settings.lake, SAMPLES, {"dataset": other, "split": "train"})
            data = fingerprint_from(data=data, calibration=more)
        if experiment.recipe.labels:
            labels = fingerprint_of(settings.lake, PSEUDO_LABELS, {"method": experiment.recipe.labels, **split})
            data = fingerprint_from(data=data, labels=labels)
        default = fingerprint_from(data=data, experiment=experiment.fingerprint)
        return cls(Origin(experiment, data, code=code, revision=revision()), settings, fingerprint or default)

    def made_from(self, base: str, segmenter: str) -> "RunFolder":
        """The same folder, when the SHA-256 of the weights of base and segmenter are known."""
        return replace(self, origin=replace(self.origin, base=base, segmenter=segmenter))

    @property
    def experiment(self) -> Experiment:
        """The settings of the run."""
        return self.origin.experiment

    @property
    def path(self) -> Path:
        """The folder."""
        return self.settings.runs / self.experiment.run

    def latest(self) -> Checkpoint | None:
        """The latest complete checkpoint, whatever it was made from."""
        return checkpoints.latest(self.path)

    def set_aside(self) -> Path | None:
        """Move a run with complete checkpoints out of the way, with its log. Each run that was moved is kept.

        Returns:
            The new place; None if nothing was moved.
        """
        if self.latest() is None:
            return None
        run = {"run": self.experiment.run}
        copy_partition(self.settings.lake, TRAINING_LOG, run, self.path / f"{TRAINING_LOG.name}.parquet")
        return checkpoints.set_aside(self.path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Lock the run against other processes. The lock ends with this process, also after a kill.

        Raises:
            InputError: if another process is training the run.
        """
        self.settings.runs.mkdir(parents=True, exist_ok=True)
        with (self.settings.runs / f".{self.experiment.run}.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(
                    f"{self.experiment.run} is being trained by another process. Wait until it has finished."
                ) from None
            yield

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """An empty folder for unfinished files, which is removed at the end. Files of a killed run are removed too."""
        folder = checkpoints.staging(self.path)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            with disk_room(folder):
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staged: Path, step: int, steps: int) -> Checkpoint:
        """Make a checkpoint complete and add it to the table.

        Args:
            staged: the folder with the unfinished checkpoint.
            step: its optimizer step.
            steps: of the whole run.
        """
        _name_base(staged, self.experiment.prompter)
        checkpoint = checkpoints.publish(
            staged,
            Checkpoint(
                path=self.path / f"checkpoint-{step}",
                run=self.experiment.run,
                step=step,
                steps=steps,
                experiment=self.experiment.as_json(),
                fingerprint=self.fingerprint,
                data_fingerprint=self.origin.data,
                sha256=weights_sha256(staged),
                created_at=datetime.now(UTC).isoformat(),
                base_sha256=self.origin.base,
                segmenter_sha256=self.origin.segmenter,
                code=self.origin.code,
                revision=self.origin.revision,
            ),
        )
        self._list_checkpoints("")
        return checkpoint

    def prune(self) -> list[Checkpoint]:
        """Remove the checkpoints that ``watch.keep_last`` and ``watch.keep_best`` do not keep; return them."""
        watch = self.experiment.watch
        scores = val_giou(self.settings.lake, self.experiment)
        every = self.experiment.grpo.checkpoint_every

        def is_awaited(checkpoint: Checkpoint) -> bool:
            return watch.validates(checkpoint.step, checkpoint.final, every)

        complete = checkpoints.complete(self.path)
        removed = dispensable(complete, scores, watch.keep_last, watch.keep_best, is_awaited)
        for checkpoint in removed:
            checkpoints.remove(checkpoint)
        if removed:
            self._list_checkpoints("")
        return removed

    def update_settings(self) -> bool:
        """Write the present settings into finished checkpoints. Call this only if no learned setting differs.

        Returns:
            True if a checkpoint had other settings.
        """
        settings = self.experiment.as_json()
        outdated = [checkpoint for checkpoint in checkpoints.complete(self.path) if checkpoint.experiment != settings]
        for checkpoint in outdated:
            checkpoints.update_settings(checkpoint, settings)
        if outdated:
            self._list_checkpoints(self.fingerprint)
        return bool(outdated)

    def log(self, up_to: int) -> TrainingLog:
        """The run's log, with the rows of an earlier process up to a step."""
        log = TrainingLog(self.settings.lake, self.experiment.run)
        log.resume(up_to)
        return log

    def finish(self, log: TrainingLog) -> None:
        """Give both tables the fingerprint, which means that they are finished."""
        log.finish(self.fingerprint)
        self._list_checkpoints(self.fingerprint)

    def is_recorded(self) -> bool:
        """True if both tables have the fingerprint of this finished run."""
        partition = {"run": self.experiment.run}
        fingerprints = {fingerprint_of(self.settings.lake, table, partition) for table in (TRAINING_LOG, CHECKPOINTS)}
        return fingerprints == {self.fingerprint}

    def _list_checkpoints(self, fingerprint: str) -> None:
        rows = [
            {
                "system": checkpoint.name,
                "experiment": self.experiment.name,
                "step": checkpoint.step,
                "path": checkpoint.path.relative_to(self.settings.home).as_posix(),
                "sha256": checkpoint.sha256,
                "base_model": self.experiment.prompter,
                "settings": json.dumps(checkpoint.experiment, sort_keys=True),
                "created_at": datetime.fromisoformat(checkpoint.created_at),
            }
            for checkpoint in checkpoints.complete(self.path)
        ]
        table = pa.Table.from_pylist(rows, schema=CHECKPOINTS.schema)
        write_partition(self.settings.lake, CHECKPOINTS, {"run": self.experiment.run}, table, fingerprint)


def _name_base(staged: Path, base: str) -> None:
    """Write the name of the base into the configuration of adapters, in place of the path that it was loaded from."""
    file = staged / "adapter_config.json"
    if file.is_file():
        content = outside_object(file)
        file.write_text(json.dumps({**content, "base_model_name_or_path": base}, indent=2, sort_keys=True), "utf-8")
