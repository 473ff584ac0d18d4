"""Score a system of another project: its masks or texts are written into the lake, and then scored like our own."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.names import require_name
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.coco import read_json
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.methods.experiments import EXPERIMENTS, READY, experiment
from t2s_pipeline.steps.answers import Segment
from t2s_pipeline.steps.external.answers import is_answers, match_answers
from t2s_pipeline.steps.external.foreign_mask import MaskOptions
from t2s_pipeline.steps.external.masks import read_masks
from t2s_pipeline.steps.external.placed import places_of
from t2s_pipeline.steps.external.predictions import match_masks, sizes_of
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Summarize, score_under_every_protocol
from t2s_pipeline.steps.step import StepReport
from t2s_pipeline.systems.answering_settings import with_answering
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.systems.text_answers import remember
from t2s_pipeline.vision.geometry import FULL_SIDE

FOREIGN_SEGMENTER = "elsewhere"
"""The segmenter's name in the lake for predictions that came as masks."""


@dataclass(frozen=True)
class ForeignAnswers:
    """The predictions that are to be scored, and how they are read.

    Attributes:
        name: the name of the system in the tables.
        predictions: a folder or file of masks, or the authors' ``geo_results.json``.
        dataset: key of the dataset.
        split: of the dataset.
        side: of the square of the reference protocol, in pixels. By default the side of the masks, else ``FULL_SIDE``.
        question: the question that a mask answers if it does not say so itself.
        answers_as: for texts: the experiment whose prompt combination they are written in, and whose segmenter
            segments them.
        options: how masks are read where their files alone do not decide it.
        overrides: for texts: changed settings of ``answers_as``, such as ``segmenter=my-sam``.
    """

    name: str
    predictions: Path
    dataset: str
    split: str
    side: int | None = None
    question: int = 0
    answers_as: str = "think2seg-rs-3b"
    options: MaskOptions = field(default_factory=MaskOptions)
    overrides: tuple[str, ...] = ()

    @property
    def partition(self) -> dict[str, str]:
        """The dataset and split."""
        return {"dataset": self.dataset, "split": self.split}


def score_foreign(runner: Runner, foreign: ForeignAnswers) -> list[StepReport]:
    """Read the predictions, score them under both protocols, and summarize.

    Returns:
        The reports of the steps that ran.

    Raises:
        InputError: if one of our own systems has the name, nothing can be read, or nothing belongs to the split.
        NotMaterializedError: if the split is not in the lake.
    """
    _require_free(runner.settings, foreign.name)
    if foreign.predictions.suffix.lower() == ".json":
        content = read_json(foreign.predictions)
        if is_answers(content):
            return [*_score_answers(runner, foreign, content), *runner.run(Summarize())]
    return [*_score_masks(runner, foreign), *runner.run(Summarize())]


def _score_masks(runner: Runner, foreign: ForeignAnswers) -> list[StepReport]:
    lake = runner.settings.lake
    samples = read_partition(lake, schema.SAMPLES, foreign.partition)
    images = read_partition(lake, schema.IMAGES, foreign.partition, ["image_id", "crs", "transform"])
    places = places_of(samples, images)
    entries = read_masks(foreign.predictions, sizes_of(samples), foreign.options, places)
    matched = match_masks(entries, samples, foreign.side, foreign.question)
    if matched.predictions.num_rows == 0:
        surplus = set(matched.rejects["reason"].to_pylist()) <= {"surplus", "missing"}
        raise InputError(
            f"Of {foreign.predictions} nothing {'belongs to' if surplus else 'can be used for'} "
            f"{foreign.dataset}-{foreign.split} ({_count_by_reason(matched.rejects)}). {_first_fault(matched.rejects)}"
        )
    _write_rejects(runner, foreign, matched.rejects)
    for note in matched.notes:
        runner.say(f"{foreign.name} on {foreign.dataset}-{foreign.split}: {note}")
    partition = {**foreign.partition, "system": foreign.name, "segmenter": FOREIGN_SEGMENTER}
    write_partition(lake, schema.PREDICTIONS, partition, matched.predictions, _fingerprint(matched.predictions))
    return _score(runner, foreign, FOREIGN_SEGMENTER)


def _score_answers(runner: Runner, foreign: ForeignAnswers, content: dict[str, Any]) -> list[StepReport]:
    lake = runner.settings.lake
    combination = with_answering(experiment(foreign.answers_as), foreign.overrides).recipe.combination
    samples = read_partition(lake, schema.SAMPLES, foreign.partition)
    images = read_partition(lake, schema.IMAGES, foreign.partition, ["image_id", "file_name"])
    side = foreign.side or FULL_SIDE
    matched = match_answers(content, samples, images, combination, side, foreign.predictions.name)
    _write_rejects(runner, foreign, matched.rejects)
    remember(runner.settings, foreign.name, foreign.answers_as, foreign.overrides)
    partition = {**foreign.partition, "system": foreign.name}
    write_partition(lake, schema.COMPLETIONS, partition, matched.completions, _fingerprint(matched.completions))
    system = resolve(foreign.name, runner.settings)
    reports = runner.run(Segment(system, foreign.dataset, foreign.split))
    return [*reports, *_score(runner, foreign, system.segmenter_name)]


def _score(runner: Runner, foreign: ForeignAnswers, segmenter_name: str) -> list[StepReport]:
    steps = score_under_every_protocol(foreign.name, segmenter_name, foreign.dataset, foreign.split)
    return [report for step in steps for report in runner.run(step)]


def _write_rejects(runner: Runner, foreign: ForeignAnswers, rejects: pa.Table) -> None:
    partition = {"system": foreign.name, **foreign.partition}
    write_partition(runner.settings.lake, schema.PREDICTION_REJECTS, partition, rejects)
    counts = _count_by_reason(rejects) or "every sample has an answer"
    runner.say(f"{foreign.name} on {foreign.dataset}-{foreign.split}: {counts}")


def _count_by_reason(rejects: pa.Table) -> str:
    """The number of rejects per reason, such as ``2 missing, 1 surplus``; empty if there is none."""
    counts = {entry["values"]: entry["counts"] for entry in rejects["reason"].value_counts().to_pylist()}
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def _first_fault(rejects: pa.Table) -> str:
    """The first entry that is not used, in words."""
    faults = [row for row in rejects.to_pylist() if row["reason"] != "missing"]
    if not faults:
        return "The file holds no entry."
    first = next((row for row in faults if row["reason"] != "surplus"), faults[0])
    matched = " Masks are matched by sample_id." if first["reason"] == "surplus" else ""
    return f"The first: {first['source']}: {first['detail']}.{matched}"


def _fingerprint(rows: pa.Table) -> str:
    """The fingerprint of foreign rows: a hash of the rows themselves."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return fingerprint(rows=hashlib.sha256(sink.getvalue()).hexdigest())


def _require_free(settings: Settings, name: str) -> None:
    """Check that none of our own systems has the name: its results would be replaced."""
    require_name(name, "system")
    base = name.partition("-seed")[0]
    in_use = (
        base in EXPERIMENTS
        or name in READY
        or any((folder / name).exists() for folder in (settings.runs, settings.watched))
    )
    if in_use:
        raise InputError(f"{name} is the name of one of our systems: choose another name, such as {name}-elsewhere.")
