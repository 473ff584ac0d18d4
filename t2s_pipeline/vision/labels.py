"""Masks from label files, in full depth, by one rule for every kind of file.

The target is every pixel of which a band is not zero. Colours count and not the indices of a palette, because tools
that optimize PNG files reorder palettes. Alpha is ignored. A value that is nodata or not finite is no target. In a JPEG
file, values above 127 are the target, because its compression changes values. ``PixelRules`` decide otherwise. What
looks unintended is a note.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from t2s_pipeline.vision.image_files import UnusableFileError, is_deep_png, is_tiff, loaded_picture
from t2s_pipeline.vision.pixel_rules import AS_FILES_SAY, Note, PixelRules
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.rasters import open_raster, place_of
from t2s_pipeline.vision.tiff_tags import Grid, TiffTags, tiff_tags

MIDDLE = 127
"""The threshold for files whose compression changes values."""

_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class LabelFile:
    """The target of a label file.

    Attributes:
        mask: boolean (H, W), as displayed.
        notes: what looks unintended.
        grid: where its pixels lie on Earth, if the file states that.
    """

    mask: NDArray[np.bool_]
    notes: tuple[Note, ...] = ()
    grid: Grid | None = None
    place: Place | None = None
    """The grid with its CRS, whatever that is and however the grid is turned."""


def decode_label(data: bytes, first_channel: bool = False) -> NDArray[np.bool_]:
    """The target as a boolean mask (H, W), by the rule without settings. Arguments and errors as ``read_label``."""
    return read_label(data, first_channel=first_channel).mask


def read_label(data: bytes, rules: PixelRules = AS_FILES_SAY, first_channel: bool = False) -> LabelFile:
    """The target of a label file, and what is special about the file.

    Args:
        data: a JPEG, PNG or TIFF file.
        rules: which values are the target, where the file alone does not decide it.
        first_channel: only the first channel of a colour counts.

    Raises:
        UnusableFileError: reason ``corrupt_label``, ``unsupported_label``, ``too_many_pixels``, or ``missing_band`` if
            the rules name a colour and the file has no colours.
    """
    tags = tiff_tags(data) if is_tiff(data) else None
    is_jpeg = data[:3] == _JPEG or (tags is not None and tags.is_jpeg)
    plain = _plain(data, tags)
    notes = _file_notes(tags)
    if plain is not None:
        target = _Target(rules, is_jpeg)
        notes += _palette_notes(plain) if not rules.mask_value else []
        bands = _bands_of(plain, uses_indices=len(rules.mask_value) == 1)
        for values in bands[:1] if first_channel else bands:
            target.add(values)
    else:
        target = _target_of_raster(data, rules, first_channel, is_jpeg)
    mask = target.mask()
    grid = tags.grid if tags else None
    place = place_of(data, "label") if grid is not None else None
    return LabelFile(mask, (*notes, *target.notes(mask)), grid, place)


def _plain(data: bytes, tags: TiffTags | None) -> Image.Image | None:
    """The picture if Pillow reads it in full depth and no pixel of it can be absent."""
    if not is_tiff(data):
        return None if is_deep_png(data) else loaded_picture(data, "label")
    if tags is None or not tags.is_plain or tags.has_absent_pixels or tags.has_unnamed_samples:
        return None  # Pillow takes an unnamed sample for alpha
    try:
        return loaded_picture(data, "label")
    except UnusableFileError as error:
        if error.reason != "corrupt_label":
            raise
        return None  # GDAL reads more compressions


def _bands_of(picture: Image.Image, uses_indices: bool) -> list[NDArray[Any]]:
    """The channels (H, W) of an 8-bit picture without alpha. A palette gives its colours, or its indices."""
    if picture.mode in ("P", "PA") and uses_indices:
        return [np.asarray(picture)] if picture.mode == "P" else [np.asarray(picture)[..., 0]]
    if picture.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV"):
        picture = picture.convert("RGB")
    values = np.asarray(picture)
    if values.ndim == 2:
        return [values]
    colours = values.shape[2] - (picture.mode in ("LA", "La", "RGBA", "RGBa", "RGBX"))
    return [values[..., channel] for channel in range(colours)]


def _target_of_raster(data: bytes, rules: PixelRules, first_channel: bool, is_jpeg: bool) -> "_Target":
    """The target of a file that Pillow does not read in full depth."""
    with open_raster(data, "label") as file:
        target = _Target(rules, is_jpeg or file.is_lossy)
        palette = file.palette
        if palette is not None and len(rules.mask_value) != 1:
            indices, present = file.band(1, ignore_alpha=True)
            colours = palette[np.minimum(indices, len(palette) - 1)]
            for channel in range(1 if first_channel else 3):
                target.add(colours[..., channel], present)
            return target
        numbers = [number for number, colour in enumerate(file.colours, start=1) if colour != "alpha"] or [1]
        for number in numbers[:1] if first_channel else numbers:
            target.add(*file.band(number, ignore_alpha=True))
    return target


class _Target:
    """Collects the target band by band, so that a file of many bands is never in memory as a whole."""

    def __init__(self, rules: PixelRules, is_lossy: bool) -> None:
        self._rules = rules
        self._by_files = not rules.mask_value and rules.threshold is None
        self._is_lossy = is_lossy and self._by_files
        self._mask: NDArray[np.bool_] | None = None
        self._absent: NDArray[np.bool_] | None = None
        self._bands = 0
        self._ignored = 0
        self._in_between = 0
        self._has_several_values = False

    def add(self, values: NDArray[Any], present: NDArray[np.bool_] | None = None) -> None:
        """One more band: its values (H, W), and which of them are present (None: all).

        A pixel is absent if it is absent in every band.
        """
        target = self._is_target(values)
        if present is not None:
            absent = ~present
            self._absent = absent if self._absent is None else self._absent & absent
            if not self._rules.mask_value:  # the value of a colour may be that of nodata in some of its bands
                self._ignored = max(self._ignored, int(np.count_nonzero(target & absent)))
                target &= present
        if self._is_lossy:
            self._in_between += int(np.count_nonzero((values > 0) & (values < 255)))
        elif self._by_files and not self._has_several_values:
            self._has_several_values = _has_several_values(values, target, present is not None)
        if self._mask is None:
            self._mask = target
        else:
            self._mask = self._mask & target if self._rules.mask_value else self._mask | target
        self._bands += 1

    def _is_target(self, values: NDArray[Any]) -> NDArray[np.bool_]:
        """Where the values of the next band are those of the target."""
        value = self._rules.mask_value
        target: NDArray[np.bool_]
        if len(value) > 1:
            if self._bands >= len(value):
                return np.ones(values.shape, dtype=bool)  # a band behind red, green and blue decides nothing
            target = values == value[self._bands]
        elif value:
            target = values == value[0]
        elif self._rules.threshold is not None or self._is_lossy:
            target = values > (MIDDLE if self._rules.threshold is None else self._rules.threshold)
        else:
            target = values != 0
        return target

    def mask(self) -> NDArray[np.bool_]:
        """The target of all bands (H, W).

        Raises:
            UnusableFileError: reason ``missing_band``, if a colour is value and the file has fewer bands.
        """
        if self._mask is None or self._bands < len(self._rules.mask_value):
            detail = f"--mask-value names {len(self._rules.mask_value)} numbers, and the file has {self._bands} band"
            raise UnusableFileError("missing_band", detail)
        mask = ~self._mask if self._rules.invert_mask else self._mask
        if self._absent is None:
            return mask
        if self._rules.mask_value and not self._rules.invert_mask:
            self._ignored = int(np.count_nonzero(mask & self._absent))
        return mask & ~self._absent

    def notes(self, mask: NDArray[np.bool_]) -> list[Note]:
        """What looks unintended about the values."""
        notes = []
        absent = 0 if self._absent is None else int(np.count_nonzero(self._absent))
        if self._ignored:
            notes.append(Note("absent_pixels", f"{self._ignored} pixels are nodata or not finite: they are no target"))
        if self._in_between:
            detail = (
                f"{self._in_between} values between 0 and 255, as JPEG leaves them: values above {MIDDLE} are target"
            )
            notes.append(Note("lossy_mask", detail))
        if self._has_several_values:
            detail = "several values that are not zero: all of them are target (--mask-value and --threshold choose)"
            notes.append(Note("several_values", detail))
        if np.count_nonzero(mask) == mask.size - absent > 0:
            notes.append(Note("all_target", "every pixel is target (--mask-value and --invert-mask decide otherwise)"))
        return notes


def _has_several_values(values: NDArray[Any], target: NDArray[np.bool_], has_absent: bool) -> bool:
    """True if the pixels of a target have different values."""
    count = np.count_nonzero(target)
    if not count:
        return False
    if values.dtype.kind in "bu" and not has_absent:
        return bool(np.count_nonzero(values == values.max()) < count)
    inside = values[target]
    return bool((inside != inside[0]).any())


def _file_notes(tags: TiffTags | None) -> list[Note]:
    """What looks unintended about a TIFF file, whatever its values are."""
    notes = []
    if tags is not None and tags.min_is_white:
        notes.append(Note("min_is_white", "its smallest value is white: it is read as displayed, so 0 is target"))
    if tags is not None and tags.pages > 1:
        notes.append(Note("several_pages", f"{tags.pages} pages: the first one is the mask"))
    if tags is not None and tags.grid is not None and tags.grid.dy > 0:
        notes.append(Note("south_up", "its first row is the southern one: rows are read in the order of the file"))
    return notes


def _palette_notes(picture: Image.Image) -> list[Note]:
    """A note if the first colour of a palette is target and another colour that occurs is black."""
    palette = picture.getpalette("RGB") if picture.mode == "P" else None
    if not palette or not any(palette[:3]):
        return []
    indices = [index for index, count in enumerate(picture.histogram()[:256]) if count]
    if 0 in indices and any(not any(palette[3 * index : 3 * index + 3]) for index in indices):
        return [
            Note("inverted_palette", "index 0 has a colour and another index is black: colours count, so 0 is target")
        ]
    return []


def place_notes(label: Grid | None, picture: Grid | None, width: int, height: int) -> list[Note]:
    """Notes if a mask and its picture, both of that size in pixels, state different places on Earth."""
    if label is None or picture is None:
        return []
    if None not in (label.epsg, picture.epsg) and label.epsg != picture.epsg:
        return [Note("other_crs", f"EPSG:{label.epsg}, its image EPSG:{picture.epsg}: read pixel by pixel")]
    if label.differs_from(picture, width, height):
        return [Note("other_grid", "it states another place or pixel size than its image: read pixel by pixel")]
    return []
