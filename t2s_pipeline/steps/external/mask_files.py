"""Masks as files of a folder: pictures (PNG, TIFF, JPEG) and NumPy arrays (``.npy``).

A file is named ``<sample_id>``, or ``<sample_id>/<k>`` or ``<sample_id>_<k>`` where k is the question that it answers.
With ``MaskOptions.objects``, k is the number of an object, and the objects of a sample are united.
"""

import io
import math
import os
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import SHOWN
from t2s_pipeline.steps.external.foreign_mask import ForeignMask, MaskOptions, PredictionReject, Size
from t2s_pipeline.steps.external.placed import WARPED, on_grid
from t2s_pipeline.steps.external.soft_values import SoftTarget, target_of
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import MAX_PIXELS
from t2s_pipeline.vision.image_files import DAMAGE, UnusableFileError, file_bytes
from t2s_pipeline.vision.labels import decode_label
from t2s_pipeline.vision.place import Place

PICTURES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
ARRAYS = (".npy",)
NUMPY_DAMAGE = (*DAMAGE, tokenize.TokenError, RecursionError, MemoryError)
"""What NumPy raises for a damaged file. The last three come from Python's parser, which reads the header."""

NO_PLACES: Mapping[str, Place] = {}

_NUMBERED = re.compile(r"(.+)[/_-](\d+)")


def folder_masks(
    folder: Path, sizes: dict[str, Size], options: MaskOptions, places: Mapping[str, Place] = NO_PLACES
) -> Iterator[ForeignMask | PredictionReject]:
    """The masks of a folder and of the folders in it, in the order of their names.

    Args:
        folder: the folder.
        sizes: native height and width of each sample, by sample_id.
        options: what decides where the files alone do not.
        places: where the images of samples lie on Earth, by sample_id.

    Raises:
        InputError: if the folder holds no file of a kind that is read.
    """
    files = _files_below(folder)
    if not any(path.suffix.lower() in (*PICTURES, *ARRAYS) for path in files):
        endings = ", ".join((*PICTURES, *ARRAYS))
        raise InputError(f"{folder} holds no file that ends in {endings}: give the folder of <sample_id>.png.")
    objects: dict[str, ForeignMask] = {}
    for file in files:
        relative = file.relative_to(folder)
        one = _read(file, relative, sizes, options, places)
        if not options.objects or isinstance(one, PredictionReject):
            yield one
        elif one.sample_id in objects:
            united = _united(objects[one.sample_id], one)
            if isinstance(united, PredictionReject):
                yield united
            else:
                objects[one.sample_id] = united
        else:
            objects[one.sample_id] = one
    yield from objects.values()


def _files_below(folder: Path) -> list[Path]:
    """The files below a folder, by name, with folders that are named like a file.

    A link to a folder is not followed, because it could lead back.
    """
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        like_files = (name for name in folders if Path(name).suffix.lower() in (*PICTURES, *ARRAYS))
        files += (Path(root, name) for name in (*like_files, *names) if not name.startswith("."))
    return sorted(files)


def _read(
    file: Path, relative: Path, sizes: dict[str, Size], options: MaskOptions, places: Mapping[str, Place]
) -> ForeignMask | PredictionReject:
    source = relative.as_posix()
    name, index = _name_and_number(relative.with_suffix("").as_posix(), sizes)
    try:
        target = _target(file, options.threshold)
        native = sizes.get(name)
        if native is not None and name in places:
            mask = on_grid(target.mask, file, places[name], native)
            target = target if mask is target.mask else SoftTarget(mask, WARPED)
        if native is not None and target.mask.shape != native and target.mask.shape == native[::-1]:
            raise UnusableFileError(
                "sides_exchanged",
                f"it has {target.mask.shape[0]} rows and {target.mask.shape[1]} columns, the image {native[0]} and "
                f"{native[1]}: it is transposed or turned",
            )
    except UnusableFileError as fault:
        return PredictionReject(source, fault.reason, fault.detail, name)
    return ForeignMask(source, name, None if options.objects else index, masks.encode(target.mask), target.note)


def _name_and_number(name: str, sizes: dict[str, Size]) -> tuple[str, int | None]:
    """The sample, and the number behind its name; a sample's own name may end in a number."""
    match = _NUMBERED.fullmatch(name)
    if name in sizes or match is None or match[1] not in sizes:
        return name, None
    return match[1], int(match[2])


def _target(file: Path, threshold: float | None) -> SoftTarget:
    """The target of a file.

    Raises:
        UnusableFileError: if it cannot be read as a mask.
    """
    ending = file.suffix.lower()
    if ending in ARRAYS:
        return target_of(_array(file), threshold)
    if ending not in PICTURES:
        raise UnusableFileError("other_file", f"a file that ends in {ending or 'nothing'} is not read")
    data = file_bytes(file)
    mask = decode_label(data)  # also checks the file
    with Image.open(io.BytesIO(data)) as file_picture:
        picture = ImageOps.exif_transpose(file_picture)
    if picture.mode in ("RGB", "RGBA", "LA"):
        bands = np.asarray(picture)[..., : len(picture.getbands()) - (picture.mode != "RGB")]
        return target_of(bands[..., 0], threshold) if (bands == bands[..., :1]).all() else SoftTarget(mask)
    if picture.mode == "L" or picture.mode.startswith(("I", "F")):
        return target_of(np.asarray(picture), threshold)
    return SoftTarget(mask)


def _array(file: Path) -> np.ndarray:
    """The values (H, W) of a NumPy file.

    Raises:
        UnusableFileError: if the file is damaged, holds objects, or has another number of dimensions.
    """
    data = file_bytes(file)
    try:
        stated, dtype = _stated_array(io.BytesIO(data))
        if len(data) < math.prod(stated) * dtype.itemsize or not dtype.itemsize:
            raise ValueError(f"{len(data):,} bytes for an array of the shape {stated}")
        values: np.ndarray = np.load(io.BytesIO(data), allow_pickle=False)
    except NUMPY_DAMAGE as fault:
        reason = " ".join(str(fault).split())[:SHOWN]
        raise UnusableFileError("invalid_mask", f"it is no NumPy array ({reason})") from fault
    values = np.squeeze(values) if values.ndim == 3 else values
    if values.ndim != 2:
        raise UnusableFileError("invalid_mask", f"an array of the shape {values.shape}; a mask has rows and columns")
    if values.size > MAX_PIXELS:
        raise UnusableFileError("too_many_pixels", f"{values.shape[1]}×{values.shape[0]} pixels")
    return values


def _stated_array(file: io.BytesIO) -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    """The shape and type that the header of a NumPy file states. The header decides how much memory is reserved."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    if len(shape) > 3 or not all(0 <= side <= MAX_PIXELS for side in shape):
        raise ValueError(f"{len(shape)} dimensions of up to {max(map(float, shape), default=0):.0e}")
    return shape, dtype


def _united(first: ForeignMask, second: ForeignMask) -> ForeignMask | PredictionReject:
    """The union of two objects of a sample."""
    assert first.mask is not None and second.mask is not None
    pixels, others = masks.decode(first.mask), masks.decode(second.mask)
    if pixels.shape != others.shape:
        detail = (
            f"it is {second.mask.width}×{second.mask.height}, another object {first.mask.width}×{first.mask.height}"
        )
        return PredictionReject(second.source, "size_mismatch", detail, second.sample_id)
    return ForeignMask(first.source, first.sample_id, None, masks.encode(pixels | others), first.note or second.note)
