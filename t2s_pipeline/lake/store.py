"""Reading and writing partitions of the lake, wherever it lies.

A partition is one Parquet file. In a folder it is ``<lake>/<table>/<column>=<value>/…/data.parquet``; on an object
store the manifest names it (``lake/manifests.py``). A reader sees the complete old partition or the complete new one.
The fingerprint, which says what the partition was made from, is stored inside the file. So the two cannot disagree.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.core.errors import DamagedFileError, InputError, NotMaterializedError, T2SError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.image_bytes import damaged_image
from t2s_pipeline.lake.places import storage_of
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.storage import ChangedMeanwhileError, Former, Storage, StoredFile
from t2s_pipeline.lake.table import Rows, Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.versions import refuse_newer, require_version, version_of

FINGERPRINT_KEY = b"t2s_fingerprint"

APPEND_TRIES = 50
"""How often rows are appended anew because another machine has replaced the partition meanwhile."""


def write_partition(
    lake: LakePlace,
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
    lake: LakePlace,
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
    storage, tables = storage_of(lake), list(tables)
    for table in tables:
        version = version_of(_footer_entries(storage, table, partition))
        refuse_newer(table, storage.address(table, partition), version)
    with storage.replacing(tables, partition, {**(entries or {}), FINGERPRINT_KEY: fingerprint.encode()}) as writers:
        yield writers


def append_rows(lake: LakePlace, table: Table, partition: Partition, rows: pa.Table, most: int | None = None) -> None:
    """Write the rows of the partition again, with ``rows`` after them.

    In a folder, the caller holds a lock. On an object store, rows that another machine appends meanwhile are kept.

    Args:
        lake: where the tables are.
        table: the table.
        partition: the partition; it need not exist.
        rows: the rows to add.
        most: the most rows to keep, the last ones; None keeps all.

    Raises:
        InputError: if the partition is damaged or of another release.
        T2SError: if the disk is full, or others replaced the partition again and again.
    """
    storage = storage_of(lake)
    for _ in range(APPEND_TRIES):
        former = Former(storage.stored(table, partition))
        try:
            earlier = [read_partition(lake, table, partition)]
        except NotMaterializedError:
            earlier = []
        added = pa.concat_tables([*earlier, rows])
        rows_to_write = added if most is None else added.slice(max(0, added.num_rows - most))
        try:
            with storage.replacing([table], partition, {FINGERPRINT_KEY: b""}, former) as (writer,):
                for batch in rows_to_write.to_batches():
                    writer.add(batch)
            return
        except ChangedMeanwhileError:
            continue
    raise T2SError(
        f"{storage.address(table, partition)} was replaced {APPEND_TRIES} times by others while rows were appended: "
        "run the same command again."
    )


def read_partition(
    lake: LakePlace, table: Table, partition: Partition, columns: Iterable[str] | None = None
) -> pa.Table:
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
    lake: LakePlace,
    table: Table,
    partition: Partition,
    columns: Iterable[str] | None = None,
    batch_rows: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """The partition in batches, of which only one is in memory at a time.

    The scan reads the file that exists at the call, even if the partition is replaced later.

    Args:
        lake: where the tables are.
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


def open_partition(lake: LakePlace, table: Table, partition: Partition) -> CheckedFile:
    """The file of the partition, open for reading. It stays readable here if the partition is replaced.

    Raises:
        NotMaterializedError: if it does not exist.
        InputError: if the file is damaged or of another release.
    """
    storage = storage_of(lake)
    storage.recover()
    try:
        file = storage.open(table, partition)
    except FileNotFoundError as error:
        list_partitions(lake, table)  # says so if the partition lies there as an earlier release wrote it
        raise NotMaterializedError(
            f"Table {table.name} has nothing for {_worded(partition)} yet: materialize it first "
            f"({storage.address(table, partition)} is missing)."
        ) from error
    require_version(table, file.path, version_of(file.entries))
    return file


def _worded(partition: Partition) -> str:
    return ", ".join(f"{column}={value}" for column, value in partition.items()) or "the whole table"


def fingerprint_of(lake: LakePlace, table: Table, partition: Partition) -> str | None:
    """The fingerprint from the Parquet footer; None if the partition is missing or damaged, and has to be made.

    Raises:
        InputError: if the partition is of another release.
    """
    storage = storage_of(lake)
    storage.recover()
    entries = _footer_entries(storage, table, partition)
    if entries is None:
        list_partitions(lake, table)  # says so if the partition lies there as an earlier release wrote it
        return None
    require_version(table, storage.address(table, partition), version_of(entries))
    return entries.get(FINGERPRINT_KEY, b"").decode(errors="replace")


def row_count(lake: LakePlace, table: Table, partition: Partition) -> int:
    """The number of rows from the Parquet footer; 0 if the partition is missing or damaged."""
    try:
        with storage_of(lake).open(table, partition) as file:
            return int(file.metadata.num_rows)
    except (FileNotFoundError, InputError):
        return 0


def footer_entry(lake: LakePlace, table: Table, partition: Partition, key: bytes) -> bytes | None:
    """An entry of the partition's footer; None if there is no such entry, or the file is missing or damaged."""
    return (_footer_entries(storage_of(lake), table, partition) or {}).get(key)


def stored_file(lake: LakePlace, table: Table, partition: Partition) -> StoredFile | None:
    """What is known of the partition's file without reading it; None if it does not exist."""
    return storage_of(lake).stored(table, partition)


def copy_partition(lake: LakePlace, table: Table, partition: Partition, target: Path) -> bool:
    """Copy the partition's file to ``target``; False if the partition does not exist."""
    return storage_of(lake).copy(table, partition, target)


def _footer_entries(storage: Storage, table: Table, partition: Partition) -> dict[bytes, bytes] | None:
    """The entries of the file's footer; None if the file is missing or damaged."""
    try:
        with storage.open(table, partition) as file:
            return file.entries
    except (FileNotFoundError, InputError):
        return None


def list_partitions(lake: LakePlace, table: Table) -> list[Partition]:
    """Every partition of the table that exists, sorted by its values.

    Raises:
        InputError: if the table has partitions as another release lays them out.
    """
    return sorted(storage_of(lake).partitions(table), key=lambda partition: tuple(partition.values()))
