"""The lake as it is at one moment, for a reader that opens a file more than once.

DuckDB reads the footer of a Parquet file when it plans a query, and opens the file again to run the query. If the
partition is replaced in between, the old footer is used with the new rows. The result is an error or a wrong number;
both were observed. A hard link keeps the file itself, whatever happens to its name, and needs no space. Objects have
names that are never used again. What a query needs of them is copied into the folder of the snapshot.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.atomic_files import is_abandoned, owner_mark
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.places import storage_of
from t2s_pipeline.lake.storage import FilesOfTables
from t2s_pipeline.lake.table import Table

_ALIAS = "t2s-lake-"
_PATTERN_CHARACTERS = frozenset("*?[\\")
"""In a path, DuckDB takes these for a pattern, or for a separator of folders. It has no way to escape them."""


@dataclass(frozen=True)
class Snapshot:
    """The files of the lake at one moment.

    Attributes:
        folder: the folder of the links. Its path has no character that DuckDB takes for a pattern.
        files: the partitions of each table, by the table's name.
        removable: what the caller removes when it does not need the snapshot any more.
    """

    folder: Path
    files: FilesOfTables
    removable: tuple[Path, ...]

    def remove(self) -> None:
        """Remove the links and copies. The lake stays as it is."""
        _remove(self.removable)


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_symlink():
            path.unlink(missing_ok=True)
        else:
            shutil.rmtree(path, ignore_errors=True)


def take_snapshot(lake: LakePlace, scratch: Path, tables: Iterable[Table]) -> Snapshot:
    """Make a folder with a link to each partition of the tables, as they are at one moment.

    Links that killed processes left are removed here.

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
    removable = (home,) if folder == home else (folder, home)
    try:
        return Snapshot(folder, storage_of(lake).freeze(tables, folder), removable)
    except BaseException:
        _remove(removable)
        raise


def remove_abandoned(scratch: Path) -> None:
    """Remove the snapshots of processes that no longer run."""
    for former in (*scratch.glob("lake-*"), *Path(tempfile.gettempdir()).glob(f"{_ALIAS}*")):
        if is_abandoned(former.name):
            former.unlink(missing_ok=True) if former.is_symlink() else shutil.rmtree(former, ignore_errors=True)


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
