"""A split that would lose many of its samples is not replaced without being asked for.

A folder that is half mounted, half copied or half deleted looks like a smaller dataset.
"""

import hashlib

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.registry import EMBEDDED
from t2s_pipeline.lake.schema import SAMPLES
from t2s_pipeline.lake.store import footer_entry, row_count

LEAST_SHARE = 0.9
"""A split may shrink to this share of its samples."""

ROOT_KEY = b"t2s_root"


def root_entry(dataset: Dataset) -> dict[bytes, bytes]:
    """The footer's entry that says from which folder a partition was read, as a hash of its path."""
    return {ROOT_KEY: hashlib.sha256(str(dataset.root).encode("utf-8", "surrogateescape")).hexdigest()[:16].encode()}


def refuse_loss(lake: LakePlace, dataset: Dataset, split: str, samples: int) -> None:
    """Refuse to replace a split by far fewer samples from the same folder.

    The embedded scenes are as many as their step is asked for.

    Args:
        lake: where the tables are.
        dataset: where the split was read from now.
        split: train, val or test.
        samples: how many it has now.

    Raises:
        InputError: saying how many samples would be lost, and how to accept that.
    """
    partition = {"dataset": dataset.name, "split": split}
    former = row_count(lake, SAMPLES, partition)
    if dataset.name == EMBEDDED or samples >= LEAST_SHARE * former:
        return
    root = footer_entry(lake, SAMPLES, partition, ROOT_KEY)
    if root is None or root == root_entry(dataset)[ROOT_KEY]:
        raise InputError(
            f"{dataset.name} {split} had {former:,} samples, and {dataset.root} gives {samples:,} now: the tables stay "
            "as they were. Restore the missing files; or run `t2s ingest` with --accept-loss if they are gone for good."
        )
