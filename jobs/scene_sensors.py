"""New scenes are answered by themselves: each is registered once, and asked what is due.

The library decides what is due (``t2s_pipeline/steps/feed.py``).
https://docs.dagster.io/guides/automate/sensors
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from assets.partitions import imagery_scenes
from assets.resources import WorkerLauncher
from jobs.jobs import AUTOMATIC, feed, questions
from jobs.sensors import LOOK_EVERY
from t2s_pipeline.steps.feed import DueScene, FeedState, look_at_feed
from t2s_pipeline.steps.runner import step_fingerprint
from t2s_pipeline.steps.standing_questions import ReadQuestions
from t2s_pipeline.steps.step import Context
from t2s_pipeline.worker.launcher import plain_launch

RETRIED = {"dagster/max_retries": "3"}
"""The tag of runs that Dagster starts again after their process was killed. What was finished is not repeated."""


@dg.sensor(job=feed, minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def new_scenes(context: dg.SensorEvaluationContext, worker: WorkerLauncher) -> dg.SensorResult:
    """Registers complete scenes of the imagery folder and asks them the standing questions of T2S_HOME/questions.csv.

    A scene is asked again when its file has changed, and a question is asked when its row is new or its time has come.
    """
    state = FeedState.from_json(context.cursor)
    following, due, sentences = look_at_feed(worker.settings, state, datetime.now(UTC))
    for sentence in sentences:
        context.log.info(sentence)
    if not due:
        return dg.SensorResult(skip_reason="No scene is new, and no question is due.", cursor=following.as_json())
    return dg.SensorResult(
        run_requests=[_request(scene) for scene in due],
        dynamic_partitions_requests=[imagery_scenes.build_add_request([scene.name for scene in due])],
        cursor=following.as_json(),
    )


def _request(scene: DueScene) -> dg.RunRequest:
    """A run for one scene. Without a question that is due, it is registered only."""
    asked = {"ops": {"scene_objects": {"config": {"questions": list(scene.questions)}}}}
    key = "\0".join((scene.files, scene.since.isoformat(), *scene.questions))
    return dg.RunRequest(
        run_key=f"{scene.name} {hashlib.sha256(key.encode()).hexdigest()[:16]}",
        partition_key=scene.name,
        run_config=asked if scene.questions else {},
        asset_selection=None if scene.questions else [dg.AssetKey("scenes")],
        tags={**AUTOMATIC, **RETRIED},
    )


@dg.sensor(job=questions, minimum_interval_seconds=LOOK_EVERY, default_status=dg.DefaultSensorStatus.RUNNING)
def changed_questions(
    context: dg.SensorEvaluationContext, worker: WorkerLauncher
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Reads questions.csv into the lake when a row has changed, or can be used or not be used since."""
    settings = worker.settings
    steps, step = Context(settings, plain_launch(settings)), ReadQuestions()
    current = step_fingerprint(step, steps)
    finished = step.finished(steps)
    if current in (context.cursor, finished) or (finished is None and not settings.standing_questions.exists()):
        yield dg.SkipReason("The standing questions are those of the table.")
        return
    context.update_cursor(current)
    yield dg.RunRequest(run_key=current, tags=AUTOMATIC)


ALL = [new_scenes, changed_questions]
