"""The watched folder of imagery: which scenes lie in it, their names, and which are complete.

A raster below ``T2S_HOME/imagery`` (or the folder ``T2S_IMAGERY``) is a scene. A STAC item, which is a JSON file there,
adds the time to a scene, or brings a scene from another folder (``stac_items.py``). A scene has the name of its file
below the folder, such as ``harbour.tif``. Where that cannot be a name, letters are made small, other characters become
hyphens, and a hash of the file's name is added.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.arrival import may_be_arriving
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.names import is_name
from t2s_pipeline.scenes.stac_items import IMAGE_ENDINGS, StacItem, read_item

RASTERS = IMAGE_ENDINGS
"""What is taken of a folder, by the ending. A file that is named can be anything that GDAL reads."""

SIDECARS = (".tfw", ".tifw", ".wld", ".pgw", ".jgw", ".jpw", ".j2w", ".prj", ".aux.xml", ".rrd", ".ovr")
"""Endings of the files beside a raster that GDAL reads with it."""

LONGEST_SLUG = 80
"""Characters of a name before the hash."""


@dataclass(frozen=True)
class SceneFile:
    """A scene of the imagery folder.

    Attributes:
        name: of the scene, in tables and partitions.
        path: the raster; the STAC item if that names no usable raster.
        item: the STAC item that names the raster; None without one.
        sidecars: the files beside the raster that GDAL reads with it.
        fault: why the scene cannot be asked, as far as that is known without opening it; empty if it can.
        fingerprint: of the sizes and times of its files, without reading them.
    """

    name: str
    path: Path
    item: StacItem | None
    sidecars: tuple[Path, ...]
    fault: str
    fingerprint: str


def scenes_in(folder: Path) -> tuple[list[SceneFile], list[Path]]:
    """The scenes of the folder by name, and the files that are not complete yet."""
    scenes: dict[str, SceneFile] = {}
    incomplete: list[Path] = []
    files = list(_files(folder))
    rasters = {path: Path(os.path.realpath(path)) for path in files if path.suffix.lower() in RASTERS}
    items = [item for path in files if path.suffix.lower() == ".json" and (item := read_item(path)) is not None]
    item_of = {item.raster: item for item in items if item.raster is not None}
    for path, item in [
        *((path, item_of.get(raster)) for path, raster in rasters.items()),
        # A raster of the folder has its own name, with or without an item.
        *((item.raster or item.path, item) for item in items if item.raster not in rasters.values()),
    ]:
        scene = _scene(folder, path, item)
        if scene is None:
            incomplete.append(path)
        else:
            scenes[scene.name] = scene
    return [scenes[name] for name in sorted(scenes)], incomplete


def find_scene(folder: Path, name: str) -> SceneFile | None:
    """The complete scene of that name; None if there is none."""
    return next((scene for scene in scenes_in(folder)[0] if scene.name == name), None)


def name_of(relative: str) -> str:
    """The name of a scene, from the path of its file below the folder.

    >>> name_of("harbour.tif"), name_of("2026/Harbour North.TIF")
    ('harbour.tif', '2026-harbour-north.tif-3f5df6')
    """
    if is_name(relative):
        return relative
    slug = re.sub(r"[^a-z0-9.]+|\.(?![a-z0-9])|(?<![a-z0-9])\.", "-", relative.lower()).strip("-.")
    slug = re.sub(r"-{2,}|-\.|\.-", "-", slug)[-LONGEST_SLUG:].strip("-.")
    return f"{slug or 'scene'}-{hashlib.sha256(os.fsencode(relative)).hexdigest()[:6]}"


def _files(folder: Path) -> Iterator[Path]:
    """Every file below the folder, by name. Names that begin with a point or an underscore are left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "_")))
        yield from (Path(place, name) for name in sorted(names) if not name.startswith((".", "_")))


def _scene(folder: Path, path: Path, item: StacItem | None) -> SceneFile | None:
    """The scene of a raster; None if its files are not complete yet."""
    outside = item is not None and not path.is_relative_to(folder)
    named = item.path if outside and item is not None else path
    name = name_of(named.relative_to(folder).as_posix())
    sidecars = tuple(_sidecars(path)) if path.suffix.lower() in RASTERS else ()
    fault = "" if item is None else item.fault
    files = [path, *sidecars, *([item.path] if item is not None and item.path != path else [])]
    states = []
    for file in files:
        try:
            state = os.stat(file)
        except OSError as error:
            fault = fault or f"{file} cannot be read: {error.strerror}."
            continue
        if may_be_arriving([state]):
            return None
        states.append((str(file), state.st_size, state.st_mtime_ns))
    return SceneFile(name, path, item, sidecars, fault, fingerprint(files=states))


def _sidecars(path: Path) -> Iterator[Path]:
    """The files beside a raster that GDAL reads with it."""
    stem = path.with_suffix("")
    for ending in SIDECARS:
        for beside in (Path(f"{stem}{ending}"), Path(f"{path}{ending}")):
            if beside.is_file():
                yield beside


def require_scene(folder: Path, name: str) -> SceneFile:
    """The complete scene of that name.

    Raises:
        InputError: if there is none.
    """
    scene = find_scene(folder, name)
    if scene is None:
        raise InputError(f"There is no scene {name} in {folder}: `t2s scenes` lists them.")
    return scene
