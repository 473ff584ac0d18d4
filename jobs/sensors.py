"""What happens by itself: new checkpoints are noticed, evaluated on val, and the best of each run is tried on test.

Which checkpoint is due, and why, the library says (``t2s_pipeline/evaluating.py``, ``choices.py``).
https://docs.dagster.io/guides/automate/sensors
"""

import json
import os

import dagster as dg

from assets.partitions import evaluated_splits, split_key, system_key, systems
from assets.resources import WorkerLauncher
from jobs.jobs import evaluate
from t2s_pipeline.reporting.leaderboard import checkpoint_choices
from t2s_pipeline.steps.evaluation import VALIDATION, final_places, is_read
from t2s_pipeline.systems.candidates import candidates

LOOK_EVERY = int(os.environ.get("T2S_LOOK_EVERY", "30"))
"""Seconds."""


@dg.sensor(minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def new_checkpoints(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Registers complete checkpoints, of our runs and of T2S_HOME/checkpoints, as partitions to be evaluated.

    A checkpoint is reported again when its weights or its evaluation settings have changed, and at no other time.
    """
    settings = worker.settings
    known: dict[str, str] = json.loads(context.cursor or "{}")
    found, unusable = candidates(settings)
    for one in unusable:
        context.log.warning(f"Not a checkpoint to evaluate: {one}")
    due = [one for one in found if known.get(one.system) != one.mark and is_read(settings, one.dataset, VALIDATION)]
    if not due:
        return dg.SensorResult(skip_reason="No checkpoint is new.", cursor=context.cursor)
    splits = {split_key(one.dataset, VALIDATION) for one in due}
    return dg.SensorResult(
        dynamic_partitions_requests=[
            systems.build_add_request([one.system for one in due]),
            evaluated_splits.build_add_request(sorted(splits)),
        ],
        asset_events=[
            dg.AssetMaterialization(
                "checkpoint",
                partition=one.system,
                metadata={
                    "run": one.run,
                    "step": one.step,
                    "folder": dg.MetadataValue.path(one.path),
                    "weights and settings": one.mark,
                },
            )
            for one in due
        ],
        cursor=json.dumps(known | {one.system: one.mark for one in due}, sort_keys=True),
    )


@dg.sensor(job=evaluate, minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def best_checkpoints(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Scores the best checkpoint of a finished run on the test splits, once val has seen all of its checkpoints.

    The best is chosen on val alone, by the rule that the view `checkpoint_choices` states.
    """
    settings = worker.settings
    found = {one.system: one for one in candidates(settings)[0]}
    finished = {one.run for one in found.values() if one.final}
    requests, splits, names = [], set(), set()
    for choice in checkpoint_choices(settings):
        best = found.get(choice.system)
        if best is None or not choice.settled or choice.run not in finished or choice.dataset != best.dataset:
            continue
        for place in final_places(settings, best.dataset):
            splits.add(split_key(*place))
            names.add(best.system)
            # Dagster starts one run a key, whenever the key is asked for.
            key = f"{best.system} {split_key(*place)} {best.mark}"
            requests.append(dg.RunRequest(run_key=key, partition_key=system_key(best.system, *place)))
    if not requests:
        return dg.SensorResult(skip_reason="No finished run whose checkpoints val has all seen.")
    return dg.SensorResult(
        run_requests=requests,
        dynamic_partitions_requests=[
            systems.build_add_request(sorted(names)),
            evaluated_splits.build_add_request(sorted(splits)),
        ],
    )


automation = dg.AutomationConditionSensorDefinition(
    "automation",
    target=dg.AssetSelection.all(),
    minimum_interval_seconds=LOOK_EVERY,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Evaluates what `new_checkpoints` registered, and keeps metrics, leaderboard and results.duckdb fresh.",
)

ALL = [new_checkpoints, best_checkpoints, automation]
