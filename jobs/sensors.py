"""Automatic evaluation: new checkpoints are registered and evaluated on val; the best of each run is tried on test.

The library decides which checkpoint is due (``t2s_pipeline/systems/candidates.py``, the view `checkpoint_choices`).
https://docs.dagster.io/guides/automate/sensors
"""

import json
import math

import dagster as dg

from assets.partitions import evaluated_splits, split_key, system_key, systems
from assets.resources import WorkerLauncher
from jobs.jobs import AUTOMATIC, evaluate
from t2s_pipeline.core.environment import positive_number
from t2s_pipeline.reporting.leaderboard import checkpoint_choices
from t2s_pipeline.steps.evaluation import VALIDATION, final_splits, is_read, is_validated
from t2s_pipeline.steps.step import Context
from t2s_pipeline.systems.candidates import candidates
from t2s_pipeline.worker.launcher import plain_launch

LOOK_EVERY = math.ceil(positive_number("T2S_LOOK_EVERY", 30))
"""Seconds."""


@dg.sensor(minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def new_checkpoints(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Registers complete checkpoints of our runs and of T2S_HOME/checkpoints as partitions to be evaluated.

    A checkpoint is reported again when its weights or its evaluation settings have changed, and at no other time.
    """
    settings = worker.settings
    reported: dict[str, str] = json.loads(context.cursor or "{}")
    usable, unusable = candidates(settings)
    for folder in unusable:
        context.log.warning(f"Not a checkpoint to evaluate: {folder}")
    new = [candidate for candidate in usable if reported.get(candidate.system.name) != candidate.fingerprint]
    due = [
        candidate
        for candidate in new
        if candidate.validates and is_read(settings, candidate.system.dataset, VALIDATION)
    ]
    if not due:
        return dg.SensorResult(skip_reason="No checkpoint is new.", cursor=context.cursor)
    splits = {split_key(candidate.system.dataset, VALIDATION) for candidate in due}
    reported |= {candidate.system.name: candidate.fingerprint for candidate in due}
    return dg.SensorResult(
        dynamic_partitions_requests=[
            systems.build_add_request([candidate.system.name for candidate in due]),
            evaluated_splits.build_add_request(sorted(splits)),
        ],
        asset_events=[
            dg.AssetMaterialization(
                "checkpoint",
                partition=candidate.system.name,
                metadata={
                    "run": candidate.run,
                    "step": candidate.step,
                    "folder": dg.MetadataValue.path(candidate.path),
                    "weights and settings": candidate.fingerprint,
                },
            )
            for candidate in due
        ],
        cursor=json.dumps(reported, sort_keys=True),
    )


@dg.sensor(job=evaluate, minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def best_checkpoints(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Scores the best checkpoint of a finished run on the test splits, after all its checkpoints were evaluated on val.

    The best is chosen on val alone, by the rule that the view `checkpoint_choices` states. If weights were replaced
    under a name of the run, the choice waits until val has seen the new ones.
    """
    settings = worker.settings
    steps = Context(settings, plain_launch(settings))
    usable = {candidate.system.name: candidate for candidate in candidates(settings)[0]}
    finished = {candidate.run for candidate in usable.values() if candidate.final}
    requests, splits, names = [], set(), set()
    for choice in checkpoint_choices(settings):
        best = usable.get(choice.system)
        if best is None or choice.run not in finished or choice.dataset != best.system.dataset:
            continue
        # The weights of any checkpoint of the run may have been replaced under its name, and then the choice is old.
        of_run = [
            candidate.system for candidate in usable.values() if candidate.run == choice.run and candidate.validates
        ]
        waiting = [system.name for system in of_run if not is_validated(steps, system)]
        if waiting:
            context.log.info(f"{choice.run} waits: val scores of the present weights are missing for {waiting}.")
            continue
        for dataset, split in final_splits(settings, best.system.dataset):
            splits.add(split_key(dataset, split))
            names.add(best.system.name)
            # Dagster starts one run per run key, however often the key is requested.
            key = f"{best.system.name} {split_key(dataset, split)} {best.fingerprint}"
            partition = system_key(best.system.name, dataset, split)
            requests.append(dg.RunRequest(run_key=key, partition_key=partition, tags=AUTOMATIC))
    if not requests:
        return dg.SensorResult(skip_reason="There is no finished run with all checkpoints evaluated on val.")
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
    run_tags=AUTOMATIC,
    description="Evaluates what `new_checkpoints` registered, and keeps metrics, leaderboard and results.duckdb fresh.",
)

ALL = [new_checkpoints, best_checkpoints, automation]
