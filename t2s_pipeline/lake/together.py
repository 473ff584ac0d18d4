"""Partitions of several tables that are replaced together, even if the process is killed."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from t2s_pipeline.core.atomic_files import beside, disk_room, flush
from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.lake.publishing import publish, recover
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.versions import VERSION_KEY


@contextmanager
def replacing(lake: Path, files: dict[Path, Table], metadata: Mapping[bytes, bytes]) -> Iterator[list[TableWriter]]:
    """Yield one writer per file. When the block ends, all files appear; on any error, none does.

    Args:
        lake: the folder of the lake.
        files: the path and the table of each file.
        metadata: entries for the footers; the schema version is added.

    Raises:
        InputError: if a column is missing, unknown, or does not fit its type.
        DamagedFileError: if there is a folder where a file should be.
        T2SError: if the disk is full.
    """
    recover(lake)
    for path in files:
        if path.is_dir():
            raise DamagedFileError(path, "it is a folder")
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
        publish(lake, {temporary: path for path, temporary in temporaries.items()})
