"""What a step of the pipeline is: a declaration of what it reads, what it writes, which code counts and what it does.

Each step is a frozen dataclass whose fields say what it is applied to. ``steps/runner.py`` decides from the
declaration whether there is anything to do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.launch import Launch
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import EMBEDDED
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.store import fingerprint_of
from t2s_pipeline.lake.summaries import Number, numbers
from t2s_pipeline.lake.table import Table


@dataclass(frozen=True)
class LakePartition:
    """A partition of a table of the lake."""

    table: Table
    partition: Partition

    def __str__(self) -> str:
        values = ", ".join(f"{column} {value}" for column, value in self.partition.items())
        return f"{self.table.name} of {values}" if values else self.table.name

    def fingerprint(self, lake: LakePlace) -> str | None:
        """The fingerprint of what the partition was made from; None if it is missing or damaged."""
        return fingerprint_of(lake, self.table, self.partition)

    def required_fingerprint(self, lake: LakePlace) -> str:
        """The fingerprint of a partition that another step reads.

        Raises:
            NotMaterializedError: if the partition is missing or damaged.
        """
        fingerprint = self.fingerprint(lake)
        if fingerprint is None:
            raise NotMaterializedError(f"{self} is needed first: `{self.command}` makes it.")
        return fingerprint

    @property
    def command(self) -> str:
        """The command that makes the partition."""
        partition = self.partition
        split = f"--dataset {partition.get('dataset')} --split {partition.get('split')}"
        match self.table:
            case schema.IMAGES | schema.SAMPLES | schema.SELECTIONS | schema.REJECTS | schema.NOTES:
                # The embedded scenes are painted by the demo.
                return "t2s demo" if partition["dataset"] == EMBEDDED else f"t2s ingest {partition['dataset']}"
            case schema.PSEUDO_LABELS:
                return f"t2s label {partition['method']} {split}"
            case schema.LABEL_QUALITY:
                return f"t2s judge {partition['method']} {split}"
            case schema.PREDICTION_REJECTS:
                return f"t2s score {partition['system']}"
            case schema.CHECKPOINTS | schema.TRAINING_LOG | schema.TRAINING_SAMPLES:
                return f"t2s train {partition['run']}"
            case schema.SCENES | schema.STANDING_QUESTIONS | schema.SCENE_OBJECTS:
                return "t2s scenes answer"
            case schema.BENCHMARK_METRICS | schema.PAIRED_DIFFERENCES:
                return "t2s summarize"
            case schema.AGREEMENT:
                return f"t2s evaluate {partition['system']} {split} --completions 8"
            case schema.RISK_THRESHOLDS:
                return f"t2s abstain {partition['system']} --dataset {partition['dataset']}"
            case _ if "system" in partition:
                return f"t2s evaluate {partition['system']} {split}"
        return "t2s demo"


@dataclass(frozen=True)
class StepReport:
    """What a step left: a partition, its number of rows, and the numbers that describe it."""

    table: str
    partition: Partition
    rows: int
    skipped: bool
    """True if the finished work was still valid, so that nothing was done."""
    metadata: dict[str, Number] = field(default_factory=dict)

    def __str__(self) -> str:
        values = " ".join(self.partition.values())
        described = ", ".join(f"{name} {_short(value)}" for name, value in self.metadata.items())
        already = " (already done)" if self.skipped else ""
        return f"{self.table:<18} {values}{': ' if values else ''}{described}{already}"


def _short(value: Number) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Context:
    """What a step can use while it works.

    Attributes:
        settings: names T2S_HOME, where everything is read and written.
        launch: runs the worker, the process that loads models.
        say: takes one sentence for people.
        fresh: redo finished work.
        progress: shows how far a long step in this process is. The worker shows its own progress.
    """

    settings: Settings
    launch: Launch
    say: Callable[[str], None] = print
    fresh: bool = False
    progress: Progress = field(default_factory=NoProgress)

    def worker(self, verb: str, fingerprint: str, *arguments: str) -> None:
        """Run one command of the worker to its end.

        Raises:
            T2SError: if it fails.
        """
        self.launch([verb, *arguments, "--home", str(self.settings.home), "--fingerprint", fingerprint])


class Step(ABC):
    """One step of the pipeline, applied to what its fields name."""

    name: ClassVar[str]
    """The verb, for example ``complete``."""
    code: ClassVar[str]
    """The module below ``t2s_pipeline`` that does the work. Its code and all code that it imports count."""

    @abstractmethod
    def writes(self) -> Sequence[LakePartition]:
        """The partitions that the step makes."""

    def reads(self) -> Sequence[LakePartition]:
        """The partitions that the step reads. They must exist, and their fingerprints count."""
        return ()

    def inputs(self, context: Context) -> Mapping[str, object]:
        """Everything else that the result depends on: settings, weights, files."""
        return {}

    @abstractmethod
    def work(self, context: Context, fingerprint: str) -> None:
        """Make what ``writes`` names, and store ``fingerprint`` with it."""

    def finished(self, context: Context) -> str | None:
        """The fingerprint of the finished work; None if it is missing, damaged or only partly there."""
        fingerprints = {partition.fingerprint(context.settings.lake) for partition in self.writes()}
        return fingerprints.pop() if len(fingerprints) == 1 else None

    def is_valid(self, context: Context, fingerprint: str) -> bool:
        """Whether the finished work stays: by default, if it was made from what ``fingerprint`` covers now."""
        return self.finished(context) == fingerprint

    def after_skipping(self, context: Context, fingerprint: str) -> None:
        """What remains to be done although the finished work is still valid. By default nothing."""
        return

    def reports(self, context: Context, skipped: bool) -> list[StepReport]:
        """One report per partition that the step makes."""
        reports = []
        for target in self.writes():
            rows, metadata = numbers(context.settings.lake, target.table, target.partition)
            reports.append(StepReport(target.table.name, target.partition, rows, skipped, metadata))
        return reports
