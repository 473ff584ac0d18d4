"""Writes the file of one partition: batches become row groups, and the file gets its digests."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.lake.digests import empty_seal, seal, unset_digests
from t2s_pipeline.lake.row_groups import RowGroups
from t2s_pipeline.lake.table import Table


class TableWriter:
    """Writes the file of one partition: takes batches and writes row groups."""

    def __init__(self, table: Table, path: Path, schema: pa.Schema) -> None:
        self.rows = 0
        self._groups = RowGroups(table)
        self._metadata = schema.metadata
        # Image bytes are compressed already, and each differs from all others.
        has_files = any(pa.types.is_large_binary(column.type) for column in table.columns)
        self._schema, self._path, self._group_count = schema, path, 0
        self._sink = pa.OSFile(str(path), "wb")
        self._file = pq.ParquetWriter(
            self._sink,
            schema,
            compression="none" if has_files else "zstd",
            use_dictionary=not has_files,
            write_page_checksum=True,
        )
        self._sink.write(empty_seal())

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows.

        Raises:
            InputError: if a column is missing, unknown, or does not fit its type.
        """
        self._write(self._groups.add(batch))

    def finish(self) -> None:
        """Write the remaining rows, the footer and the digests."""
        self._write(self._groups.rest())
        self._file.add_key_value_metadata(unset_digests(self._schema, self._group_count))
        self._close()
        seal(self._path)

    def abandon(self) -> None:
        """Close a file that will not be used."""
        if self._file.is_open:
            self._close()

    def _close(self) -> None:
        try:
            self._file.close()
        finally:
            self._sink.close()

    def _write(self, groups: Iterable[pa.Table]) -> None:
        for group in groups:
            self._file.write_table(group.replace_schema_metadata(self._metadata), row_group_size=len(group))
            self.rows += len(group)
            self._group_count += 1
            # Without this call, Arrow's memory pool keeps the memory of the images for an unknown time.
            pa.default_memory_pool().release_unused()
