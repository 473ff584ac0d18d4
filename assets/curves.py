"""The numbers of a training while it runs: observations of ``training_log``, which the UI plots over time.

https://docs.dagster.io/guides/build/assets/metadata-and-tags
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from PIL import Image

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.schema import TRAINING_LOG
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.vision.panels import data_uri

EVERY = 20.0
"""Seconds between observations."""

PLOTTED = (
    "reward",
    "reward_std",
    "zero_variance_share",
    "valid_share",
    "kl",
    "loss",
    "grad_norm",
    "completion_tokens",
    "seconds",
    "generate_seconds",
    "reward_seconds",
    "update_seconds",
    "tokens_per_second",
    "peak_mb",
)


@contextmanager
def observed(instance: dg.DagsterInstance, settings: Settings, run: str, every: float = EVERY) -> Iterator[None]:
    """Report the run's newest step to the instance every ``every`` seconds, from a thread, until the block ends."""
    ended = threading.Event()

    def watch() -> None:
        reported = None
        while not ended.wait(every):
            observation = newest(settings, run)
            if observation is not None and observation.metadata != reported:
                instance.report_runless_asset_event(observation)
                reported = observation.metadata

    thread = threading.Thread(target=watch, name=f"curves of {run}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def newest(settings: Settings, run: str) -> dg.AssetObservation | None:
    """The last step of a run's log as an observation, with its latest sample completions; None before the first."""
    try:
        row = read_partition(settings.lake, TRAINING_LOG, {"run": run}).to_pylist()[-1]
    except (NotMaterializedError, IndexError):
        return None
    numbers = {name: row[name] for name in PLOTTED if row[name] is not None}
    parts = {f"reward {name}": value for name, value in row["reward_parts"] or ()}
    metadata: dict[str, dg.MetadataValue] = {"step": dg.MetadataValue.int(row["step"])}
    metadata |= {name: dg.MetadataValue.float(float(value)) for name, value in {**parts, **numbers}.items()}
    if row["warnings"]:
        metadata["warnings"] = dg.MetadataValue.text(", ".join(row["warnings"]))
    pictures = sorted((settings.runs / run / "samples").glob("step-*.jpg"))
    if pictures:
        metadata["sample completions"] = dg.MetadataValue.md(_picture(pictures[-1]))
    return dg.AssetObservation(TRAINING_LOG.name, partition=run, metadata=metadata)


def _picture(path: Path) -> str:
    with Image.open(path) as picture:
        picture.thumbnail((640, 1280))
        return f"![{path.stem}: best and worst of a group]({data_uri(picture, quality=75)})"
