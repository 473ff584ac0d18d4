"""Partitions of several tables that change as one, whatever happens while they do.

A rename is atomic, four renames are not: a process killed between them would leave new images beside old
samples. So the files are written whole under other names, the renames are written down, and only then done.
Whoever opens the lake next does what a killed writer left undone.
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

JOURNALS = "_staging"
_NOT_OURS = (errno.EROFS, errno.EACCES, errno.EPERM)


class TableWriter:
    """One table's file while it is written: batches in, row groups out."""

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
        """Raises InputError if a column is missing, unknown or does not fit its type."""
        self._write(self._groups.add(batch))

    def finish(self) -> None:
        """Write what waits, and the footer."""
        self._write(self._groups.rest())
        self._file.close()

    def abandon(self) -> None:
        """Let go of a file that nobody will read."""
        if self._file.is_open:
            self._file.close()

    def _write(self, groups: Iterable[pa.Table]) -> None:
        for group in groups:
            self._file.write_table(group.replace_schema_metadata(self._metadata), row_group_size=len(group))
            self.rows += len(group)
            # Left alone, the pool keeps what images took until it feels like giving it back: how much, nobody can say.
            pa.default_memory_pool().release_unused()


@contextmanager
def replacing(lake: Path, files: dict[Path, Table], metadata: dict[bytes, bytes]) -> Iterator[list[TableWriter]]:
    """A writer for each file; on leaving the block all of them appear, and on any error none does.

    Raises:
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
    # Named by what it replaces: one process at a time writes a partition, and a killed one's leavings are found.
    name = hashlib.sha256("\n".join(new for _, new in pairs).encode()).hexdigest()[:16]
    journal = lake / JOURNALS / f"renames-{name}.json"
    with atomic_file(journal) as temporary:
        temporary.write_text(json.dumps(pairs))
    _rename(lake, journal)


def recover(lake: Path) -> None:
    """Do the renames that a killed writer had written down. Cheap when there are none."""
    for journal in sorted((lake / JOURNALS).glob("renames-*.json")):
        try:
            _rename(lake, journal)
        except OSError as error:
            # Somebody who may only read sees each partition whole all the same; its owner will do it.
            if error.errno not in _NOT_OURS:
                raise


def _rename(lake: Path, journal: Path) -> None:
    """Do what the journal says. Done by two processes at once, or twice, it comes out the same."""
    try:
        pairs = [(lake / old, lake / new) for old, new in json.loads(journal.read_text())]
    except FileNotFoundError:  # another reader was quicker
        return
    for old, new in pairs:
        try:
            os.replace(old, new)
        except FileNotFoundError:
            continue  # renamed already
    for _, new in pairs:
        flush(new.parent)
    journal.unlink(missing_ok=True)
