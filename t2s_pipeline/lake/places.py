"""From the place of a lake to what reads and writes it there."""

from pathlib import Path

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.local_storage import LocalStorage
from t2s_pipeline.lake.storage import Storage


def storage_of(lake: LakePlace) -> Storage:
    """The storage of the lake at this place.

    Raises:
        ObjectStoreError: if the place is on an object store and a package for it is missing.
    """
    if isinstance(lake, Path):
        return LocalStorage(lake)
    from t2s_pipeline.lake.object_storage import ObjectStorage

    return ObjectStorage(lake)
