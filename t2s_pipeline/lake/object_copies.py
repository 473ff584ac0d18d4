"""Copies of the objects of a lake on this machine."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from t2s_pipeline.core.atomic_files import disk_room, is_abandoned, owner_mark
from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.lake.object_client import ObjectClient
from t2s_pipeline.lake.partial_copy import PartialCopy, Range


def copy_of_entry(client: ObjectClient, name: str, size: int, path: Path | None = None) -> PartialCopy:
    """A copy of an object that a manifest names. If the object does not exist, it counts as damaged.

    Args:
        client: of the lake.
        name: of the object.
        size: its bytes.
        path: where the copy is made; None for a file without a name.
    """
    address = client.address(name)

    def read(parts: Sequence[Range]) -> list[memoryview]:
        try:
            return client.ranges(name, parts)
        except FileNotFoundError:
            raise DamagedFileError(address, "the object is missing, though the manifest names it") from None

    return PartialCopy(address, size, read, path, _scratch(client))


def copy_of_piece(client: ObjectClient, name: str, size: int) -> PartialCopy:
    """A copy of a staged piece. Reading it raises FileNotFoundError if it is not there any more."""
    return PartialCopy(client.address(name), size, lambda parts: client.ranges(name, parts), None, _scratch(client))


def _scratch(client: ObjectClient) -> Path:
    client.place.scratch.mkdir(parents=True, exist_ok=True)
    return client.place.scratch


@contextmanager
def sending_folder(client: ObjectClient) -> Iterator[Path]:
    """A new folder for files that will be sent. Folders that killed processes have left are removed.

    Raises:
        T2SError: if the disk is full.
    """
    scratch = _scratch(client)
    for former in scratch.glob("lake-*"):
        if is_abandoned(former.name):
            shutil.rmtree(former, ignore_errors=True)
    folder = scratch / f"lake-{owner_mark()}-{secrets.token_hex(4)}"
    with disk_room(folder):
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
