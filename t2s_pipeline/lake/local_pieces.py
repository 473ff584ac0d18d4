"""Staged pieces of a partition in a folder."""

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.storage import Pieces
from t2s_pipeline.lake.table import Table

_COMMITTED = "committed-"
"""The beginning of the name of a folder whose pieces are in the partition already."""


def piece_folder(table: Table, place: str, origin: str) -> str:
    """The name of the folder of a partition's pieces, below the lake.

    Args:
        table: of the partition.
        place: the folder of the partition, below the lake.
        origin: hex digits: what the pieces are made from.
    """
    return f"{STAGING}/{table.name}/{hashlib.sha256(place.encode()).hexdigest()[:16]}-{origin}"


class LocalPieces(Pieces):
    """Files ``<lake>/_staging/<table>/<partition>-<origin>/<number>.parquet``. One process at a time uses them.

    Args:
        lake: the folder of the lake.
        table: of the partition.
        place: the path of the partition's file.
        origin: hex digits. The pieces of other origins are removed.
    """

    def __init__(self, lake: Path, table: Table, place: Path, origin: str) -> None:
        self.folder = lake / piece_folder(table, place.parent.relative_to(lake).as_posix(), origin)
        self._remove_committed()
        for other in self.folder.parent.glob(f"{self.folder.name.removesuffix(origin)}*"):
            if other != self.folder:
                shutil.rmtree(other)
        for temporary in self.folder.glob(".*.tmp"):
            temporary.unlink(missing_ok=True)

    def numbers(self) -> set[int]:
        """The numbers of the files that are there."""
        return {int(piece.stem) for piece in self.folder.glob("[0-9]*.parquet")}

    @contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """A temporary file, which is renamed."""
        with atomic_file(self._path(number)) as temporary:
            yield temporary

    def open(self, number: int) -> CheckedFile:
        """A file, open for reading."""
        return CheckedFile(self._path(number))

    def remove(self) -> None:
        """Remove the folder. It is renamed first: a process that is killed leaves either every piece or none."""
        with suppress(FileNotFoundError):
            self.folder.rename(self.folder.with_name(f"{_COMMITTED}{self.folder.name}"))
        self._remove_committed()

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08d}.parquet"

    def _remove_committed(self) -> None:
        for folder in self.folder.parent.glob(f"{_COMMITTED}*"):
            shutil.rmtree(folder, ignore_errors=True)
