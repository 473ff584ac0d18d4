"""Bringing a lake that an earlier release wrote up to this release's tables: what ``t2s lake upgrade`` does.

Each partition is rewritten on its own: the new file is written beside its final place and renamed, and only then is a
file at a former place removed. So a stopped upgrade leaves every partition whole, and the next one does the rest.
The fingerprint travels along: what was finished stays finished.
"""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.atomic_files import beside, disk_room, flush
from t2s_pipeline.core.errors import DamagedFileError, InputError
from t2s_pipeline.core.lake_place import ObjectPlace
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import Partition, look_into, partition_file
from t2s_pipeline.lake.places import storage_of
from t2s_pipeline.lake.publishing import STAGING, changing, recover, replace_if_unchanged
from t2s_pipeline.lake.revisions import former_layouts, revised_partition, revised_rows
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.store import FINGERPRINT_KEY, fingerprint_of, list_partitions, replacing_partitions, scan
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.versions import VERSION_KEY, file_version, refuse_newer, require_current_file, version_of


@dataclass(frozen=True)
class UpgradedPartition:
    """A partition that was rewritten."""

    table: str
    partition: Partition
    rows: int


@dataclass(frozen=True)
class _File:
    """A file of a table, where a release has put it."""

    table: Table
    path: Path
    partition: Partition
    version: int | None
    """None if the file is damaged."""


def require_current(lake: Path) -> None:
    """Refuse a lake of another release. It reads the end of each file, some 20 µs per partition.

    Raises:
        InputError: if a partition is older (it names ``t2s lake upgrade``) or newer than this release.
    """
    for table in TABLES.values():
        for partition in list_partitions(lake, table):
            require_current_file(table, partition_file(lake, table, partition))


def _require_no_newer(lake: Path) -> None:
    """Refuse a lake of a later release.

    Raises:
        InputError: naming a file that is newer than this release.
    """
    for table in TABLES.values():
        for path in look_into(lake / table.name, table.partition_by).partitions:
            refuse_newer(table, path, file_version(table, path) or 1)


def upgrade(settings: Settings) -> list[UpgradedPartition]:
    """Rewrite every partition of an earlier schema version; a lake that is up to date is left as it is.

    Pieces of unfinished work that an earlier release staged, in tables that have changed since, are removed. They
    cannot be continued, because their fingerprint covers the code that made them.

    Raises:
        InputError: before anything is changed, if a file is newer than this release; at the end, naming the files
            that are damaged and were therefore left where they are.
        T2SError: if the disk is full.
    """
    lake = settings.lake
    if not isinstance(lake, Path):
        return list(_rewritten_objects(lake))
    with only_one(settings.home, "upgrade of the lake"):
        recover(lake)
        files = list(_files_of_changed_tables(lake))
        _require_no_newer(lake)
        upgraded = [item for file in files if (item := _rewrite(lake, file))]
        without_digests, damaged = _without_digests(lake)
        for table, partition in without_digests:
            try:
                upgraded += _with_digests(lake, table, partition)
            except DamagedFileError as error:
                damaged.append(error.path)
        _remove_old_pieces(lake)
    damaged += [file.path for file in files if file.version is None]
    if damaged:
        raise InputError(
            f"Damaged and therefore not upgraded: {', '.join(sorted({str(path) for path in damaged}))}. "
            "All other partitions are up to date. `t2s lake repair` removes these and says how to make them again."
        )
    return upgraded


def _rewritten_objects(lake: ObjectPlace) -> Iterator[UpgradedPartition]:
    """Rewrite the objects of an earlier schema version. Objects always lie as in this release, and have digests."""
    storage = storage_of(lake)
    stale: list[tuple[Table, Partition, int]] = []
    for table in TABLES.values():
        for partition in storage.partitions(table):
            file = storage.stored(table, partition)
            if file is not None and file.version is not None:
                refuse_newer(table, storage.address(table, partition), file.version)
                if file.version < table.version:
                    stale.append((table, partition, file.version))
    for table, partition, version in stale:
        with storage.open(table, partition) as source:
            fingerprint = source.entries.get(FINGERPRINT_KEY, b"").decode()
            with replacing_partitions(lake, (table,), partition, fingerprint) as (writer,):
                for batch in source.batches(table.rows_per_group):
                    writer.add(revised_rows(table, batch, version))
        yield UpgradedPartition(table.name, partition, writer.rows)


