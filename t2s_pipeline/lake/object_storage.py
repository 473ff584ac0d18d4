"""The lake on an object store: objects that never change, and manifests that say which of them belong to it."""

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from t2s_pipeline.core.errors import ObjectStoreError
from t2s_pipeline.core.lake_place import ObjectPlace
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import Partition, partition_file
from t2s_pipeline.lake.manifests import ManifestEntry, Root, commit, entries_of, read_root
from t2s_pipeline.lake.object_client import ObjectClient, client_of
from t2s_pipeline.lake.object_copies import copy_of_entry, sending_folder
from t2s_pipeline.lake.object_pieces import ObjectPieces, staged_pieces
from t2s_pipeline.lake.object_sweep import COMMIT_HOURS, sweep
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.storage import FilesOfTables, Former, LakeFile, Pieces, SnapshotFile, Storage, StoredFile
from t2s_pipeline.lake.table import Table
from t2s_pipeline.lake.table_writer import TableWriter
from t2s_pipeline.lake.versions import VERSION_KEY

AT_ONCE = 16
"""The most objects whose footers are read at the same time."""


class ObjectStorage(Storage):
    """The partitions that the root of a lake names.

    Raises:
        ObjectStoreError: if a package is missing. Every method raises it too, if the object store fails.
    """

    def __init__(self, place: ObjectPlace) -> None:
        self._place, self._client = place, client_of(place)

    def address(self, table: Table, partition: Partition) -> str:
        """The beginning of the addresses of the partition's objects."""
        return self._client.address("/".join(filter(None, (table.name, place_of(table, partition)))))

    def open(self, table: Table, partition: Partition) -> CheckedFile:
        """The object that the manifest names, open for reading."""
        return _opened(self._client, self._entry(table, partition))

    def stored(self, table: Table, partition: Partition) -> StoredFile | None:
        """What the manifest says."""
        try:
            entry = self._entry(table, partition)
        except FileNotFoundError:
            return None
        return StoredFile(entry.object, entry.size, entry.commit, entry.version)

    def partitions(self, table: Table) -> Iterator[Partition]:
        """The partitions of the table's manifest."""
        for entry in entries_of(self._client, read_root(self._client), table.name).values():
            yield dict(entry.partition)

    @contextmanager
    def replacing(
        self,
        tables: Sequence[Table],
        partition: Partition,
        entries: Mapping[bytes, bytes],
        former: Former | None = None,
    ) -> Iterator[list[TableWriter]]:
        """Write files on this machine, put them, and change the manifests."""
        place = place_of(tables[0], partition)
        with ExitStack() as stack:
            folder = stack.enter_context(sending_folder(self._client))
            writers = []
            for table in tables:
                metadata = {**entries, VERSION_KEY: str(table.version).encode()}
                writers.append(TableWriter(table, folder / table.name, table.schema.with_metadata(metadata)))
                stack.callback(writers[-1].abandon)
            yield writers
            for writer in writers:
                writer.finish()
            began = time.monotonic()
            changes = {table.name: {place: self._put(folder / table.name, table, partition)} for table in tables}
            if time.monotonic() - began > COMMIT_HOURS * 3600:
                raise ObjectStoreError(
                    f"The rows for {self.address(tables[0], partition)} took more than {COMMIT_HOURS} hours to be "
                    "sent: run the same command again."
                )
            name = former.file.name if former is not None and former.file is not None else None
            commit(self._client, changes, None if former is None else {table.name: {place: name} for table in tables})

    def _put(self, file: Path, table: Table, partition: Partition) -> ManifestEntry:
        """Send a file as a new object; return what the manifest will say about it."""
        folder = "/".join(filter(None, (table.name, place_of(table, partition))))
        name = f"{folder}/{secrets.token_hex(16)}.parquet"
        size = file.stat().st_size
        self._client.put(name, file)
        return ManifestEntry(name, size, table.version, 0, partition)

    def recover(self) -> None:
        """Nothing: a commit is one request."""

    def pieces(self, table: Table, partition: Partition, origin: str) -> Pieces:
        """Objects below ``_staging``."""
        place = "/".join(filter(None, (table.name, place_of(table, partition))))
        return ObjectPieces(self._client, table, place, origin)

    def freeze(self, tables: Iterable[Table], folder: Path) -> FilesOfTables:
        """The objects that the root names now. They stay for a day after they were replaced."""
        root = read_root(self._client)
        by_name = {table.name: table for table in tables}
        return FilesOfTables(by_name, lambda name: self._copies(root, by_name[name], folder / name))

    def _copies(self, root: Root, table: Table, folder: Path) -> tuple[SnapshotFile, ...]:
        """The partitions of a table, with copies of their objects in ``folder``, which have the footers only."""
        entries = entries_of(self._client, root, table.name).values()
        folder.mkdir()
        files = []
        for number, entry in enumerate(sorted(entries, key=lambda entry: tuple(entry.partition.values()))):
            path = folder / f"{number}.parquet"
            copy = copy_of_entry(self._client, entry.object, entry.size, path)
            files.append(SnapshotFile(path, copy.name, dict(entry.partition), copy))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda file: file.copy and file.copy.ensure_footer(), files))
        return tuple(files)

    def files(self) -> Iterator[LakeFile]:
        """The objects of partitions, and staged pieces."""
        root = read_root(self._client)
        for table in TABLES.values():
            for entry in entries_of(self._client, root, table.name).values():
                opened, address = partial(_opened, self._client, entry), self._client.address(entry.object)
                yield LakeFile(address, opened, partial(int, entry.size), table, dict(entry.partition))
        yield from staged_pieces(self._client)

    def faults(self) -> dict[Path | str, str]:
        """Nothing: a manifest that cannot be read is a fault of every command."""
        return {}

    def take_out(self, name: Path | str, target: Path) -> None:
        """Copy the object to ``target``, and take it out of its manifest."""
        inside = str(name).removeprefix(self._client.address(""))
        try:
            target.write_bytes(self._client.get(inside)[0])
        except FileNotFoundError:
            target.write_bytes(b"")
        root = read_root(self._client)
        for table in TABLES:
            for place, entry in entries_of(self._client, root, table).items():
                if entry.object == inside:
                    commit(self._client, {table: {place: None}}, {table: {place: inside}})
                    return
        self._client.delete([inside])

    def sweep(self) -> int:
        """Remove objects that no manifest of the last day names."""
        return sweep(self._client)

    def copy(self, table: Table, partition: Partition, target: Path) -> bool:
        """Get the whole object."""
        try:
            entry = self._entry(table, partition)
        except FileNotFoundError:
            return False
        copy_of_entry(self._client, entry.object, entry.size, target).ensure_all()
        return True

    def _entry(self, table: Table, partition: Partition) -> ManifestEntry:
        """What the manifest says.

        Raises:
            FileNotFoundError: if the partition does not exist.
        """
        place = place_of(table, partition)
        entries = entries_of(self._client, read_root(self._client), table.name)
        if place not in entries:
            raise FileNotFoundError(self.address(table, partition))
        return entries[place]


def _opened(client: ObjectClient, entry: ManifestEntry) -> CheckedFile:
    return CheckedFile(copy_of_entry(client, entry.object, entry.size))


def place_of(table: Table, partition: Partition) -> str:
    """The place of a partition below its table: ``<column>=<value>/…``; "" for a table without partitions.

    Raises:
        InputError: as ``partition_file``.
    """
    place = partition_file(Path(), table, partition).parent.relative_to(table.name).as_posix()
    return "" if place == "." else place
