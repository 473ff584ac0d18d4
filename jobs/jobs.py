"""Jobs: what people start by name. Selections of assets belong here. The work does not.

https://docs.dagster.io/guides/build/jobs
"""

import dagster as dg

AUTOMATIC = {"dagster/priority": "-10"}
"""The tags of runs that nobody started by hand. In the queue and in the pool `gpu`, they come after those of people."""

ingest = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets("images", "samples", "selections", "rejects", "notes"),
    description="Read one split of a benchmark, or of data of your own, into the lake.",
)

labels = dg.define_asset_job(
    "labels",
    selection=dg.AssetSelection.assets("pseudo_labels", "label_quality"),
    description="Make the rival methods' labels of one split, and measure the masks that the segmenter makes of them.",
)

training = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.assets("training_log", "checkpoints"),
    description="Train one experiment's prompter with GRPO.",
)

evaluate = dg.define_asset_job(
    "evaluate",
    selection=dg.AssetSelection.assets("completions", "predictions", "sample_scores"),
    description="Evaluate one system on one split: completions, masks, scores.",
)

rescore = dg.define_asset_job(
    "rescore",
    selection=dg.AssetSelection.assets("rescores"),
    description="Evaluate one chosen checkpoint again and compare it with its accepted scores.",
)

summarize = dg.define_asset_job(
    "summarize",
    selection=dg.AssetSelection.assets(
        "benchmark_metrics", "paired_differences", "published_metrics", "leaderboard", "results_database", "report"
    ),
    description="Metrics, leaderboard and results page of all scores so far.",
)

feed = dg.define_asset_job(
    "feed",
    selection=dg.AssetSelection.assets("scenes", "scene_objects"),
    description="Register one scene of the imagery folder and ask it the standing questions.",
)

questions = dg.define_asset_job(
    "questions",
    selection=dg.AssetSelection.assets("standing_questions"),
    description="Read questions.csv into the lake, with the reason of every row that cannot be used.",
)