def _without_digests(lake: Path) -> tuple[list[tuple[Table, Partition]], list[Path | str]]:
    """The partitions whose files have no digests, and the files that are damaged."""
    partitions: list[tuple[Table, Partition]] = []
    damaged: list[Path | str] = []
    for table in TABLES.values():
        for path, partition in look_into(lake / table.name, table.partition_by).partitions.items():
            try:
                with CheckedFile(path) as file:
                    if not file.is_sealed and version_of(file.entries) == table.version:
                        partitions.append((table, partition))
            except DamagedFileError as error:
                damaged.append(error.path)
    return partitions, damaged


def _with_digests(lake: Path, table: Table, partition: Partition) -> list[UpgradedPartition]:
    """Write the rows as a file with digests; nothing if another process has replaced the partition meanwhile.

    Raises:
        DamagedFileError: if the file is damaged.
    """
    path = partition_file(lake, table, partition)
    former = path.stat()
    fingerprint = fingerprint_of(lake, table, partition) or ""
    entries = {FINGERPRINT_KEY: fingerprint.encode(), VERSION_KEY: str(table.version).encode()}
    temporary = beside(path)
    try:
        with disk_room(path):
            writer = TableWriter(table, temporary, table.schema.with_metadata(entries))
            try:
                for batch in scan(lake, table, partition):
                    writer.add(batch)
                writer.finish()
            finally:
                writer.abandon()
            flush(temporary)
        with changing(lake):
            is_used = replace_if_unchanged(temporary, path, former)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
    return [UpgradedPartition(table.name, partition, writer.rows)] if is_used else []


def _files_of_changed_tables(lake: Path) -> Iterator[_File]:
    """Every file of the tables that have changed since the first release, wherever a release has put it."""
    for table in TABLES.values():
        if table.version > 1:
            for layout in (table.partition_by, *former_layouts(table)):
                for path, partition in look_into(lake / table.name, layout).partitions.items():
                    yield _File(table, path, partition, file_version(table, path))


def _rewrite(lake: Path, file: _File) -> UpgradedPartition | None:
    """Write the rows as a file of today's version; None if there is nothing to do."""
    table = file.table
    if file.version is None or file.version >= table.version:
        return None
    partition = revised_partition(table, file.partition, file.version)
    place = partition_file(lake, table, partition)
    rows: int | None = None
    # A stopped upgrade may have written the file at its new place already, and not removed the former one.
    if place == file.path or file_version(table, place) != table.version:
        with CheckedFile(file.path) as source:
            fingerprint = source.entries.get(FINGERPRINT_KEY, b"").decode()
            with replacing_partitions(lake, (table,), partition, fingerprint) as (writer,):
                for batch in source.batches(table.rows_per_group):
                    writer.add(revised_rows(table, batch, file.version))
        rows = writer.rows
    if place != file.path:
        with changing(lake):
            file.path.unlink()
        _remove_empty(file.path.parent, lake / table.name)
    return None if rows is None else UpgradedPartition(table.name, partition, rows)


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove the folder and those above it, below ``top``, as far as they are empty."""
    with suppress(OSError):
        while folder != top:
            folder.rmdir()
            folder = folder.parent


def _remove_old_pieces(lake: Path) -> None:
    """Remove the staged pieces of an earlier schema version."""
    for table in TABLES.values():
        for folder in (lake / STAGING / table.name).glob("*-*"):
            piece = next(folder.glob("*.parquet"), None)
            if piece is not None and file_version(table, piece) != table.version:
                shutil.rmtree(folder)
