"""Looks at every byte of the lake: what ``t2s lake verify`` and ``t2s lake repair`` do."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import look_into
from t2s_pipeline.lake.image_bytes import damaged_image
from t2s_pipeline.lake.publishing import STAGING, broken_journals, changing, recover
from t2s_pipeline.lake.revisions import former_layouts
from t2s_pipeline.lake.schema import IMAGES, TABLES
from t2s_pipeline.lake.store import Partition
from t2s_pipeline.lake.table import Table

_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class DamagedPart:
    """Something in the lake that cannot be used.

    Attributes:
        path: the file.
        reason: what is wrong with it.
        table: the table whose partition it is; None for a staged piece or a journal.
        partition: the partition.
    """

    path: Path
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


def verify(lake: Path) -> LakeState:
    """Read every byte: compare each file with its digests, and each image with its hash.

    A file without digests is decoded instead. Nothing is changed, but for the renames of a process that was killed.
    """
    recover(lake)
    files = size = without_digests = 0
    damaged = [DamagedPart(path, f"a journal of renames: {reason}") for path, reason in broken_journals(lake).items()]
    for path, table, partition in _files(lake):
        try:
            size += path.stat().st_size
            files += 1
            without_digests += not _is_sealed(path, table)
        except FileNotFoundError:
            continue  # its step has replaced or committed it since
        except DamagedFileError as error:
            damaged.append(DamagedPart(path, error.reason, table, partition))
    return LakeState(files, size, without_digests, tuple(damaged))


def set_aside(settings: Settings, damaged: tuple[DamagedPart, ...]) -> list[Path]:
    """Move what is damaged out of the lake, into ``T2S_HOME/damaged``, and return the new places."""
    places: list[Path] = []
    for part in damaged:
        place = settings.home / "damaged" / part.path.relative_to(settings.lake)
        number = 1
        while os.path.lexists(place):
            number += 1
            place = place.with_name(f"{part.path.name}.{number}")
        place.parent.mkdir(parents=True, exist_ok=True)
        with changing(settings.lake):
            os.replace(part.path, place)
        places.append(place)
    return places


def _files(lake: Path) -> Iterator[tuple[Path, Table | None, Partition | None]]:
    """Every file of a partition, also where an earlier release has put it, and every staged piece."""
    for table in TABLES.values():
        for layout in (table.partition_by, *former_layouts(table)):
            for path, partition in look_into(lake / table.name, layout).partitions.items():
                yield path, table, partition
    for path in sorted((lake / STAGING).glob("*/*/[0-9]*.parquet")):
        yield path, None, None


def _is_sealed(path: Path, table: Table | None) -> bool:
    """Whether the file has digests.

    Raises:
        DamagedFileError: if it is damaged.
    """
    with CheckedFile(path) as file:
        file.check()
        if not file.is_sealed:
            for _ in file.batches(_ROWS_AT_ONCE):
                pass
        if table is IMAGES:
            for batch in file.batches(_ROWS_AT_ONCE, ["image_id", "sha256", "bytes"]):
                image = damaged_image(batch)
                if image is not None:
                    raise DamagedFileError(path, f"the bytes of image {image} differ from their hash")
        return file.is_sealed
