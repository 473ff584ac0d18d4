"""The lake as it is at one moment, for a reader that opens a file more than once.

DuckDB reads a Parquet file's footer when it plans a query and opens the file again to run it. If the partition
is replaced in between, the old footer meets the new rows: an error at best, a wrong number at worst (both were
observed). A hard link holds on to the file itself, whatever becomes of its name, and costs no space.
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


def take_snapshot(lake: Path, place: Path) -> Path | None:
    """A new folder below ``place``, laid out as the lake, with a hard link to every partition of now.

    The caller removes it; what killed readers left is removed here. None where there can be no hard links
    (another file system, a read-only one): the lake itself must do then.
    """
    recover(lake)
    for left in place.glob("lake-*"):
        if is_abandoned(left.name):
            shutil.rmtree(left, ignore_errors=True)
    partitions = [(table, partition) for table in TABLES.values() for partition in list_partitions(lake, table)]
    folder = place / f"lake-{owner_mark()}-{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True)
        for table, partition in partitions:
            link = partition_file(folder, table, partition)
            link.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # removed by hand since it was listed
                os.link(partition_file(lake, table, partition), link)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    return folder
