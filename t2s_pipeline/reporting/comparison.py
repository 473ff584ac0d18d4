"""Two systems compared from their stored scores (`t2s compare`)."""

import pyarrow as pa

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.evaluation.pairs import all_differences
from t2s_pipeline.lake.schema import PAIRED_DIFFERENCES, SAMPLE_SCORES
from t2s_pipeline.lake.store import list_partitions, read_partition


def compare_everywhere(
    lake: LakePlace, system: str, baseline: str, dataset: str | None = None, split: str | None = None
) -> pa.Table:
    """Two systems compared wherever both have scores: rows of ``paired_differences``.

    Args:
        lake: where the tables are.
        system: the system.
        baseline: the system that is subtracted from it.
        dataset: compare on this dataset only.
        split: compare on this split only.
    """
    rows = [PAIRED_DIFFERENCES.schema.empty_table()]
    scored = list_partitions(lake, SAMPLE_SCORES)
    for partition in scored:
        shared = {column: partition[column] for column in ("dataset", "split", "protocol")}
        selected = dataset in (None, shared["dataset"]) and split in (None, shared["split"])
        if partition["system"] == system and selected and {**shared, "system": baseline} in scored:
            scores = {
                name: read_partition(lake, SAMPLE_SCORES, {**shared, "system": name}) for name in (system, baseline)
            }
            rows.append(all_differences(scores, [(system, baseline)], **shared))
    return pa.concat_tables(rows)
