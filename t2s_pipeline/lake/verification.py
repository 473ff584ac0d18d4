"""Looks at every byte of the lake: what ``t2s lake verify`` and ``t2s lake repair`` do."""

import os
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.image_bytes import damaged_image
from t2s_pipeline.lake.places import storage_of
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.storage import LakeFile
from t2s_pipeline.lake.table import Table

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class DamagedPart:
    """Something in the lake that cannot be used.

    Attributes:
        path: the file, or the address of an object.
        reason: what is wrong with it.
        table: the table whose partition it is; None for a staged piece or a journal.
        partition: the partition.
    """

    path: Path | str
    reason: str
    table: Table | None = None
    partition: Partition | None = None


@dataclass(frozen=True)
class LakeState:
    """What was found in the lake.

    Attributes:
        files: the files of partitions and staged pieces.
        size: their bytes.
        without_digests: those that an earlier release wrote.
        damaged: what cannot be used.
    """

    files: int
    size: int
    without_digests: int
    damaged: tuple[DamagedPart, ...]


def verify(lake: LakePlace) -> LakeState:
    """Read every byte: compare each file with its digests, and each image with its hash.

    A file without digests is decoded instead. Nothing is changed, but for the renames of a process that was killed.
    """
    storage = storage_of(lake)
    storage.recover()
    files = size = without_digests = 0
    damaged = [DamagedPart(name, reason) for name, reason in storage.faults().items()]
    for file in storage.files():
        try:
            size += file.size()
            files += 1
            without_digests += not _is_sealed(file)
        except FileNotFoundError:
            continue  # its step has replaced or committed it since
        except DamagedFileError as error:
            damaged.append(DamagedPart(file.name, error.reason, file.table, file.partition))
    return LakeState(files, size, without_digests, tuple(damaged))


def set_aside(settings: Settings, damaged: tuple[DamagedPart, ...]) -> list[Path]:
    """Move what is damaged out of the lake, into ``T2S_HOME/damaged``, and return the new places."""
    places: list[Path] = []
    for part in damaged:
        place = settings.home / "damaged" / str(part.path).removeprefix(f"{settings.lake}/")
        number = 1
        name = place.name
        while os.path.lexists(place):
            number += 1
            place = place.with_name(f"{name}.{number}")
        place.parent.mkdir(parents=True, exist_ok=True)
        storage_of(settings.lake).take_out(part.path, place)
        places.append(place)
    return places


def remove_unused(lake: LakePlace) -> int:
    """Remove what killed processes have left on an object store, and what was replaced long ago; return the number."""
    return storage_of(lake).sweep()


def _is_sealed(source: LakeFile) -> bool:
    """Whether the file has digests.

    Raises:
        DamagedFileError: if it is damaged.
    """
    with source.open() as file:
        file.check()
        if not file.is_sealed:
            for _ in file.batches(_ROWS_AT_ONCE):
                pass
        if source.table is IMAGES:
            for batch in file.batches(_ROWS_AT_ONCE, ["image_id", "sha256", "bytes"]):
                image = damaged_image(batch)
                if image is not None:
                    raise DamagedFileError(source.name, f"the bytes of image {image} differ from their hash")
        return file.is_sealed
