"""Every step on the way of a few samples, each run by a command of its own: ``python -m tests.faults.stages NAME``."""

import sys
from collections.abc import Callable

from t2s_pipeline.cli import fail
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiments import BASELINE
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS
from t2s_pipeline.steps.answers import Agree, Complete, Segment
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes
from t2s_pipeline.steps.labels import Judge, MakeLabels
from t2s_pipeline.steps.report import Report
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Publish, Summarize, score_under_every_protocol
from t2s_pipeline.steps.training import Train
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.worker.launcher import plain_launch

SEGMENTER = "sam2-mini"
SYNTHETIC = "synthetic"
Answers = tuple[str, str]
TEST: Answers = (SYNTHETIC, "test")


def _read_tables(runner: Runner) -> None:
    for split in ("train", "test"):
        runner.run(ReadTables(SYNTHETIC, split))


def _label(runner: Runner) -> None:
    for split in ("train", "test"):
        for method in LABELLINGS:
            runner.run(MakeLabels(method, SYNTHETIC, split))


def _train(runner: Runner) -> None:
    runner.run(Train("seg-zero-mini", ("grpo.steps=2", "grpo.checkpoint_every=1", "watch.validate=none")))


def _complete(runner: Runner) -> None:
    runner.run(Complete(resolve(BASELINE, runner.settings), *TEST))


def _segment(runner: Runner) -> None:
    runner.run(Segment(resolve(BASELINE, runner.settings), *TEST))


def _agree(runner: Runner) -> None:
    runner.run(Agree(resolve(BASELINE, runner.settings), *TEST, Sampling(completions=2, max_questions=1)))


def _score(runner: Runner) -> None:
    for step in score_under_every_protocol(BASELINE, SEGMENTER, *TEST):
        runner.run(step)


STAGES: dict[str, Callable[[Runner], object]] = {
    "scenes": lambda runner: runner.run(SyntheticScenes(12, 1, 6)),
    "tables": _read_tables,
    "label": _label,
    "judge": lambda runner: runner.run(Judge(SEGMENTER, *TEST)),
    "train": _train,
    "complete": _complete,
    "segment": _segment,
    "agree": _agree,
    "score": _score,
    "summarize": lambda runner: runner.run(Summarize()),
    "publish": lambda runner: runner.run(Publish()),
    "report": lambda runner: runner.run(Report(SYNTHETIC)),
}
"""In the order in which they are done: each reads what those before it made."""


def main() -> None:
    """Do one step. A fault that a user can repair is one line, as on the command line."""
    settings = Settings.from_env()
    try:
        STAGES[sys.argv[1]](Runner(settings, plain_launch(settings), progress=NoProgress()))
    except T2SError as error:
        fail(str(error))


if __name__ == "__main__":
    main()
