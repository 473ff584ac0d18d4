"""Steps that turn masks into scores and scores into metrics, and that publish the paper's own numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from t2s_pipeline.datasets.registry import published_rule
from t2s_pipeline.evaluation.metrics import benchmark_metrics
from t2s_pipeline.evaluation.pairs import all_differences, pairs
from t2s_pipeline.evaluation.score import (
    BATCH_ROWS,
    COLUMNS_OF_QUESTIONS,
    COLUMNS_OF_SAMPLES,
    PROTOCOLS,
    columns_of_answers,
    score_batches,
)
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.published import PUBLISHED_CSV, published_metrics
from t2s_pipeline.lake.store import list_partitions, read_partition, replacing_partitions, scan, write_partition
from t2s_pipeline.methods.experiments import ZERO_SHOT
from t2s_pipeline.steps.provenance import Recorded
from t2s_pipeline.steps.step import Context, LakePartition, Step


@dataclass(frozen=True)
class Score(Step):
    """A system's masks are compared with the ground truth under one protocol.

    Attributes:
        system_name: the system whose predictions are scored.
        segmenter_name: the segmenter that made the masks, as the table ``predictions`` names it.
        protocol: one of ``PROTOCOLS``.
    """

    system_name: str
    segmenter_name: str
    dataset: str
    split: str
    protocol: str

    name: ClassVar[str] = "score"
    code: ClassVar[str] = "evaluation.score"

    @property
    def _split(self) -> Partition:
        return {"dataset": self.dataset, "split": self.split}

    def writes(self) -> Sequence[LakePartition]:
        """The scores of the system's answers."""
        partition = {**self._split, "system": self.system_name, "protocol": self.protocol}
        return [LakePartition(schema.SAMPLE_SCORES, partition)]

    def reads(self) -> Sequence[LakePartition]:
        """The samples and the system's predictions."""
        predictions = {**self._split, "system": self.system_name, "segmenter": self.segmenter_name}
        return [LakePartition(schema.SAMPLES, self._split), LakePartition(schema.PREDICTIONS, predictions)]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The rule that chooses the question of a sample."""
        return {"published_rule": published_rule(self.dataset)}

    def work(self, context: Context, fingerprint: str) -> None:
        """Score every answer. The masks are read in batches: those of a large split take more than a gigabyte."""
        lake = context.settings.lake
        of_samples, of_predictions = ((lake, source.table, source.partition) for source in self.reads())
        batches = scan(*of_predictions, columns_of_answers(self.protocol), BATCH_ROWS)
        scores = score_batches(
            read_partition(*of_samples, COLUMNS_OF_SAMPLES),
            read_partition(*of_predictions, COLUMNS_OF_QUESTIONS),
            batches,
            self.protocol,
            published_rule(self.dataset),
        )
        (target,) = self.writes()
        write_partition(lake, target.table, target.partition, scores, fingerprint)


def score_under_every_protocol(system_name: str, segmenter_name: str, dataset: str, split: str) -> Iterator[Score]:
    """One step per protocol."""
    for protocol in PROTOCOLS:
        yield Score(system_name, segmenter_name, dataset, split, protocol)


@dataclass(frozen=True)
class Summarize(Step):
    """Every scored system's metrics with intervals, and its difference from every other on the same images."""

    name: ClassVar[str] = "summarize"
    code: ClassVar[str] = "evaluation.metrics"

    def writes(self) -> Sequence[LakePartition]:
        """The metrics and the paired differences."""
        return [LakePartition(table, {}) for table in (schema.BENCHMARK_METRICS, schema.PAIRED_DIFFERENCES)]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """All scores that are there now, and what each system may be compared with."""
        lake = context.settings.lake
        scored = [
            LakePartition(schema.SAMPLE_SCORES, partition) for partition in list_partitions(lake, schema.SAMPLE_SCORES)
        ]
        recorded = Recorded(lake)
        return {
            "scored": [[scores.partition, scores.fingerprint(lake)] for scores in scored],
            "provenance": [
                recorded.provenance(each.partition["system"], each.partition["dataset"], each.partition["split"])
                for each in scored
            ],
        }

    def work(self, context: Context, fingerprint: str) -> None:
        """Summarize all scores; both tables change together."""
        lake = context.settings.lake
        recorded = Recorded(lake)
        metrics = [schema.BENCHMARK_METRICS.schema.empty_table()]
        differences = [schema.PAIRED_DIFFERENCES.schema.empty_table()]
        for shared, systems in _systems_by_split(list_partitions(lake, schema.SAMPLE_SCORES)).items():
            split = dict(shared)
            scores = {}
            for system in systems:
                partition = {"system": system, **split}
                scores[system] = read_partition(lake, schema.SAMPLE_SCORES, partition)
                metrics.append(_with_provenance(benchmark_metrics(scores[system], **partition), recorded))
            differences.append(all_differences(scores, pairs(systems, ZERO_SHOT), **split))
        tables = [target.table for target in self.writes()]
        with replacing_partitions(lake, tables, {}, fingerprint) as writers:
            for writer, rows in zip(writers, (metrics, differences), strict=True):
                for batch in pa.concat_tables(rows).to_batches():
                    writer.add(batch)


def _with_provenance(metrics: pa.Table, recorded: Recorded) -> pa.Table:
    """The row of ``benchmark_metrics`` with what the system may be compared with."""
    (row,) = metrics.to_pylist()
    of_row = recorded.provenance(row["system"], row["dataset"], row["split"], row["n"])
    differs = None if of_row.differs is None else "; ".join(of_row.differs)
    filled = {**row, "base": of_row.base, "differs": differs}
    return pa.Table.from_pylist([filled], schema=metrics.schema)


def _systems_by_split(scored: Sequence[Partition]) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Dataset, split and protocol → the systems that were scored there."""
    systems: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for partition in scored:
        shared = tuple((column, value) for column, value in partition.items() if column != "system")
        systems.setdefault(shared, []).append(partition["system"])
    return systems


@dataclass(frozen=True)
class Publish(Step):
    """The paper's own numbers, to stand beside the measured ones."""

    name: ClassVar[str] = "publish"
    code: ClassVar[str] = "lake.published"

    def writes(self) -> Sequence[LakePartition]:
        """The published metrics."""
        return [LakePartition(schema.PUBLISHED_METRICS, {})]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The numbers as text."""
        return {"csv": PUBLISHED_CSV.read_text("utf-8")}

    def work(self, context: Context, fingerprint: str) -> None:
        """Copy the numbers into the lake."""
        write_partition(context.settings.lake, schema.PUBLISHED_METRICS, {}, published_metrics(), fingerprint)
