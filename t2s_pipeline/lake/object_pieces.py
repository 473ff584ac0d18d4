"""Staged pieces of a partition on an object store."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.local_pieces import piece_folder
from t2s_pipeline.lake.object_client import ObjectClient
from t2s_pipeline.lake.object_copies import copy_of_piece, sending_folder
from t2s_pipeline.lake.publishing import STAGING
from t2s_pipeline.lake.storage import LakeFile, Pieces
from t2s_pipeline.lake.table import Table


class ObjectPieces(Pieces):
    """Objects ``_staging/<table>/<partition>-<origin>/<number>.parquet``.

    Another machine may be doing the same work: it puts the same pieces, and removes them when it has committed. So this
    object knows the pieces that were there at the beginning and those that it has put, and misses one that is gone.
    Pieces of another origin stay, because another machine may be using them; ``t2s lake repair`` removes old ones.

    Args:
        client: of the lake.
        table: of the partition.
        place: of the partition, with the name of the table.
        origin: hex digits: what the pieces are made from.
    """

    def __init__(self, client: ObjectClient, table: Table, place: str, origin: str) -> None:
        self._client, self._folder = client, piece_folder(table, place, origin)
        self._sizes = {int(Path(item.name).stem): item.size for item in client.listed(self._folder)}

    def numbers(self) -> set[int]:
        """The numbers of the pieces that were there, and of those that were put."""
        return set(self._sizes)

    @contextmanager
    def writing(self, number: int) -> Iterator[Path]:
        """A file on this machine, which is sent at the end."""
        with sending_folder(self._client) as folder:
            yield folder / "piece"
            self._client.put(self._name(number), folder / "piece")
            self._sizes[number] = (folder / "piece").stat().st_size

    def open(self, number: int) -> CheckedFile:
        """A piece, open for reading."""
        return CheckedFile(copy_of_piece(self._client, self._name(number), self._sizes[number]))

    def remove(self) -> None:
        """Remove the pieces that this object knows."""
        self._client.delete([self._name(number) for number in self._sizes])
        self._sizes.clear()

    def _name(self, number: int) -> str:
        return f"{self._folder}/{number:08d}.parquet"


def staged_pieces(client: ObjectClient) -> Iterator[LakeFile]:
    """All staged pieces of the lake."""
    for item in client.listed(STAGING):
        yield LakeFile(
            client.address(item.name), partial(_opened, client, item.name, item.size), partial(int, item.size)
        )


def _opened(client: ObjectClient, name: str, size: int) -> CheckedFile:
    return CheckedFile(copy_of_piece(client, name, size))
