"""What an evaluation will cost, before it runs: answers, device hours, hours and bytes.

A rate that was measured in this T2S_HOME comes first: the mean of ``completions.seconds`` of the same system on any
split, and the seconds of its step ``segment``. Where nothing was measured, the time of an answer is estimated from the
sizes of the model. The estimate counts generating, and a constant for masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow.compute as pc

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import BENCHMARKS
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, read_partition, row_count, stored_file
from t2s_pipeline.lake.table import Table
from t2s_pipeline.methods.system import System
from t2s_pipeline.training.architecture import architecture
from t2s_pipeline.training.estimate import DEVICES, answer_seconds

SEGMENT_SECONDS = 0.1
"""Seconds per mask of SAM 2.1 on a GPU, where nothing was measured."""

ANSWER_BYTES = 4_000
"""Bytes of an answer and its masks in the lake, where there are none to measure."""

ESTIMATED_DEVICE = DEVICES[1]


@dataclass(frozen=True)
class BilledSplit:
    """What one system costs on one split.

    Attributes:
        system: its name.
        dataset: key of the dataset.
        split: of the dataset.
        answers: questions that will be answered.
        counted: they were counted in the lake; False: one question for each sample that the authors count.
        seconds: of one device per answer with its masks; None if nothing is known.
        source: where ``seconds`` come from, in words.
        size: bytes that the lake grows by.
    """

    system: str
    dataset: str
    split: str
    answers: int
    counted: bool
    seconds: float | None
    source: str
    size: int

    @property
    def device_hours(self) -> float | None:
        """Hours of one device."""
        return None if self.seconds is None else self.answers * self.seconds / 3600


def bill(
    settings: Settings, systems: Sequence[System], datasets: Sequence[str], splits: Sequence[str]
) -> list[BilledSplit]:
    """What systems cost on splits.

    Args:
        settings: names T2S_HOME.
        systems: who answers.
        datasets: keys of datasets; empty: the one that each system was trained on.
        splits: of each dataset.

    Raises:
        InputError: if the number of questions of a split is not known.
    """
    rows = []
    for system in systems:
        seconds, source = _seconds(settings, system)
        size = _bytes_per_answer(settings, system)
        for dataset in datasets or [system.dataset]:
            for split in splits:
                answers, counted = _answers(settings, dataset, split)
                rows.append(
                    BilledSplit(system.name, dataset, split, answers, counted, seconds, source, round(answers * size))
                )
    return rows


def _answers(settings: Settings, dataset: str, split: str) -> tuple[int, bool]:
    """The questions of a split, and whether they were counted."""
    partition = {"dataset": dataset, "split": split}
    if partition in list_partitions(settings.lake, schema.SAMPLES):
        questions = read_partition(settings.lake, schema.SAMPLES, partition, ["questions"])["questions"]
        return pc.sum(pc.list_value_length(questions)).as_py() or 0, True
    published = BENCHMARKS[dataset].samples.get(split) if dataset in BENCHMARKS else None
    if published is None:
        raise InputError(
            f"{dataset}-{split} is not in the lake, and its size is not known: `t2s ingest {dataset}` first."
        )
    return published, False


def _seconds(settings: Settings, system: System) -> tuple[float | None, str]:
    """Seconds of one device per answer, and where they come from."""
    total, count = 0.0, 0
    for partition in _partitions(settings, schema.COMPLETIONS, system):
        seconds = read_partition(settings.lake, schema.COMPLETIONS, partition, ["seconds"])["seconds"]
        total, count = total + (pc.sum(seconds).as_py() or 0.0), count + len(seconds)
    if count:
        return total / count + _segment_seconds(settings, system), f"measured on {count:,} answers"
    sizes = architecture(system.prompter)
    if sizes is None:
        return None, "nothing measured, and the model is not known"
    generation = system.generation
    estimate = answer_seconds(sizes, ESTIMATED_DEVICE, generation.max_new_tokens, generation.batch_size)
    return estimate + SEGMENT_SECONDS, f"estimated for {ESTIMATED_DEVICE.name}"


def _segment_seconds(settings: Settings, system: System) -> float:
    """Seconds per answer of the step ``segment``, as it was measured for this system."""
    partition = {"step_name": "segment"}
    if partition not in list_partitions(settings.lake, schema.STEP_TIMES):
        return SEGMENT_SECONDS
    table = read_partition(settings.lake, schema.STEP_TIMES, partition, ["subject", "seconds", "rows_written"])
    rows = [row for row in table.to_pylist() if row["subject"].split(" ")[0] == system.name and row["rows_written"]]
    return sum(row["seconds"] for row in rows) / sum(row["rows_written"] for row in rows) if rows else SEGMENT_SECONDS


def _bytes_per_answer(settings: Settings, system: System) -> float:
    """Bytes of completions and predictions per answer, as this system or any other has them here."""
    size = count = 0
    for table in (schema.COMPLETIONS, schema.PREDICTIONS):
        for partition in _partitions(settings, table, system) or list_partitions(settings.lake, table):
            file = stored_file(settings.lake, table, partition)
            size += file.size if file is not None else 0
            count += row_count(settings.lake, table, partition) if table is schema.COMPLETIONS else 0
    return size / count if count else ANSWER_BYTES


def _partitions(settings: Settings, table: Table, system: System) -> list[dict[str, str]]:
    return [each for each in list_partitions(settings.lake, table) if each["system"] == system.name]
