"""Reading and writing partitions of the lake.

A partition is one Parquet file, ``<lake>/<table>/<column>=<value>/…/data.parquet``. It is one file because renaming
one file is atomic: a reader sees the complete old partition or the complete new one. The fingerprint, which says what
the partition was made from, is stored inside the file, so that the two cannot disagree.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa

from t2s_pipeline.core.errors import DamagedFileError, InputError, NotMaterializedError
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import FILE_NAME, look_into
from t2s_pipeline.lake.image_bytes import damaged_image
from t2s_pipeline.lake.publishing import recover
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.table import Rows, Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.together import replacing
from t2s_pipeline.lake.versions import refuse_newer, require_known_folders, require_version, version_of

Partition = dict[str, str]
"""Partition column → value, such as {"dataset": "synthetic", "split": "val"}; {} for a table without partitions."""

FINGERPRINT_KEY = b"t2s_fingerprint"


def partition_file(lake: Path, table: Table, partition: Partition) -> Path:
    """The path of the partition's file, whether or not it exists. Values are percent-encoded, as DuckDB decodes them.

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
    """Replace the partition by ``rows`` in one step, and return the number of rows.

    An iterable is read one row group at a time, so the whole partition need not fit in memory. If the iterable fails,
    the disk is full or the process dies, the old partition stays as it was.

    Raises:
        InputError: if a column is missing, unknown, or does not fit its type, or if a later release wrote the
            partition.
        T2SError: if the disk is full.
    """
    batches = rows.to_batches() if isinstance(rows, pa.Table) else rows
    with replacing_partitions(lake, (table,), partition, fingerprint) as (writer,):
        for batch in batches:
            writer.add(batch)
    return writer.rows


@contextmanager
def replacing_partitions(
    lake: Path,
    tables: Iterable[Table],
    partition: Partition,
    fingerprint: str = "",
    entries: Mapping[bytes, bytes] | None = None,
) -> Iterator[list[TableWriter]]:
    """Replace the same partition of several tables together.

    It yields one writer per table, in their order. When the block ends, all partitions are replaced; if the block fails
    or the process dies, none is. ``entries`` are written into the footers, beside the fingerprint.

    Raises:
        InputError: if a column is missing, unknown, or does not fit its type, or if a later release wrote one of the
            partitions.
        T2SError: if the disk is full.
    """
    files = {partition_file(lake, table, partition): table for table in tables}
    for path, table in files.items():
        refuse_newer(table, path, version_of(_footer_entries(path)))
    with replacing(lake, files, {**(entries or {}), FINGERPRINT_KEY: fingerprint.encode()}) as writers:
        yield writers


def read_partition(lake: Path, table: Table, partition: Partition, columns: Iterable[str] | None = None) -> pa.Table:
    """The rows of the partition, with all columns or some of them.

    Raises:
        NotMaterializedError: if it does not exist.
        InputError: if the file is damaged or of another release.
    """
    names = None if columns is None else list(columns)
    with open_partition(lake, table, partition) as file:
        with_hash = _with_hash(table, file, names)
        rows = _of_intact_images(table, file, file.read(with_hash))
        rows = rows.select(names) if names != with_hash else rows
        return table.with_new_columns(rows.replace_schema_metadata(None), names)


def scan(
    lake: Path,
    table: Table,
    partition: Partition,
    columns: Iterable[str] | None = None,
    batch_rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """The partition in batches, of which only one is in memory at a time.

    The scan reads the file that exists at the call, even if the partition is replaced later.

    Args:
        lake: the folder of the lake.
        table: the table.
        partition: the partition.
        columns: the columns to read; None reads all.
        batch_rows: the most rows per batch; None gives the rows of a row group.

    Raises:
        NotMaterializedError: if it does not exist; at the call, not at the first batch.
        InputError: if the file is damaged or of another release.
    """
    file = open_partition(lake, table, partition)
    return _batches(table, file, batch_rows or table.rows_per_group, None if columns is None else list(columns))


def _batches(table: Table, file: CheckedFile, rows: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    with file:
        with_hash = _with_hash(table, file, columns)
        for batch in file.batches(rows, with_hash):
            batch = _of_intact_images(table, file, batch)
            batch = batch.select(columns) if columns != with_hash else batch
            yield table.with_new_columns(batch.replace_schema_metadata(None), columns)


def _with_hash(table: Table, file: CheckedFile, columns: list[str] | None) -> list[str] | None:
    """The columns, with those that the bytes of an image are checked with, if the file has no digests."""
    if columns is None or file.is_sealed or table is not IMAGES or "bytes" not in columns:
        return columns
    return list(dict.fromkeys([*columns, "image_id", "sha256"]))


def _of_intact_images(table: Table, file: CheckedFile, rows: Rows) -> Rows:
    """The rows. In a file without digests, the bytes of the images are compared with their hashes.

    Raises:
        DamagedFileError: naming an image that was not stored so.
    """
    if table is IMAGES and not file.is_sealed and "bytes" in rows.schema.names:
        image = damaged_image(rows)
        if image is not None:
            raise DamagedFileError(file.path, f"the bytes of image {image} differ from their hash")
    return rows


def open_partition(lake: Path, table: Table, partition: Partition) -> CheckedFile:
    """The file of the partition, open for reading. It stays readable here if the partition is replaced.

    Raises:
        NotMaterializedError: if it does not exist.
        InputError: if the file is damaged or of another release.
    """
    recover(lake)
    path = partition_file(lake, table, partition)
    try:
        file = CheckedFile(path)
    except FileNotFoundError as error:
        list_partitions(lake, table)  # says so if the partition lies there as an earlier release wrote it
        raise NotMaterializedError(
            f"Table {table.name} has nothing for {_worded(partition)} yet: materialize it first ({path} is missing)."
        ) from error
    require_version(table, path, version_of(file.entries))
    return file


def _worded(partition: Partition) -> str:
    return ", ".join(f"{column}={value}" for column, value in partition.items()) or "the whole table"


def fingerprint_of(lake: Path, table: Table, partition: Partition) -> str | None:
    """The fingerprint from the Parquet footer; None if the partition is missing or damaged, and has to be made.

    Raises:
        InputError: if the partition is of another release.
    """
    recover(lake)
    path = partition_file(lake, table, partition)
    entries = _footer_entries(path)
    if entries is None:
        list_partitions(lake, table)  # says so if the partition lies there as an earlier release wrote it
        return None
    require_version(table, path, version_of(entries))
    return entries.get(FINGERPRINT_KEY, b"").decode(errors="replace")


def row_count(lake: Path, table: Table, partition: Partition) -> int:
    """The number of rows from the Parquet footer; 0 if the partition is missing or damaged."""
    try:
        with CheckedFile(partition_file(lake, table, partition)) as file:
            return int(file.metadata.num_rows)
    except (FileNotFoundError, InputError):
        return 0


def footer_entry(lake: Path, table: Table, partition: Partition, key: bytes) -> bytes | None:
    """An entry of the partition's footer; None if there is no such entry, or the file is missing or damaged."""
    return (_footer_entries(partition_file(lake, table, partition)) or {}).get(key)


def _footer_entries(path: Path) -> dict[bytes, bytes] | None:
    """The entries of the file's footer; None if the file is missing or damaged."""
    try:
        with CheckedFile(path) as file:
            return file.entries
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
