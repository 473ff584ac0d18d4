"""The lake in a folder: one file per partition, replaced by a rename; several are replaced through a journal."""

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import Partition, look_into, partition_file
from t2s_pipeline.lake.local_pieces import LocalPieces
from t2s_pipeline.lake.publishing import STAGING, broken_journals, changing, recover, steady
from t2s_pipeline.lake.revisions import former_layouts
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.storage import FilesOfTables, Former, LakeFile, Pieces, SnapshotFile, Storage, StoredFile
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.together import replacing
from t2s_pipeline.lake.versions import file_version, require_known_folders


class LocalStorage(Storage):
    """The partitions below a folder."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake

    def address(self, table: Table, partition: Partition) -> Path:
        """The path of the partition's file."""
        return partition_file(self._lake, table, partition)

    def open(self, table: Table, partition: Partition) -> CheckedFile:
        """The file, open for reading."""
        return CheckedFile(self.address(table, partition))

    def stored(self, table: Table, partition: Partition) -> StoredFile | None:
        """What the file system knows of the file, and its schema version."""
        path = self.address(table, partition)
        try:
            status = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return StoredFile(str(path), status.st_size, status.st_mtime_ns, file_version(table, path))

    def partitions(self, table: Table) -> Iterator[Partition]:
        """The partitions whose files exist."""
        folders = look_into(self._lake / table.name, table.partition_by)
        require_known_folders(table, folders.others)
        yield from folders.partitions.values()

    @contextmanager
    def replacing(
        self,
        tables: Sequence[Table],
        partition: Partition,
        entries: Mapping[bytes, bytes],
        former: Former | None = None,
    ) -> Iterator[list[TableWriter]]:
        """Write files beside their places and rename them together."""
        with replacing(self._lake, {self.address(table, partition): table for table in tables}, entries) as writers:
            yield writers

    def recover(self) -> None:
        """Do the renames that a killed process left in its journal."""
        recover(self._lake)

    def pieces(self, table: Table, partition: Partition, origin: str) -> Pieces:
        """Files below ``<lake>/_staging``."""
        return LocalPieces(self._lake, table, self.address(table, partition), origin)

    def freeze(self, tables: Iterable[Table], folder: Path) -> FilesOfTables:
        """Links to the files, made while writers wait.

        The links are hard links. Where those are not possible (a table on another file system, a read-only T2S_HOME),
        they are symbolic links. Such a partition must not be replaced while it is read.
        """
        outside: list[Path] = []
        files: dict[str, tuple[SnapshotFile, ...]] = {}
        with steady(self._lake) as unfinished:
            for table in tables:
                files[table.name] = tuple(self._linked(table, unfinished, folder / table.name, outside))
        return FilesOfTables(files, files.__getitem__, outside)

    def _linked(
        self, table: Table, unfinished: dict[Path, Path], folder: Path, outside: list[Path]
    ) -> Iterator[SnapshotFile]:
        """Link the partitions of a table, in their order.

        Args:
            table: the table.
            unfinished: place in the lake → the temporary file that belongs there.
            folder: where the links are made.
            outside: takes the files that symbolic links lead to.
        """
        top = self._lake / table.name
        listed = sorted(self.partitions(table), key=lambda partition: tuple(partition.values()))
        partitions = {self.address(table, partition): partition for partition in listed}
        for place in unfinished:
            if place.is_relative_to(top) and place not in partitions:
                columns = (part.partition("=")[::2] for part in place.parent.relative_to(top).parts)
                partitions[place] = {column: unquote(value) for column, value in columns}
        folder.mkdir()
        number = 0
        for source, partition in partitions.items():
            path = folder / f"{number}.parquet"
            with suppress(FileNotFoundError):  # somebody has deleted it since it was listed
                outside.extend(_link(unfinished.get(source, source), path))
                yield SnapshotFile(path, source, partition)
                number += 1

    def files(self) -> Iterator[LakeFile]:
        """The files of partitions and staged pieces."""
        for table in TABLES.values():
            for layout in (table.partition_by, *former_layouts(table)):
                for path, partition in look_into(self._lake / table.name, layout).partitions.items():
                    yield _lake_file(path, table, partition)
        for path in sorted((self._lake / STAGING).glob("*/*/[0-9]*.parquet")):
            yield _lake_file(path)

    def faults(self) -> dict[Path | str, str]:
        """The journals that cannot be followed."""
        journals = broken_journals(self._lake)
        return {path: f"a journal of renames: {reason}" for path, reason in journals.items()}

    def take_out(self, name: Path | str, target: Path) -> None:
        """Rename the file while no reader opens files."""
        with changing(self._lake):
            os.replace(name, target)

    def sweep(self) -> int:
        """Nothing: each writer removes what killed writers have left at its place."""
        return 0

    def copy(self, table: Table, partition: Partition, target: Path) -> bool:
        """Copy the file."""
        path = self.address(table, partition)
        if not path.is_file():
            return False
        shutil.copy2(path, target)
        return True


def _lake_file(path: Path, table: Table | None = None, partition: Partition | None = None) -> LakeFile:
    return LakeFile(path, lambda: CheckedFile(path), lambda: path.stat().st_size, table, partition)


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
