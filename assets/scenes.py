"""The feed of scenes: rasters of the imagery folder, standing questions about them, and the objects of the answers.

https://docs.dagster.io/guides/build/partitions-and-backfills/partitioning-assets
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.events import check_specs, results
from assets.groups import SCENES
from assets.partitions import imagery_scenes
from assets.resources import GPU, WorkerLauncher
from t2s_pipeline.steps.feed import answer_scene
from t2s_pipeline.steps.scene_registry import RegisterScene
from t2s_pipeline.steps.standing_questions import ReadQuestions


class AnswersConfig(dg.Config):
    """Which standing questions are asked."""

    questions: list[str] = Field(
        default=[],
        description="question_id and system of rows of standing_questions, with a blank between them; empty: all.",
    )
    fresh: bool = Field(default=False, description="Redo finished work.")


@dg.asset(
    group_name=SCENES, partitions_def=imagery_scenes, kinds={"geotiff", "parquet"}, check_specs=check_specs("scenes")
)
def scenes(context: dg.AssetExecutionContext, worker: WorkerLauncher) -> Iterator[dg.MaterializeResult[None]]:
    """A raster of T2S_HOME/imagery (or T2S_IMAGERY): where it lies and what it holds, or why it cannot be asked."""
    yield from results(worker.settings, worker.runner(context).run(RegisterScene(context.partition_key)))


@dg.asset(group_name=SCENES, kinds={"csv", "parquet"}, check_specs=check_specs("standing_questions"))
def standing_questions(
    context: dg.AssetExecutionContext, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """The rows of T2S_HOME/questions.csv: what every scene is asked, and the rows that cannot be used."""
    yield from results(worker.settings, worker.runner(context).run(ReadQuestions()))


@dg.asset(
    group_name=SCENES,
    partitions_def=imagery_scenes,
    deps=[scenes, standing_questions],
    pool=GPU,
    kinds={"pytorch", "parquet"},
    check_specs=check_specs("scene_objects"),
)
def scene_objects(
    context: dg.AssetExecutionContext, config: AnswersConfig, worker: WorkerLauncher
) -> Iterator[dg.MaterializeResult[None]]:
    """The objects that systems found in a scene, with outline, area and confidence: the answers to the questions."""
    runner = worker.runner(context, config.fresh)
    yield from results(worker.settings, answer_scene(runner, context.partition_key, config.questions))
