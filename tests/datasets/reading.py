"""What the tests of the readers share."""

from t2s_pipeline.datasets.ingest import DatasetTables


def samples(tables: DatasetTables) -> dict[str, dict]:
    """By sample id, in order."""
    return {row["sample_id"]: row for row in tables.samples.to_pylist()}


def rejects(tables: DatasetTables) -> list[tuple[str, str]]:
    """(row or file, reason), in order."""
    return [(row["source"], row["reason"]) for row in tables.rejects.to_pylist()]
