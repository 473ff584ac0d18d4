"""What the users of the lake need of the place where it lies. It has two siblings: a folder, and an object store."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.partial_copy import PartialCopy
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter


class ChangedMeanwhileError(Exception):
    """Another process has replaced a partition that was to be replaced only as it was."""


@dataclass(frozen=True)
class StoredFile:
    """What is known of a partition's file without reading it.

    Attributes:
        name: differs from the name of the file that was there before; in a folder it is the same.
        size: in bytes.
        order: of two partitions, the one that was replaced later has the higher number.
        version: the schema version; None if the file is damaged.
    """

    name: str
    size: int
    order: int
    version: int | None


@dataclass(frozen=True)
class LakeFile:
    """A file of the lake, which is looked at without being used.

    Attributes:
        name: the file, or the address of an object.
        open: opens it for reading. It raises FileNotFoundError if it is gone since, because its step has replaced it.
        size: gives its bytes; raises FileNotFoundError as ``open``.
        table: the table whose partition it is; None for a staged piece.
        partition: the partition.
    """

    name: Path | str
    open: Callable[[], CheckedFile]
    size: Callable[[], int]
    table: Table | None = None
    partition: Partition | None = None


@dataclass(frozen=True)
class Former:
    """A partition as a process has read it: what it writes is written only if that is still there.

    Attributes:
        file: the file that was there; None if there was none.
    """

    file: StoredFile | None


@dataclass(frozen=True)
class SnapshotFile:
    """One partition in a snapshot.

    Attributes:
        path: ``<folder>/<table>/<number>.parquet``. The numbers count from 0, in the order of the table's partitions.
        source: the file in the lake, for messages.
        partition: the partition.
        copy: brings the parts of an object to ``path`` when they are read; None if all of them are there.
    """

    path: Path
    source: Path | str
    partition: Partition
    copy: PartialCopy | None = None


class FilesOfTables:
    """The partitions of each table in a snapshot.

    Args:
        names: the tables.
        load: gives the partitions of a table. It is called once per table, when they are first asked for.
        outside: the files that symbolic links of the snapshot lead to.
    """

    def __init__(
        self, names: Iterable[str], load: Callable[[str], tuple[SnapshotFile, ...]], outside: Sequence[Path] = ()
    ) -> None:
        self.names, self.outside = frozenset(names), list(outside)
        self._load = load
        self._files: dict[str, tuple[SnapshotFile, ...]] = {}

    def __getitem__(self, name: str) -> tuple[SnapshotFile, ...]:
        """The partitions of a table, in their order."""
        if name not in self._files:
            self._files[name] = self._load(name)
        return self._files[name]


class Pieces(ABC):
    """The pieces of a partition that is not finished, by number."""

    @abstractmethod
    def numbers(self) -> set[int]:
        """The numbers of the pieces that are there."""

    @abstractmethod
    def writing(self, number: int) -> AbstractContextManager[Path]:
        """A path to write a piece to. At the end of the block the piece survives a crash; after an error there is none.

        Raises:
            T2SError: if the disk is full.
        """

    @abstractmethod
    def open(self, number: int) -> CheckedFile:
        """A piece, open for reading.

        Raises:
            FileNotFoundError: if it is not there any more.
        """

    @abstractmethod
    def remove(self) -> None:
        """Remove the pieces, because they are in the partition now."""


class Storage(ABC):
    """The partitions of one lake."""

    @abstractmethod
    def address(self, table: Table, partition: Partition) -> Path | str:
        """Where the partition is, whether or not it exists, for messages.

        Raises:
            InputError: if the partition's columns are not the table's, or a value cannot be a part of a name.
        """

    @abstractmethod
    def open(self, table: Table, partition: Partition) -> CheckedFile:
        """The file of the partition, open for reading. It stays readable here if the partition is replaced.

        Raises:
            FileNotFoundError: if the partition does not exist.
            InputError: if the file is damaged, or as ``address``.
        """

    @abstractmethod
    def stored(self, table: Table, partition: Partition) -> StoredFile | None:
        """What is known of the partition's file; None if it does not exist."""

    @abstractmethod
    def partitions(self, table: Table) -> Iterator[Partition]:
        """Every partition of the table that exists.

        Raises:
            InputError: if the table has partitions as another release lays them out.
        """

    @abstractmethod
    def replacing(
        self,
        tables: Sequence[Table],
        partition: Partition,
        entries: Mapping[bytes, bytes],
        former: Former | None = None,
    ) -> AbstractContextManager[list[TableWriter]]:
        """Yield one writer per table. When the block ends, all partitions are replaced at one moment; on error none is.

        Args:
            tables: the tables.
            partition: the partition of each.
            entries: for the footers; the schema version is added.
            former: what must still be there; None: whatever is there is replaced. In a folder, the lock of the caller
                does the same, and this is not looked at.

        Raises:
            InputError: if a column is missing, unknown, or does not fit its type.
            ChangedMeanwhileError: if something else than ``former`` is there.
            T2SError: if the disk is full, or the object store fails.
        """

    @abstractmethod
    def recover(self) -> None:
        """Finish what a killed process has left unfinished, where that is needed before something is read."""

    @abstractmethod
    def pieces(self, table: Table, partition: Partition, origin: str) -> Pieces:
        """The staged pieces of a partition. Pieces of another origin are removed, if nobody can be using them.

        Args:
            table: of the partition.
            partition: which one.
            origin: hex digits: what the pieces are made from.
        """

    @abstractmethod
    def freeze(self, tables: Iterable[Table], folder: Path) -> FilesOfTables:
        """The partitions of the tables as they are at one moment, for as long as the snapshot is used.

        Args:
            tables: the tables.
            folder: of the snapshot.
        """

    @abstractmethod
    def files(self) -> Iterator[LakeFile]:
        """Every file of a partition, also where an earlier release has put it, and every staged piece."""

    @abstractmethod
    def faults(self) -> dict[Path | str, str]:
        """What says which files belong to the lake and cannot be read, and what is wrong with it."""

    @abstractmethod
    def take_out(self, name: Path | str, target: Path) -> None:
        """Move something that ``files`` or ``faults`` names out of the lake, to ``target`` on this machine."""

    @abstractmethod
    def sweep(self) -> int:
        """Remove what killed processes have left and surely nobody uses; return the number of files."""

    @abstractmethod
    def copy(self, table: Table, partition: Partition, target: Path) -> bool:
        """Copy the file of a partition to ``target``; False if the partition does not exist."""
