"""What the tests of the readers share."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.ingest import TABLES, ingest_split
from t2s_pipeline.datasets.records import Reader
from t2s_pipeline.datasets.registry import layout_of
from t2s_pipeline.lake.store import read_partition


@dataclass(frozen=True)
class DatasetTables:
    """The tables of a split."""

    images: pa.Table
    samples: pa.Table
    selections: pa.Table
    rejects: pa.Table
    notes: pa.Table


def read_tables(name: str, root: Path, split: str, reader: Reader | None = None) -> DatasetTables:
    """Ingest a split into a lake of its own, and read its tables back."""
    dataset = layout_of(name).dataset(root, name) if reader is None else Dataset(name, root, reader)
    # The processes that read a large split get the dataset and its sources in this way.
    dataset = pickle.loads(pickle.dumps(dataset))  # noqa: S301  # our own bytes
    pickle.dumps(dataset.reader.sources(root, split))
    with TemporaryDirectory() as folder:
        ingest_split(Path(folder), dataset, split)
        partition = {"dataset": name, "split": split}
        return DatasetTables(*(read_partition(Path(folder), table, partition) for table in TABLES))


def samples(tables: DatasetTables) -> dict[str, dict]:
    """By sample id, in order."""
    return {row["sample_id"]: row for row in tables.samples.to_pylist()}


def rejects(tables: DatasetTables) -> list[tuple[str, str]]:
    """(row or file, reason), in order."""
    return [(row["source"], row["reason"]) for row in tables.rejects.to_pylist()]
