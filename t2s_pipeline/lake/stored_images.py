"""The images of a split, read in any order: each process reads only the row groups that hold the images it needs."""

from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.errors import DamagedFileError, InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.image_bytes import damaged_image
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.store import FINGERPRINT_KEY, open_partition

COLUMNS = ("image_id", "sha256", "bytes")


class StoredImages:
    """An open partition of ``images``. The row group that was read last stays in memory.

    Args:
        lake: where the tables are.
        partition: the dataset and split.
        fingerprint: of the partition that is meant; None takes the one that is there.

    Raises:
        NotMaterializedError: if the partition does not exist.
        InputError: if it is damaged, of another release, or has another fingerprint.
    """

    def __init__(self, lake: LakePlace, partition: Partition, fingerprint: str | None = None) -> None:
        self._file = open_partition(lake, IMAGES, partition)
        stored = self._file.entries.get(FINGERPRINT_KEY, b"").decode(errors="replace")
        if fingerprint is not None and stored != fingerprint:
            raise InputError(
                f"The images of {partition['dataset']}-{partition['split']} were replaced meanwhile: "
                "run the same command again."
            )
        self._groups: dict[str, tuple[int, int]] = {}
        """Image → its row group, and its row there."""
        ids = self._file.read(["image_id"])["image_id"].to_pylist()
        start = 0
        for group in range(self._file.metadata.num_row_groups):
            end = start + self._file.metadata.row_group(group).num_rows
            self._groups.update({image_id: (group, row) for row, image_id in enumerate(ids[start:end])})
            start = end
        self._last: tuple[int, pa.Table] | None = None

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._groups

    def encoded(self, image_ids: Iterable[str]) -> Iterator[Any]:
        """The encoded bytes of images, in this order: one buffer at a time.

        Raises:
            DamagedFileError: if the stored bytes are damaged.
            KeyError: if there is no such image.
        """
        for image_id in image_ids:
            group, row = self._groups[image_id]
            yield self._group(group)["bytes"][row].as_py()

    def _group(self, number: int) -> pa.Table:
        if self._last is None or self._last[0] != number:
            self._last = None  # so that two are never in memory
            rows = self._file.group(number, COLUMNS)
            if not self._file.is_sealed and (image := damaged_image(rows)) is not None:
                raise DamagedFileError(self._file.path, f"the bytes of image {image} differ from their hash")
            self._last = number, rows
        return self._last[1]
