"""The code location: the only place where library, assets and jobs meet."""

import dagster as dg

from assets import datasets, evaluation, labels, predictions, results, scenes, training
from assets.resources import WorkerLauncher
from assets.terminal import terminal_logger
from jobs import dataset_sensors, housekeeping, jobs, scene_sensors, schedules, sensors
from jobs.demo import demo

defs = dg.Definitions(
    assets=[
        datasets.synthetic_scenes,
        datasets.read_split,
        labels.pseudo_labels,
        labels.label_quality,
        training.trained,
        training.checkpoint,
        predictions.completions,
        predictions.predictions,
        results.sample_scores,
        results.summaries,
        results.published_metrics,
        results.leaderboard,
        results.checkpoint_trend,
        results.results_database,
        evaluation.validation,
        evaluation.rescores,
        evaluation.agreement,
        results.report,
        scenes.scenes,
        scenes.standing_questions,
        scenes.scene_objects,
    ],
    jobs=[
        demo,
        jobs.ingest,
        jobs.labels,
        jobs.training,
        jobs.evaluate,
        jobs.rescore,
        jobs.summarize,
        jobs.feed,
        jobs.questions,
    ],
    sensors=[*dataset_sensors.ALL, *sensors.ALL, *scene_sensors.ALL, *housekeeping.ALL],
    schedules=schedules.ALL,
    resources={"worker": WorkerLauncher()},
    # Heavy work runs in the worker. One process per step would only add seconds, and another process to stop.
    executor=dg.in_process_executor,
    loggers={"console": dg.colored_console_logger, "terminal": terminal_logger},
)
