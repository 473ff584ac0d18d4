"""The step that enters a scene of the imagery folder into the table ``scenes``, with its place or with its fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.weight_files import sha256_of
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.scenes.imagery_folder import SceneFile, find_scene
from t2s_pipeline.steps.step import Context, LakePartition, Step

VANISHED, STAC_ITEM = "vanished", "stac_item"
"""Reasons why a scene cannot be asked, beside those of ``scenes.description``."""

Row = dict[str, Any]


def path_in_tables(settings: Settings, path: Path) -> str:
    """A path as tables show it: relative to T2S_HOME if it lies there."""
    return path.relative_to(settings.home).as_posix() if path.is_relative_to(settings.home) else str(path)


def registered_scene(settings: Settings, scene: str) -> Row | None:
    """The row of a scene in the table; None without one."""
    try:
        rows: list[Row] = read_partition(settings.lake, schema.SCENES, {"scene": scene}).to_pylist()
    except NotMaterializedError:
        return None
    return rows[0] if rows else None


@dataclass(frozen=True)
class RegisterScene(Step):
    """Describe a scene of the imagery folder: one row of the table ``scenes``."""

    scene: str

    name: ClassVar[str] = "register"
    code: ClassVar[str] = "scenes.description"

    def writes(self) -> Sequence[LakePartition]:
        """The scene."""
        return [LakePartition(schema.SCENES, {"scene": self.scene})]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The contents of the scene's files."""
        file = find_scene(context.settings.imagery, self.scene)
        if file is None:
            return {"fault": VANISHED}
        item = [file.item.path] if file.item is not None else []
        try:
            contents = {str(path): sha256_of([path]) for path in (file.path, *file.sidecars, *item)}
        except (InputError, OSError):
            contents = {}
        return {"contents": contents, "fault": file.fault}

    def work(self, context: Context, fingerprint: str) -> None:
        """Write the row."""
        row = self._row(context.settings)
        rows = pa.Table.from_pylist([row], schema=schema.SCENES.schema)
        write_partition(context.settings.lake, schema.SCENES, {"scene": self.scene}, rows, fingerprint)

    def _row(self, settings: Settings) -> Row:
        file = find_scene(settings.imagery, self.scene)
        if file is None:
            # What is known of a scene stays, because its objects do.
            detail = f"There is no complete file of the scene {self.scene} in {settings.imagery} any more."
            known = registered_scene(settings, self.scene) or dict.fromkeys(schema.SCENES.schema.names)
            return {**known, "reason": VANISHED, "detail": detail}
        names = {
            "path": path_in_tables(settings, file.path),
            "stac_item": path_in_tables(settings, file.item.path) if file.item is not None else None,
        }
        if file.fault:
            return {**dict.fromkeys(schema.SCENES.schema.names), **names, "reason": STAC_ITEM, "detail": file.fault}
        return {**names, **_described(file)}


def _described(file: SceneFile) -> Row:
    # Imported here, because it takes long and Dagster must load the project quickly.
    from t2s_pipeline.scenes.description import describe

    description = describe(file.path)
    try:
        sha256 = sha256_of([file.path])
    except (InputError, OSError):
        sha256 = None
    header = description.header
    west, south, east, north = description.degrees or (None,) * 4
    stated: datetime | None = file.item.time if file.item is not None else None
    return {
        "sha256": sha256,
        "width": description.width or None,
        "height": description.height or None,
        "bands": header.bands if header else None,
        "dtype": header.dtype if header else None,
        "nodata": header.nodata if header else None,
        "crs": description.crs or None,
        "crs_name": description.crs_name or None,
        "transform": list(description.transform) or None,
        "bounds": list(description.bounds) if description.bounds else None,
        "west": west,
        "south": south,
        "east": east,
        "north": north,
        "pixel_size": description.pixel_size,
        "time": stated or (header.time if header else None),
        "notes": list(description.notes),
        "reason": description.reason or None,
        "detail": description.detail or None,
    }
