"""The lake as it is at one moment, for a reader that opens a file more than once.

DuckDB reads the footer of a Parquet file when it plans a query, and opens the file again to run the query. If the
partition is replaced in between, the old footer is used with the new rows. The result is an error or a wrong number;
both were observed. A hard link keeps the file itself, whatever happens to its name, and needs no space.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from t2s_pipeline.core.atomic_files import is_abandoned, owner_mark
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.publishing import steady
from t2s_pipeline.lake.store import Partition, list_partitions, partition_file
from t2s_pipeline.lake.table import Table

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
    files: dict[str, tuple[SnapshotFile, ...]]
    outside: list[Path]
    removable: tuple[Path, ...]

    def remove(self) -> None:
        """Remove the links. The lake stays as it is."""
        for path in self.removable:
            if path.is_symlink():
                path.unlink(missing_ok=True)
            else:
                shutil.rmtree(path, ignore_errors=True)


def take_snapshot(lake: Path, scratch: Path, tables: Iterable[Table]) -> Snapshot:
    """Make a folder with a link to each partition of the tables, as they are at one moment.

    The links are hard links. Where those are not possible (a table on another file system, a read-only T2S_HOME), they
    are symbolic links. Such a partition must not be replaced while it is read. Links that killed processes left are
    removed here.

    Args:
        lake: the lake.
        scratch: a folder on the same file system, for the links.
        tables: the tables.

    Raises:
        InputError: if the lake has partitions as another release lays them out, or if neither the lake's path nor that
            of temporary files can be given to DuckDB.
    """
    temporary = Path(tempfile.gettempdir())
    remove_abandoned(scratch)
    home = _new_folder(scratch, temporary)
    folder = _plain_name(home, temporary)
    snapshot = Snapshot(folder, {}, [], (home,) if folder == home else (folder, home))
    try:
        with steady(lake) as unfinished:
            for table in tables:
                snapshot.files[table.name] = tuple(_linked(lake, table, unfinished, snapshot))
    except BaseException:
        snapshot.remove()
        raise
    return snapshot


def remove_abandoned(scratch: Path) -> None:
    """Remove the snapshots of processes that no longer run."""
    for former in (*scratch.glob("lake-*"), *Path(tempfile.gettempdir()).glob(f"{_ALIAS}*")):
        if is_abandoned(former.name):
            former.unlink(missing_ok=True) if former.is_symlink() else shutil.rmtree(former, ignore_errors=True)


def _linked(lake: Path, table: Table, unfinished: dict[Path, Path], snapshot: Snapshot) -> Iterator[SnapshotFile]:
    """Link the partitions of a table, in their order.

    Args:
        lake: the lake.
        table: the table.
        unfinished: place in the lake → the temporary file that belongs there.
        snapshot: takes the files that symbolic links lead to.
    """
    partitions = {partition_file(lake, table, partition): partition for partition in list_partitions(lake, table)}
    for place in unfinished:
        if place.is_relative_to(lake / table.name) and place not in partitions:
            columns = (part.partition("=")[::2] for part in place.parent.relative_to(lake / table.name).parts)
            partitions[place] = {column: unquote(value) for column, value in columns}
    folder = snapshot.folder / table.name
    folder.mkdir()
    number = 0
    for source, partition in partitions.items():
        path = folder / f"{number}.parquet"
        with suppress(FileNotFoundError):  # somebody has deleted it since it was listed
            snapshot.outside.extend(_link(unfinished.get(source, source), path))
            yield SnapshotFile(path, source, partition)
            number += 1


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
