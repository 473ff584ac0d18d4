"""Scoring a system made elsewhere: its masks or texts go into the lake, and from there on it is one like any other."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.names import require_name
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.coco import read_json
from t2s_pipeline.external.answers import is_answers, take_answers
from t2s_pipeline.external.masks import read_masks
from t2s_pipeline.external.predictions import sizes_of, take
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.methods.experiments import EXPERIMENTS, ZERO_SHOT, experiment
from t2s_pipeline.steps.answers import Segment
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Summarize, score_under_every_protocol
from t2s_pipeline.steps.step import StepReport
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.systems.text_answers import remember
from t2s_pipeline.vision.geometry import FULL_SIDE

DRAWN_ELSEWHERE = "elsewhere"
"""The segmenter of masks that came as masks."""


@dataclass(frozen=True)
class ForeignAnswers:
    """What is to be scored, and how it is to be read."""

    name: str
    predictions: Path
    dataset: str
    split: str
    side: int | None = None
    question: int = 0
    answers_as: str = "think2seg-rs-3b"
    """For texts: the experiment whose prompt combination they are written in and whose segmenter draws them."""


def score_foreign(runner: Runner, foreign: ForeignAnswers) -> list[StepReport]:
    """Take in, score under both protocols, summarize.

    Raises:
        InputError: if the name is one of ours, nothing can be read, or nothing belongs to the split.
        NotMaterializedError: if the split is not in the lake.
    """
    _require_free(runner.settings, foreign.name)
    if foreign.predictions.suffix.lower() == ".json":
        content = read_json(foreign.predictions)
        if is_answers(content):
            return [*_score_answers(runner, foreign, content), *runner.run(Summarize())]
    return [*_score_masks(runner, foreign), *runner.run(Summarize())]


def _score_masks(runner: Runner, foreign: ForeignAnswers) -> list[StepReport]:
    lake, place = runner.settings.lake, {"dataset": foreign.dataset, "split": foreign.split}
    samples = read_partition(lake, schema.SAMPLES, place)
    taken = take(read_masks(foreign.predictions, sizes_of(samples)), samples, foreign.side, foreign.question)
    if taken.predictions.num_rows == 0:
        raise InputError(
            f"Of {foreign.predictions} nothing belongs to {foreign.dataset}-{foreign.split} "
            f"({_counted(taken.rejects)}): masks are matched by sample_id."
        )
    _keep_rejects(runner, foreign, taken.rejects)
    partition = {**place, "system": foreign.name, "segmenter": DRAWN_ELSEWHERE}
    write_partition(lake, schema.PREDICTIONS, partition, taken.predictions, _mark(taken.predictions))
    return _score(runner, foreign, DRAWN_ELSEWHERE)


def _score_answers(runner: Runner, foreign: ForeignAnswers, content: dict) -> list[StepReport]:
    lake, place = runner.settings.lake, {"dataset": foreign.dataset, "split": foreign.split}
    plan = experiment(foreign.answers_as)
    samples = read_partition(lake, schema.SAMPLES, place)
    images = read_partition(lake, schema.IMAGES, place, ["image_id", "file_name"])
    side = foreign.side or FULL_SIDE
    texts, rejects = take_answers(content, samples, images, plan.recipe.combination, side, foreign.predictions.name)
    _keep_rejects(runner, foreign, rejects)
    remember(runner.settings, foreign.name, foreign.answers_as)
    partition = {**place, "system": foreign.name}
    write_partition(lake, schema.COMPLETIONS, partition, texts, _mark(texts))
    system = resolve(foreign.name, runner.settings)
    reports = runner.run(Segment(system, foreign.dataset, foreign.split))
    return [*reports, *_score(runner, foreign, system.segmenter_name)]


def _score(runner: Runner, foreign: ForeignAnswers, segmenter_name: str) -> list[StepReport]:
    steps = score_under_every_protocol(foreign.name, segmenter_name, foreign.dataset, foreign.split)
    return [report for step in steps for report in runner.run(step)]


def _keep_rejects(runner: Runner, foreign: ForeignAnswers, rejects: pa.Table) -> None:
    partition = {"system": foreign.name, "dataset": foreign.dataset, "split": foreign.split}
    write_partition(runner.settings.lake, schema.PREDICTION_REJECTS, partition, rejects)
    runner.say(
        f"{foreign.name} on {foreign.dataset}-{foreign.split}: {_counted(rejects) or 'every sample has its answer'}"
    )


def _counted(rejects: pa.Table) -> str:
    counts = rejects["reason"].value_counts().to_pylist()
    return ", ".join(f"{count['counts']} {count['values']}" for count in sorted(counts, key=lambda one: one["values"]))


def _mark(rows: pa.Table) -> str:
    """The fingerprint of what was taken in: of the rows themselves."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_table(rows.combine_chunks())
    return fingerprint(rows=hashlib.sha256(sink.getvalue()).hexdigest())


def _require_free(settings: Settings, name: str) -> None:
    """Prove that the name is not one of our own systems', whose results it would replace."""
    require_name(name, "system")
    base = name.partition("-seed")[0]
    taken = (
        base in EXPERIMENTS
        or name in ZERO_SHOT
        or any((folder / name).exists() for folder in (settings.runs, settings.watched))
    )
    if taken:
        raise InputError(f"{name} is a system of ours: take another name, such as {name}-elsewhere.")
