"""Reading and writing partitions of the lake.

A partition is one Parquet file, ``<lake>/<table>/<column>=<value>/…/data.parquet``. One file, because
renaming one file is atomic: a reader sees the old partition or the new one, whole. What it was made from
(its fingerprint) travels inside the file, so that the two cannot disagree.
"""

import hashlib
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.lake.folders import FILE_NAME, look_into
from t2s_pipeline.lake.row_groups import conform
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.together import TableWriter, recover, replacing
from t2s_pipeline.lake.versions import VERSION_KEY, refuse_newer, require_known_folders, require_version, version_of

Partition = dict[str, str]
"""Partition column → value: {"dataset": "synthetic", "split": "val"}; {} for an unpartitioned table."""

FINGERPRINT_KEY = b"t2s_fingerprint"


def partition_file(lake: Path, table: Table, partition: Partition) -> Path:
    """Where the partition lies, whether or not it exists. Values are percent-encoded, as DuckDB decodes them.

    Raises:
        InputError: if the partition's columns are not the table's, or a value cannot be a folder name.
    """
    if set(partition) != set(table.partition_by):
        raise InputError(
            f"Table {table.name} is partitioned by ({', '.join(table.partition_by)}), not by ({', '.join(partition)})."
        )
    folder = lake / table.name
    for column in table.partition_by:
        value = quote(str(partition[column]), safe="+@,")
        if not value or len(value) > 200:
            raise InputError(f"{table.name}: {column}={partition[column]!r} is empty or too long.")
        folder /= f"{column}={value}"
    return folder / FILE_NAME


def write_partition(
    lake: Path,
    table: Table,
    partition: Partition,
    rows: pa.Table | Iterable[pa.RecordBatch],
    fingerprint: str = "",
) -> int:
    """Replace the partition by ``rows`` in one step and return how many there are.

    Batches are taken from an iterable one row group at a time, so the whole never has to fit in memory. If
    the iterable fails, the disk is full or the process dies, the old partition stands untouched.

    Raises:
        InputError: if a column is missing, unknown, or does not fit its type.
        T2SError: if the disk is full.
    """
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    with replacing_partitions(lake, (table,), partition, fingerprint) as (writer,):
        for batch in batches:
            writer.add(batch)
    return writer.rows


@contextmanager
def replacing_partitions(
    lake: Path, tables: Iterable[Table], partition: Partition, fingerprint: str = ""
) -> Iterator[list[TableWriter]]:
    """Replace one partition of several tables together: a writer for each, in their order.

    All of them appear on leaving the block, none if it fails or the process dies. Raises as ``write_partition``.
    """
    files = {partition_file(lake, table, partition): table for table in tables}
    for path, table in files.items():
        refuse_newer(table, path, version_of(_footer_entries(path)))
    with replacing(lake, files, {FINGERPRINT_KEY: fingerprint.encode()}) as writers:
        yield writers


def read_partition(lake: Path, table: Table, partition: Partition, columns: Iterable[str] | None = None) -> pa.Table:
    """The partition's rows, or some of its columns.

    Raises:
        NotMaterializedError: if it does not exist.
        InputError: if the file is damaged.
    """
    path = partition_file(lake, table, partition)
    file = _open(lake, table, partition)
    with file, _damage_named(path):
        return file.read(columns=None if columns is None else list(columns)).replace_schema_metadata(None)


