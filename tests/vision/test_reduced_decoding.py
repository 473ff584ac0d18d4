"""A JPEG file decoded at an eighth of its size is accepted, refused and measured as one that is decoded whole."""

import io

import numpy as np
import pytest
from PIL import Image

from t2s_pipeline.vision.image_files import UnusableFileError, decoded_jpeg_size, loaded_picture


def jpeg(mode: str = "RGB", size: tuple[int, int] = (70, 45), **options) -> bytes:
    rng = np.random.default_rng(1)
    coarse = Image.fromarray(rng.integers(0, 255, (7, 9, 3), dtype=np.uint8)).resize(size)
    buffer = io.BytesIO()
    coarse.convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def outcome(decode, data: bytes) -> object:
    try:
        return decode(data)
    except UnusableFileError as error:
        return error.reason, error.detail


def whole_size(data: bytes) -> tuple[int, int]:
    return loaded_picture(data, "image").size


FILES = {
    "plain": jpeg(),
    "grey": jpeg("L"),
    "progressive": jpeg(progressive=True),
    "not subsampled": jpeg(subsampling=0),
    "with restarts": jpeg(restart_marker_rows=1),
    "narrow": jpeg(size=(3, 200)),
    "one pixel": jpeg(size=(1, 1)),
}


@pytest.mark.parametrize("name", FILES)
def test_damage_is_seen_as_in_the_whole_picture(name):
    """Cut off anywhere, or with any bytes changed, by headers as much as by coefficients."""
    data = FILES[name]
    assert decoded_jpeg_size(data) == whole_size(data)
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(data)
        for at in rng.integers(2, len(data), rng.integers(1, 4)):
            damaged[at] = rng.integers(0, 256)
        changed = bytes(damaged[: rng.integers(3, len(data))] if rng.random() < 0.3 else damaged)
        whole = outcome(whole_size, changed)
        size = outcome(decoded_jpeg_size, changed)
        if size is not None:  # a changed header may make it a picture that the whole way decides about
            assert size == whole
        refused += isinstance(whole, tuple) and isinstance(whole[0], str)
    assert refused > 10


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_turned_picture(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = jpeg(exif=exif)
    assert decoded_jpeg_size(data) == whole_size(data) == ((45, 70) if orientation > 4 else (70, 45))


def test_other_files_are_left_to_the_whole_way():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "PNG")
    assert decoded_jpeg_size(buffer.getvalue()) is None
    assert decoded_jpeg_size(jpeg("CMYK")) is None
