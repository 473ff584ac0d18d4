"""Results of the studies that are kept beside the code, so that the trainings can be spread over machines and days.

The folder is a lake with the scores of the study systems on the test splits, and the seconds that their steps took.
"""

from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import SAMPLE_SCORES, STEP_TIMES
from t2s_pipeline.lake.store import append_rows, list_partitions, read_partition, stored_file, write_partition
from t2s_pipeline.methods.miniature_tables import MINIATURE_TABLES, TEST, StudySystem


def scores_of(system: StudySystem, dataset: str, seed: int) -> Partition:
    """The partition of ``sample_scores`` that the page shows for a system, the test split of a dataset, and a seed."""
    return {"system": system.seeded(seed), "dataset": dataset, "split": TEST, "protocol": "strict"}


def has_result(lake: LakePlace, system: StudySystem, dataset: str, seed: int) -> bool:
    """Whether the scores are there."""
    return stored_file(lake, SAMPLE_SCORES, scores_of(system, dataset, seed)) is not None


def keep_results(lake: LakePlace, folder: Path, seeds: int) -> int:
    """Copy the scores of all study systems that are not in the folder yet, and the times of their steps.

    Args:
        lake: where the tables are.
        folder: of the results that are kept; it is made if there is none.
        seeds: how many seeds of each system.

    Returns:
        How many results were added.
    """
    added: set[str] = set()
    count = 0
    for table in MINIATURE_TABLES.values():
        for system in table.systems:
            for seed in range(seeds):
                if has_result(folder, system, table.dataset, seed) or not has_result(lake, system, table.dataset, seed):
                    continue
                partition = scores_of(system, table.dataset, seed)
                write_partition(folder, SAMPLE_SCORES, partition, read_partition(lake, SAMPLE_SCORES, partition))
                added.add(system.seeded(seed))
                count += 1
    for partition in list_partitions(lake, STEP_TIMES) if added else ():
        rows = read_partition(lake, STEP_TIMES, partition)
        # Some steps of a system may have been kept with its results on another dataset.
        former = (
            _rows(read_partition(folder, STEP_TIMES, partition)) if stored_file(folder, STEP_TIMES, partition) else []
        )
        is_new = [
            subject_of(subject) in added and row not in former
            for subject, row in zip(rows["subject"].to_pylist(), _rows(rows), strict=True)
        ]
        if any(is_new):
            append_rows(folder, STEP_TIMES, partition, rows.filter(is_new))
    return count


def _rows(table: pa.Table) -> list[dict[str, object]]:
    """Its rows; a partition may have been written with other columns first."""
    rows: list[dict[str, object]] = table.select(["subject", "started_at", "seconds"]).to_pylist()
    return rows


def subject_of(text: str | None) -> str:
    """The system or run that a step's subject names first."""
    return text.split()[0] if text else ""