def scan(
    lake: Path,
    table: Table,
    partition: Partition,
    columns: Iterable[str] | None = None,
    batch_rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """The partition in batches, by default of a row group's rows, without holding more than one in memory.

    The file stays the one that was there when the scan began, even if the partition is replaced meanwhile.
    Raises as ``read_partition``, at once and not at the first batch.
    """
    path = partition_file(lake, table, partition)
    file = _open(lake, table, partition)
    return _batches(path, file, batch_rows or table.rows_per_group, None if columns is None else list(columns))


def _batches(path: Path, file: pq.ParquetFile, rows: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    with file, _damage_named(path):
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            yield batch.replace_schema_metadata(None)


def _open(lake: Path, table: Table, partition: Partition) -> pq.ParquetFile:
    recover(lake)
    path = partition_file(lake, table, partition)
    try:
        with _damage_named(path):
            file = pq.ParquetFile(path)
    except FileNotFoundError as error:
        list_partitions(lake, table)  # says so if the partition lies there as an earlier release wrote it
        raise NotMaterializedError(
            f"Table {table.name} has nothing for {_worded(partition)} yet: materialize it first ({path} is missing)."
        ) from error
    require_version(table, path, version_of(file.metadata.metadata))
    return file


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises for a damaged file into one sentence that names it."""
    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        # An OSError with a number is the system's (no such file, no permission); without one it is a codec's.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        found = " ".join(str(error).split())
        raise InputError(f"{path} is damaged ({found}): delete it and materialize it again.") from error


def _worded(partition: Partition) -> str:
    return ", ".join(f"{column}={value}" for column, value in partition.items()) or "the whole table"


def fingerprint_of(lake: Path, table: Table, partition: Partition) -> str | None:
    """What the partition was made from, by its footer alone; None if it is absent or damaged: to be made."""
    recover(lake)
    path = partition_file(lake, table, partition)
    entries = _footer_entries(path)
    if entries is None:
        list_partitions(lake, table)  # says so if the partition lies there as an earlier release wrote it
        return None
    require_version(table, path, version_of(entries))
    return entries.get(FINGERPRINT_KEY, b"").decode(errors="replace")


def _footer_entries(path: Path) -> dict[bytes, bytes] | None:
    """The entries of the file's footer; None if the file is missing or damaged."""
    try:
        with _damage_named(path):
            return pq.read_metadata(path).metadata or {}
    except (FileNotFoundError, InputError):
        return None


def list_partitions(lake: Path, table: Table) -> list[Partition]:
    """Every partition of the table that exists, sorted by its values.

    Raises:
        InputError: if the table has partitions as another release lays them out.
    """
    folders = look_into(lake / table.name, table.partition_by)
    require_known_folders(table, folders.others)
    return sorted(folders.partitions.values(), key=lambda partition: tuple(partition.values()))


class StagedPartition:
    """A partition that is made in pieces, so that a killed run goes on where it stopped.

    Every ``append`` is one small file that lands whole under ``<lake>/_staging``; ``commit`` merges them
    into the partition. Pieces of another fingerprint are of no use any more and are removed on opening.
    One process at a time writes a partition.
    """

    def __init__(self, lake: Path, table: Table, partition: Partition, fingerprint: str) -> None:
        self._lake, self._table, self._partition, self._fingerprint = lake, table, partition, fingerprint
        place = partition_file(lake, table, partition).parent.relative_to(lake).as_posix()
        name = hashlib.sha256(place.encode()).hexdigest()[:16]
        mark = hashlib.sha256(f"{fingerprint}\n{table.version}".encode()).hexdigest()[:12]
        self.folder = lake / "_staging" / table.name / f"{name}-{mark}"
        for other in self.folder.parent.glob(f"{name}-*"):
            if other != self.folder:
                shutil.rmtree(other)
        for left in self.folder.glob(".*.tmp"):
            left.unlink(missing_ok=True)
        self._next = 1 + max((int(shard.stem) for shard in self._shards()), default=-1)

    def _shards(self) -> list[Path]:
        return sorted(self.folder.glob("[0-9]*.parquet"))

    def keys(self, columns: Iterable[str]) -> set[tuple]:
        """The values of these columns in every row staged so far: what need not be done again."""
        wanted = list(columns)
        done: set[tuple] = set()
        for shard in self._shards():
            with _damage_named(shard):
                rows = pq.ParquetFile(shard).read(columns=wanted)
            done.update(zip(*(rows.column(name).to_pylist() for name in wanted), strict=True))
        return done

    def append(self, rows: pa.Table) -> None:
        """Stage some rows; they survive a crash from here on.

        Raises:
            InputError, T2SError: as ``write_partition``.
        """
        checked = conform(self._table, rows)
        with atomic_file(self.folder / f"{self._next:08d}.parquet") as temporary:
            checked = checked.replace_schema_metadata({VERSION_KEY: str(self._table.version)})
            pq.write_table(checked, temporary, compression="zstd")
        self._next += 1

    def commit(self) -> int:
        """Make everything staged the partition, remove the pieces, and return the number of rows."""
        batches = (batch for shard in self._shards() for batch in _shard_batches(shard))
        rows = write_partition(self._lake, self._table, self._partition, batches, self._fingerprint)
        shutil.rmtree(self.folder, ignore_errors=True)
        return rows


def _shard_batches(shard: Path) -> Iterator[pa.RecordBatch]:
    with _damage_named(shard), pq.ParquetFile(shard) as file:
        yield from file.iter_batches()
