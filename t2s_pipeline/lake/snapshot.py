"""The lake as it is at one moment, for a reader that opens a file more than once.

DuckDB reads the footer of a Parquet file when it plans a query, and opens the file again to run the query. If the
partition is replaced in between, the old footer is used with the new rows. The result is an error or a wrong number;
both were observed. A hard link keeps the file itself, whatever happens to its name, and needs no space.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.atomic_files import is_abandoned, owner_mark
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.store import Partition, list_partitions, partition_file
from t2s_pipeline.lake.together import recover

_ALIAS = "t2s-lake-"
_PATTERN_CHARACTERS = frozenset("*?[\\")
"""In a path, DuckDB takes these for a pattern, or for a separator of folders. It has no way to escape them."""


@dataclass(frozen=True)
class SnapshotFile:
    """One partition in a snapshot."""

    path: Path
    """``<folder>/<table>/<number>.parquet``. The numbers of a table count from 0, in the order of its partitions."""
    source: Path
    """The file in the lake, for messages."""
    partition: Partition


@dataclass(frozen=True)
class Snapshot:
    """The files of the lake at one moment.

    Attributes:
        folder: the folder of the links. Its path has no character that DuckDB takes for a pattern.
        files: the partitions of each table, by the table's name.
        outside: the files that symbolic links of the snapshot lead to.
        removable: what the caller removes when it does not need the snapshot any more.
    """

    folder: Path
    files: Mapping[str, tuple[SnapshotFile, ...]]
    outside: tuple[Path, ...]
    removable: tuple[Path, ...]

    def remove(self) -> None:
        """Remove the links. The lake stays as it is."""
        for path in self.removable:
            if path.is_symlink():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, ignore_errors=True)


def take_snapshot(lake: Path, scratch: Path) -> Snapshot:
    """Make a folder with a link to each partition of the lake.

    The links are hard links. Where those are not possible (a table on another file system, a read-only T2S_HOME), they
    are symbolic links. Such a partition must not be replaced while it is read. Links that killed processes left are
    removed here.

    Args:
        lake: the lake.
        scratch: a folder on the same file system, for the links.

    Raises:
        InputError: if the lake has partitions as another release lays them out, or if neither the lake's path nor that
            of temporary files can be given to DuckDB.
    """
    recover(lake)
    temporary = Path(tempfile.gettempdir())
    for former in (*scratch.glob("lake-*"), *temporary.glob(f"{_ALIAS}*")):
        if is_abandoned(former.name):
            former.unlink() if former.is_symlink() else shutil.rmtree(former, ignore_errors=True)
    partitions = {table.name: list_partitions(lake, table) for table in TABLES.values()}
    home = _new_folder(scratch, temporary)
    folder = _plain_name(home, temporary)
    removable = (home,) if folder == home else (folder, home)
    files: dict[str, tuple[SnapshotFile, ...]] = {}
    outside: list[Path] = []
    for name, of_table in partitions.items():
        linked: list[SnapshotFile] = []
        for partition in of_table:
            source = partition_file(lake, TABLES[name], partition)
            path = folder / name / f"{len(linked)}.parquet"
            path.parent.mkdir(exist_ok=True)
            with suppress(FileNotFoundError):  # removed since it was listed
                outside += _link(source, path)
                linked.append(SnapshotFile(path, source, partition))
        files[name] = tuple(linked)
    return Snapshot(folder, files, tuple(outside), removable)


def _new_folder(scratch: Path, temporary: Path) -> Path:
    """A new folder below ``scratch``; where nothing can be written there, in the folder of temporary files."""
    mark = f"{owner_mark()}-{secrets.token_hex(4)}"
    try:
        folder = scratch / f"lake-{mark}"
        folder.mkdir(parents=True)
    except OSError:
        folder = temporary / f"{_ALIAS}{mark}"
        folder.mkdir()
    return folder


def is_plain(path: Path) -> bool:
    """Whether DuckDB takes the path as it is, and not for a pattern."""
    return not _PATTERN_CHARACTERS & set(str(path))


def _plain_name(folder: Path, temporary: Path) -> Path:
    """The folder, or a new symbolic link to it if DuckDB would take its path for a pattern.

    Raises:
        InputError: if DuckDB would take the path of temporary files for a pattern as well.
    """
    if is_plain(folder):
        return folder
    if not is_plain(temporary):
        raise InputError(
            f"{folder} and the folder of temporary files ({temporary}) both have one of the characters * ? [ \\ in "
            "their path, which DuckDB takes for a pattern: set TMPDIR to another folder."
        )
    alias = temporary / f"{_ALIAS}{owner_mark()}-{secrets.token_hex(4)}"
    os.symlink(folder, alias)
    return alias


def _link(source: Path, path: Path) -> list[Path]:
    """Make ``path`` a link to the file; return the file if the link is symbolic, else nothing."""
    try:
        os.link(source, path)
    except FileNotFoundError:
        raise
    except OSError:
        target = source.resolve(strict=True)
        os.symlink(target, path)
        return [target]
    return []
