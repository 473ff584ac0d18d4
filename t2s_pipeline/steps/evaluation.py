"""A system's whole evaluation on a split, and on which splits the chosen checkpoints are tried."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import BENCHMARKS
from t2s_pipeline.evaluation.metrics import Summary, summarize
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import list_partitions, read_partition, scan, stored_file, write_partition
from t2s_pipeline.methods.experiments import RELEASED
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.segmenters.registry import find_segmenter
from t2s_pipeline.steps.answers import Complete, Segment
from t2s_pipeline.steps.runner import Runner, step_fingerprint
from t2s_pipeline.steps.scores import score_under_every_protocol
from t2s_pipeline.steps.step import Context, LakePartition, StepReport
from t2s_pipeline.systems import watched_folder
from t2s_pipeline.systems.watched_folder import ForeignCheckpoint

VALIDATION, TEST = "val", "test"


def evaluate(runner: Runner, system: System, dataset: str, split: str) -> list[StepReport]:
    """Completions, masks and scores of a system on a split. Finished work is not done again.

    If the system's weights were replaced since it was evaluated on val, it is evaluated there again before its test
    split: otherwise the test scores of the new weights would stand beside the choice of the old ones.

    Raises:
        NotMaterializedError: if the split is not in the lake.
    """
    if system.name in RELEASED and system.template is None:
        runner.say(
            f"warning: {system.name} was trained on an instruction of its own and is asked with ours. Give the text "
            "that it knows with --template FILE (docs/baselines.md says where to find it)."
        )
    register(runner.settings, system.name)
    reports = []
    if split == TEST and _weights_differ_from_val(runner, system):
        runner.say(f"The weights of {system.name} are not those that were evaluated on val: val comes first.")
        reports += evaluate(runner, system, system.dataset, VALIDATION)
    reports += [
        *runner.run(Complete(system, dataset, split)),
        *runner.run(Segment(system, dataset, split)),
    ]
    for step in score_under_every_protocol(system.name, system.segmenter_name, dataset, split):
        reports += runner.run(step)
    return reports


def segments_on_one_core(system: System) -> bool:
    """Whether the system's segmenter computes with one thread on a CPU (worker/computing.py)."""
    return find_segmenter(system.segmenter)[0].is_miniature


def summary_on_val(settings: Settings, system: System) -> Summary:
    """A system's metrics on val of its training dataset, under the strict protocol.

    Raises:
        NotMaterializedError: if it has no scores there.
    """
    scored = {"dataset": system.dataset, "split": VALIDATION, "system": system.name, "protocol": "strict"}
    return summarize(read_partition(settings.lake, schema.SAMPLE_SCORES, scored))


def is_validated(context: Context, system: System) -> bool:
    """Whether the metrics on val of a system's training dataset are those of its present weights.

    They are not while the weights are newer than the completions, or the completions newer than scores or metrics. A
    choice of checkpoints then waits. Other data does not count: new data does not trigger re-evaluation.
    """
    lake, on_val = context.settings.lake, {"dataset": system.dataset, "split": VALIDATION}
    partitions = (
        LakePartition(schema.COMPLETIONS, {**on_val, "system": system.name}),
        LakePartition(schema.SAMPLE_SCORES, {**on_val, "system": system.name, "protocol": "strict"}),
        LakePartition(schema.BENCHMARK_METRICS, {}),
    )
    files = [stored_file(lake, target.table, target.partition) for target in partitions]
    orders = [file.order for file in files if file is not None]
    return len(orders) == len(files) and orders == sorted(orders) and not _weights_differ_from_val(context, system)


def _weights_differ_from_val(context: Context, system: System) -> bool:
    """Whether the system's completions on val were made with other weights; False if there are none."""
    lake, step = context.settings.lake, Complete(system, system.dataset, VALIDATION)
    (target,) = step.writes()
    # Whoever published a model has fixed what its name means; only a folder's weights can be replaced.
    if not Path(system.prompter).is_dir() or target.fingerprint(lake) is None:
        return False
    first = next(scan(lake, target.table, target.partition, ["settings"], batch_rows=1), None)
    settings = first["settings"][0].as_py() if first is not None and first.num_rows else None
    sha256 = json.loads(settings).get("prompter_sha256") if settings else None
    if sha256 is None:
        return step_fingerprint(step, context) != target.fingerprint(lake)
    return bool(sha256 != weights_sha256(Path(system.prompter)))


def is_read(settings: Settings, dataset: str, split: str) -> bool:
    """Whether the split is in the lake, so that systems can be evaluated on it."""
    return {"dataset": dataset, "split": split} in list_partitions(settings.lake, schema.SAMPLES)


def final_splits(settings: Settings, dataset: str) -> Iterator[tuple[str, str]]:
    """(dataset, split) on which the chosen checkpoint of a run trained on ``dataset`` is scored.

    These are the test splits of ``dataset`` and of the referring benchmarks, as far as they are in the lake.
    """
    referring = [benchmark.name for benchmark in BENCHMARKS.values() if benchmark.is_referring]
    for key in dict.fromkeys((dataset, *referring)):
        if is_read(settings, key, TEST):
            yield key, TEST


def register(settings: Settings, name: str) -> None:
    """List a foreign run's checkpoints in the table ``checkpoints``, where our own runs list theirs. Idempotent."""
    folder = settings.watched / name.partition("--")[0]
    if not folder.is_dir():
        return
    complete, _ = watched_folder.look_into(folder)
    if not any(checkpoint.system == name for checkpoint in complete):
        return
    rows = [_row(checkpoint) for checkpoint in complete]
    counted = fingerprint(rows=[{**row, "created_at": str(row["created_at"])} for row in rows])
    table = pa.Table.from_pylist(rows, schema=schema.CHECKPOINTS.schema)
    write_partition(settings.lake, schema.CHECKPOINTS, {"run": folder.name}, table, counted)


def _row(checkpoint: ForeignCheckpoint) -> dict[str, str | int | datetime]:
    """A row of the table ``checkpoints``."""
    return {
        "system": checkpoint.system,
        "experiment": checkpoint.experiment.name,
        "step": checkpoint.step,
        "path": str(checkpoint.path),
        "sha256": weights_sha256(checkpoint.path),
        "base_model": checkpoint.experiment.prompter,
        "settings": json.dumps(checkpoint.experiment.as_json(), sort_keys=True),
        "created_at": checkpoint.created_at,
    }
