"""The scenes that the page offers. The page names a scene by its key, never by a path."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.scenes.imagery_folder import RASTERS, scenes_in

MOST_SCENES = 1_000
MOST_EXAMPLES = 12
"""The embedded scenes that are offered, if they are in T2S_HOME."""


@dataclass(frozen=True)
class ListedScene:
    """A scene that can be asked.

    Attributes:
        path: of the file, absolute.
        group: where it comes from, in words.
        uploaded: true if it was given to the page and goes when the page's server ends.
    """

    path: Path
    group: str
    uploaded: bool = False

    @property
    def key(self) -> str:
        """The name of the scene in the page's requests."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]


def scenes_of(settings: Settings, paths: Sequence[Path]) -> list[ListedScene]:
    """The scenes that are on this machine: those of the command line, the folder of imagery, and the embedded ones.

    Args:
        settings: names T2S_HOME.
        paths: files and folders of the command line.

    Raises:
        InputError: if one of ``paths`` does not exist.
    """
    scenes = [ListedScene(path, "Command line") for named in paths for path in _files(named)]
    folder = settings.imagery
    if folder.is_dir():
        of_items = [scene.path for scene in scenes_in(folder)[0] if not scene.fault]
        scenes += [ListedScene(path, str(folder)) for path in (*_rasters(folder), *of_items)]
    examples = sorted(settings.scenes.glob("*/images/*.png"))[:MOST_EXAMPLES]
    scenes += [ListedScene(path.absolute(), "Drawn examples") for path in examples]
    return list({scene.key: scene for scene in reversed(scenes)}.values())[::-1][:MOST_SCENES]


def _files(path: Path) -> Iterator[Path]:
    path = home_expanded(path).absolute()
    if not path.exists():
        raise InputError(f"There is no file {path}.")
    if not path.is_dir():
        yield path
        return
    files = list(_rasters(path))
    if not files:
        raise InputError(f"{path} holds no raster ({', '.join(RASTERS)}).")
    yield from files


def _rasters(folder: Path) -> Iterator[Path]:
    """The rasters in a folder and the folders below it, by name; hidden ones are left out."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in RASTERS and not hidden and path.is_file():
            yield path.absolute()
