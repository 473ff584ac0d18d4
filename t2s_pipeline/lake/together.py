"""Partitions of several tables that are replaced together, even if the process is killed.

One rename is atomic, four renames are not: a process killed between them would leave new images beside old samples.
So the files are first written under temporary names, then the renames are written into a journal, and only then done.
The next process that opens the lake finishes the renames that a killed process did not do.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.atomic_files import atomic_file, beside, disk_room, flush
from t2s_pipeline.lake.row_groups import RowGroups
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.versions import VERSION_KEY

STAGING = "_staging"
"""The folder of the lake for work that is not finished: pieces of partitions, and journals of renames."""

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class TableWriter:
    """Writes the file of one partition: takes batches and writes row groups."""

    def __init__(self, table: Table, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._groups = RowGroups(table)
        self._metadata = schema.metadata
        # Image bytes are compressed already, and each differs from all others.
        has_files = any(pa.types.is_large_binary(column.type) for column in table.columns)
        self._file = pq.ParquetWriter(
            path, schema, compression="none" if has_files else "zstd", use_dictionary=not has_files
        )

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows.

        Raises:
            InputError: if a column is missing, unknown, or does not fit its type.
        """
        self._write(self._groups.add(batch))

    def finish(self) -> None:
        """Write the remaining rows and the footer."""
        self._write(self._groups.rest())
        self._file.close()

    def abandon(self) -> None:
        """Close a file that will not be used."""
        if self._file.is_open:
            self._file.close()

    def _write(self, groups: Iterable[pa.Table]) -> None:
        for group in groups:
            self._file.write_table(group.replace_schema_metadata(self._metadata), row_group_size=len(group))
            self.rows += len(group)
            # Without this call, Arrow's memory pool keeps the memory of the images for an unknown time.
            pa.default_memory_pool().release_unused()


@contextmanager
def replacing(lake: Path, files: dict[Path, Table], metadata: dict[bytes, bytes]) -> Iterator[list[TableWriter]]:
    """Yield one writer per file. When the block ends, all files appear; on any error, none does.

    Args:
        lake: the folder of the lake.
        files: the path and the table of each file.
        metadata: entries for the footers; the schema version is added.

    Raises:
        InputError: if a column is missing, unknown, or does not fit its type.
        T2SError: if the disk is full.
    """
    recover(lake)
    temporaries = {path: beside(path) for path in files}
    with ExitStack() as stack:
        stack.enter_context(disk_room(next(iter(files))))
        for temporary in temporaries.values():
            stack.callback(temporary.unlink, missing_ok=True)
        writers = []
        for path, table in files.items():
            entries = {**metadata, VERSION_KEY: str(table.version).encode()}
            writers.append(TableWriter(table, temporaries[path], table.schema.with_metadata(entries)))
            stack.callback(writers[-1].abandon)
        yield writers
        for writer in writers:
            writer.finish()
        for temporary in temporaries.values():
            flush(temporary)
        _publish(lake, {temporary: path for path, temporary in temporaries.items()})


def _publish(lake: Path, renames: dict[Path, Path]) -> None:
    if len(renames) == 1:
        ((old, new),) = renames.items()
        os.replace(old, new)
        flush(new.parent)
        return
    pairs = [[str(old.relative_to(lake)), str(new.relative_to(lake))] for old, new in renames.items()]
    # The name comes from the files that are replaced: only one process at a time writes them.
    name = hashlib.sha256("\n".join(new for _, new in pairs).encode()).hexdigest()[:16]
    journal = lake / STAGING / f"renames-{name}.json"
    with atomic_file(journal) as temporary:
        temporary.write_text(json.dumps(pairs))
    _rename(lake, journal)


def recover(lake: Path) -> None:
    """Do the renames that a killed process left in its journal. Cheap if there is none."""
    for journal in sorted((lake / STAGING).glob("renames-*.json")):
        try:
            _rename(lake, journal)
        except OSError as error:
            # A user who may only read sees each partition complete anyway; the owner will do the renames.
            if error.errno not in _READ_ONLY:
                raise


def _rename(lake: Path, journal: Path) -> None:
    """Do the renames of the journal. The result is the same if two processes do them, or one does them twice."""
    try:
        pairs = [(lake / old, lake / new) for old, new in json.loads(journal.read_text())]
    except FileNotFoundError:  # another process was quicker
        return
    for old, new in pairs:
        try:
            os.replace(old, new)
        except FileNotFoundError:
            continue  # renamed already
    for _, new in pairs:
        flush(new.parent)
    journal.unlink(missing_ok=True)
