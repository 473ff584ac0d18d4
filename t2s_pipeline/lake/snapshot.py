"""The lake as it is at one moment, for a reader that opens a file more than once.

DuckDB reads the footer of a Parquet file when it plans a query, and opens the file again to run the query. If the
partition is replaced in between, the old footer is used with the new rows. The result is an error or a wrong number;
both were observed. A hard link keeps the file itself, whatever happens to its name, and needs no space.
"""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from t2s_pipeline.core.atomic_files import is_abandoned, owner_mark
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.store import list_partitions, partition_file
from t2s_pipeline.lake.together import recover


def take_snapshot(lake: Path, scratch: Path) -> Path | None:
    """Make a folder below ``scratch`` with the layout of the lake and a hard link to each partition.

    The caller removes the folder. Folders that killed processes left are removed here. It returns None if hard links
    are not possible (another file system, or a read-only one); then the reader has to use the lake itself.

    Raises:
        InputError: if the lake has partitions as another release lays them out.
    """
    recover(lake)
    for former in scratch.glob("lake-*"):
        if is_abandoned(former.name):
            shutil.rmtree(former, ignore_errors=True)
    partitions = [(table, partition) for table in TABLES.values() for partition in list_partitions(lake, table)]
    folder = scratch / f"lake-{owner_mark()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        for table, partition in partitions:
            link = partition_file(folder, table, partition)
            link.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # removed since it was listed
                os.link(partition_file(lake, table, partition), link)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return folder
