"""Pictures that a person gives to the page. They lie below T2S_HOME/tmp and go when the server ends.

What a killed server left behind goes at the next start.
"""

import re
import secrets
import shutil
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

from t2s_pipeline.commands.page.scene_list import ListedScene
from t2s_pipeline.core.atomic_files import disk_room, is_abandoned, owner_mark
from t2s_pipeline.core.errors import InputError

MAX_BYTES = 1_000_000_000
"""The most bytes of one file."""

MAX_BYTES_IN_ALL = 4_000_000_000
"""The most bytes of all files that are there at the same time."""

MAX_PIXELS = 400_000_000
"""The most pixels of one file: 20,000 × 20,000."""

_KINDS = (
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"II+\0", ".tif"),
    (b"MM\0+", ".tif"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"\0\0\0\x0cjP  ", ".jp2"),
)
"""The first bytes of the files that are taken, and the ending under which they are stored. GDAL reads many other
formats. Some of them name further files or addresses, so they are not taken from a page."""

_ODD = re.compile(r"[^\w .()+-]+")
LONGEST_NAME = 80


class Uploads:
    """The folder for the files of one server.

    Args:
        home: T2S_HOME.
        max_bytes: the most bytes of one file.
        max_pixels: the most pixels of one file.
    """

    def __init__(self, home: Path, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> None:
        self.max_bytes, self.max_pixels = max_bytes, max_pixels
        parent = home / "tmp" / "app"
        with disk_room(parent):
            parent.mkdir(parents=True, exist_ok=True)
        for folder in parent.iterdir():
            if is_abandoned(folder.name):
                shutil.rmtree(folder, ignore_errors=True)
        self.folder = parent / f"server-{owner_mark()}-{secrets.token_hex(4)}"
        self.folder.mkdir(mode=0o700)

    async def receive(self, name: str, content: AsyncIterator[bytes]) -> ListedScene:
        """Store a file and return it as a scene. Nothing stays of a file that cannot be used.

        Args:
            name: of the file, as the page says it. Only its last part counts.
            content: the bytes.

        Raises:
            InputError: if it is too large or no raster of the kinds that are taken.
            T2SError: if the disk is full.
        """
        folder = self.folder / secrets.token_hex(8)
        folder.mkdir()
        try:
            partial = folder / "partial"
            with disk_room(partial):
                await self._store(partial, content)
            path = folder / f"{stem_of(name)}{_ending(partial)}"
            partial.rename(path)
            self._require_usable(path)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return ListedScene(path, "Given to this page", uploaded=True)

    def remove(self, scene: ListedScene) -> None:
        """Remove a file that was given to the page, with its answers."""
        shutil.rmtree(scene.path.parent, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _store(self, path: Path, content: AsyncIterator[bytes]) -> None:
        room = MAX_BYTES_IN_ALL - sum(file.stat().st_size for file in self.folder.glob("*/*") if file.is_file())
        size = 0
        with path.open("wb") as file:
            async for part in content:
                size += len(part)
                if size > self.max_bytes:
                    raise InputError(
                        f"The file has more than {_megabytes(self.max_bytes)}: put it into the folder of imagery "
                        "instead."
                    )
                if size > room:
                    raise InputError(
                        f"The files on this page would have more than {_megabytes(MAX_BYTES_IN_ALL)} together: "
                        "remove one first."
                    )
                file.write(part)
        if not size:
            raise InputError("The file is empty.")

    def _require_usable(self, path: Path) -> None:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                with rasterio.open(path) as dataset:
                    width, height = dataset.width, dataset.height
        except (RasterioError, OSError, ValueError) as fault:
            raise InputError(f"{path.name} cannot be read as a raster: it is damaged.") from fault
        if width * height > self.max_pixels:
            raise InputError(
                f"{path.name} has {width:,} × {height:,} pixels, more than {self.max_pixels / 1e6:,.0f} million: put "
                "it into the folder of imagery instead."
            )


def stem_of(name: str) -> str:
    r"""The part of a file's name that is kept: its last part without the ending, with harmless characters only.

    >>> stem_of("../../etc/a<b>.tif"), stem_of("C:\\\\pictures\\\\field 7.png"), stem_of("..")
    ('a_b_', 'field 7', 'picture')
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    stem = _ODD.sub("_", last.rpartition(".")[0] or last).strip(" .")[:LONGEST_NAME]
    return stem or "picture"


def _ending(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(16)
    for magic, ending in _KINDS:
        if start.startswith(magic):
            return ending
    raise InputError("The file is no GeoTIFF, PNG, JPEG or JPEG 2000 file. gdal_translate makes a GeoTIFF of a raster.")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"
