"""A raster file as a scene: read by windows, with one stretch of its values for the whole scene.

GDAL uses the overviews of a file if a window is read at a smaller size.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.image_files import DAMAGE, UnusableFileError
from t2s_pipeline.vision.offline import NETWORK_DRIVERS, OFFLINE
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.stretch import bands_in_words, default_bands, limits, require_bands, stretched
from t2s_pipeline.vision.view import SceneView

CACHE_MEGABYTES = 128
"""GDAL's cache of blocks. Its own default is a share of the machine's memory."""

PIXELS_AT_ONCE = 16_000_000
"""The most native pixels of one read."""

SAMPLED_SIDE = 2048
"""The stretch is computed from at most so many pixels per side."""

MAX_SIDE = 200_000
"""The most columns or rows. The mask has the scene's own grid, and 40 gigapixels are its limit."""


class OpenScene:
    """An open raster. ``open_scene`` makes it.

    Attributes:
        path: of the file.
        width: columns.
        height: rows.
        place: where it lies.
        bands: the bands that are shown as red, green and blue, or the one that is grey.
        notes: what a person should know about the file, in sentences.
    """

    def __init__(
        self, path: Path, dataset: Any, bands: tuple[int, ...] = (), stretch: tuple[float, float] | None = None
    ) -> None:
        self.path = path
        self.width: int = dataset.width
        self.height: int = dataset.height
        self.place = Place.of(dataset)
        self._dataset = dataset
        self._known_stretch = stretch
        self._state = _state(path)
        colours = tuple(colour.name for colour in dataset.colorinterp)
        self._palette = _palette(dataset) if colours[0] == "palette" and not bands else None
        default, is_assumed = default_bands(colours)
        self.bands = bands or ((1,) if self._palette is not None else default)
        require_bands(self.bands, dataset.count)
        self._is_inverted = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
        self.notes = tuple(_notes(dataset, self.bands, is_assumed and not bands and self._palette is None))

    @property
    def has_grid(self) -> bool:
        """True if the file says where its pixels lie, if only in coordinates of its own (a world file)."""
        return bool(self.place.crs) or self.place.transform != (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

    @cached_property
    def has_absent_pixels(self) -> bool:
        """True if the file has a nodata value, an alpha band or a mask, or values that can be not finite."""
        flags = {flag.name for band in self.bands for flag in self._dataset.mask_flag_enums[band - 1]}
        return flags != {"all_valid"} or any(np.dtype(name).kind == "f" for name in self._dataset.dtypes)

    def read(self, view: SceneView) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """The image of a view, uint8 (rows, columns, 3), and which of its pixels are present, bool (rows, columns).

        Raises:
            InputError: if the file is damaged there, or no pixel of the scene is present.
        """
        with _readable(self.path):
            if self._palette is not None:
                indices, present = self._band(1, view, "nearest")
                return self._palette[np.minimum(indices, len(self._palette) - 1)], present
            layers = [self._band(band, view, "average" if max(view.step) > 1 else "bilinear") for band in self.bands]
            if self.stretch is not None:
                low, high = self.stretch
                layers = [(stretched(values, present, low, high), present) for values, present in layers]
        channels = [values for values, _ in layers]
        image = np.stack(channels if len(channels) == 3 else [channels[0]] * 3, axis=2)
        return image, _any([present for _, present in layers])

    def present(self, view: SceneView) -> NDArray[np.bool_]:
        """Which pixels of a view are present, bool (rows, columns).

        Raises:
            InputError: if the file is damaged there.
        """
        shape = (view.rows, view.columns)
        if not self.has_absent_pixels:
            return np.ones(shape, bool)
        with _readable(self.path):
            return _any([self._band(band, view, "nearest")[1] for band in self.bands])

    def require_values(self) -> None:
        """Check that a scene that is stretched has values to be stretched by.

        Raises:
            InputError: if every pixel is nodata or not finite.
        """
        with _readable(self.path):
            _ = self.stretch

    def require_unchanged(self) -> None:
        """Check that the file is the one that was opened.

        Raises:
            InputError: if it was written to, replaced or removed.
        """
        if _state(self.path) != self._state:
            raise InputError(f"{self.path} changed while it was read: run the same command again when it is complete.")

    @cached_property
    def stretch(self) -> tuple[float, float] | None:
        """The values that become 0 and 255; None if the values are shown as they are.

        Raises:
            UnusableFileError: reason ``no_values`` if no pixel of the scene is present.
        """
        if self._known_stretch is not None:
            return self._known_stretch
        is_eight_bit = {self._dataset.dtypes[band - 1] for band in self.bands} == {"uint8"}
        if is_eight_bit or self._palette is not None:
            return None
        key = (str(self.path), self._state, self.bands)
        values = _LIMITS.get(key) or self._limits()
        if len(_LIMITS) >= MOST_LIMITS:
            _LIMITS.clear()
        _LIMITS[key] = values
        return values

    def _limits(self) -> tuple[float, float]:
        scale = max(1.0, self.width / SAMPLED_SIDE, self.height / SAMPLED_SIDE)
        size = max(1, round(self.width / scale)), max(1, round(self.height / scale))
        whole = SceneView(0, 0, self.width, self.height, *size)
        layers = [self._band(band, whole, "nearest") for band in self.bands]
        return limits(values[present] for values, present in layers)

    def _band(self, number: int, view: SceneView, resampling: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The values of a band and which are present, (rows, columns) each.

        A large view is read in strips, because GDAL's averaging needs memory for all native pixels of a read.
        """
        step = view.height / view.rows
        at_once = max(1, int(PIXELS_AT_ONCE / (view.width * step)))
        strips = [
            self._strip(number, view, resampling, start, min(at_once, view.rows - start))
            for start in range(0, view.rows, at_once)
        ]
        if len(strips) == 1:
            return strips[0]
        values, present = (np.concatenate(parts) for parts in zip(*strips, strict=True))
        return values, present

    def _strip(
        self, number: int, view: SceneView, resampling: str, start: int, rows: int
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Some rows of a view, counted in the rows that are read."""
        from rasterio.enums import Resampling
        from rasterio.windows import Window

        step = view.height / view.rows
        window, shape = Window(view.x, view.y + start * step, view.width, rows * step), (rows, view.columns)
        values = self._dataset.read(number, window=window, out_shape=shape, resampling=Resampling[resampling])
        flags = {flag.name for flag in self._dataset.mask_flag_enums[number - 1]}
        present = np.ones(shape, bool)
        if "all_valid" not in flags:
            present = self._dataset.read_masks(number, window=window, out_shape=shape) != 0
        if values.dtype.kind == "f":
            present &= np.isfinite(values)
        if self._is_inverted and values.dtype.kind == "u":
            values = np.iinfo(values.dtype).max - values
        return values, present


MOST_LIMITS = 256
_LIMITS: dict[tuple[str, tuple[int, int, int] | None, tuple[int, ...]], tuple[float, float]] = {}
"""The limits of the stretch of files that this process has read: a scene that is opened again is not sampled again."""


@contextmanager
def open_scene(
    path: Path,
    bands: tuple[int, ...] = (),
    drivers: tuple[str, ...] | None = None,
    stretch: tuple[float, float] | None = None,
) -> Iterator[OpenScene]:
    """Open a raster that GDAL reads.

    Args:
        path: of the file.
        bands: the numbers of the bands that are red, green and blue, or of the one that is grey. Empty: those that the
            file names so, else the first three, or the first of one or two.
        drivers: of GDAL, by which the file is opened. None: all.
        stretch: that of the same scene, if it is known.

    Raises:
        InputError: if it cannot be read, or is larger than ``MAX_SIDE``.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import DatasetReader

    if not path.exists():
        raise InputError(f"There is no file {path}.")
    if not path.is_file():
        raise InputError(f"{path} is no file.")
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES, **OFFLINE) as environment:
        allowed = drivers or [driver for driver in environment.drivers() if driver not in NETWORK_DRIVERS]
        with _readable(path), warnings.catch_warnings():
            # ``notes`` says it.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = DatasetReader(str(path), driver=list(allowed))
        with dataset:
            _require_usable(path, dataset)
            with _readable(path):
                scene = OpenScene(path, dataset, bands, stretch)
            yield scene


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the faults of GDAL into one sentence that names the file."""
    from rasterio.errors import RasterioError

    try:
        yield
    except UnusableFileError as fault:
        raise InputError(f"{path} cannot be used: {fault.detail}.") from fault
    except (RasterioError, *DAMAGE) as fault:
        text = " ".join(str(fault.__cause__ or fault).split()).rstrip(".")
        raise InputError(f"{path} cannot be read as a raster: {text}.") from fault


def _require_usable(path: Path, dataset: Any) -> None:
    if dataset.count == 0:
        inside = ", ".join(dataset.subdatasets[:4])
        raise InputError(
            f"{path} holds no bands of its own{f' but these rasters: {inside}' if inside else ''}. Write the one that "
            "you mean to a GeoTIFF file (gdal_translate)."
        )
    odd = sorted({name for name in dataset.dtypes if "complex" in name})
    if odd:
        raise InputError(f"{path} holds complex numbers ({odd[0]}): write their magnitude to a file first.")
    if max(dataset.width, dataset.height) > MAX_SIDE:
        raise InputError(
            f"{path} has {dataset.width:,} × {dataset.height:,} pixels, more than {MAX_SIDE:,} per side: cut out the "
            "part that you ask about (gdal_translate -projwin)."
        )


def _any(layers: list[NDArray[np.bool_]]) -> NDArray[np.bool_]:
    """The pixels that are present in any layer."""
    present: NDArray[np.bool_] = np.logical_or.reduce(layers)
    return present


def _palette(dataset: Any) -> NDArray[np.uint8]:
    """The colours of a palette, uint8 (n, 3)."""
    entries = dataset.colormap(1)
    colours = np.zeros((max(entries) + 1, 3), dtype=np.uint8)
    for index, colour in entries.items():
        colours[index] = colour[:3]
    return colours


def _notes(dataset: Any, bands: tuple[int, ...], is_assumed: bool) -> Iterator[str]:
    if is_assumed:
        meaning = "red, green, blue" if len(bands) == 3 else "grey"
        yield f"It has {dataset.count} bands: {bands_in_words(bands)} are shown as {meaning}. --bands names others."
    points, polynomials = dataset.gcps[0], dataset.rpcs
    if not dataset.crs and (points or polynomials):
        what = "ground control points" if points else "rational polynomials (RPC)"
        yield f"It has {what} and no grid: positions are in pixels. gdalwarp makes a grid."
    elif not dataset.crs:
        yield "It states no coordinate reference system: positions are in pixels, and no area in m² is known."
    if dataset.tags().get("EXIF_Orientation", "1") not in ("1", ""):
        yield "It is stored turned (EXIF orientation), and is asked as it is stored."


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
