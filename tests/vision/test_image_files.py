"""Any bytes are either a picture that is read as displayed, or refused with a reason; nothing else happens."""

import os
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from t2s_pipeline.vision import image_files
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes
from t2s_pipeline.vision.labels import decode_label
from t2s_pipeline.vision.pictures import decode_image, read_picture
from tests.data.make_earthreason import file_of, label, picture, target

GOOD = {
    "png": file_of(picture(0), "PNG"),
    "palette": file_of(picture(0).quantize(8), "PNG"),
    "jpeg": file_of(picture(0, 40, 30), "JPEG"),
    "progressive": file_of(picture(0, 40, 30), "JPEG", progressive=True),
    "tiff": file_of(picture(0), "TIFF"),
    "deflated tiff": file_of(picture(0), "TIFF", compression="tiff_deflate"),
}


def displayed_size(data: bytes) -> tuple[int, int]:
    shown = read_picture(data)
    return shown.width, shown.height


@pytest.mark.parametrize("kind", ["png", "tiff", "deflated tiff"])
def test_lossless_pictures_are_read_to_the_pixel(kind):
    assert np.array_equal(decode_image(GOOD[kind]), np.asarray(picture(0)))
    assert displayed_size(GOOD[kind]) == (20, 12)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_every_mode_becomes_eight_bit_colour(mode):
    kind = "PNG" if mode in ("1", "L", "LA", "P", "RGB", "RGBA") else "TIFF"
    image = picture(3).convert("L").convert("I").convert("I;16") if mode == "I;16" else picture(3).convert(mode)
    decoded = decode_image(file_of(image, kind))
    assert decoded.shape == (12, 20, 3)
    assert decoded.dtype == np.uint8
    assert decoded.std() > 10  # still a picture


def test_alpha_is_dropped_not_blended():
    image = picture(1)
    image.putalpha(0)
    assert np.array_equal(decode_image(file_of(image, "PNG")), np.asarray(picture(1)))


def test_sixteen_bits_are_stretched_over_eight():
    # A sensor of twelve bits: shifted by eight it would be all but black.
    ramp = np.linspace(100, 3000, 1000).astype(np.uint16).reshape(20, 50)
    decoded = decode_image(file_of(Image.fromarray(ramp), "PNG"))
    assert decoded.min() == 0
    assert decoded.max() == 255
    assert np.array_equal(decoded[..., 0], decoded[..., 2])
    assert decode_image(file_of(Image.fromarray(np.full((4, 4), 700, dtype=np.uint16)), "PNG")).max() == 0


@pytest.mark.parametrize(("orientation", "turn"), [(3, 2), (6, -1), (8, 1)])
def test_pictures_and_labels_are_read_as_displayed(orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.asarray(picture(2))
    assert np.array_equal(decode_image(file_of(picture(2), "PNG", exif=exif)), np.rot90(stored, turn))
    width, height = displayed_size(file_of(picture(2), "PNG", exif=exif))
    assert (height, width) == np.rot90(stored, turn).shape[:2]
    assert np.array_equal(decode_label(file_of(label(), "PNG", exif=exif)), np.rot90(target(), turn))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_label_is_the_target_in_whatever_mode_it_was_saved(mode, kind):
    assert np.array_equal(decode_label(file_of(label(mode=mode), kind)), target())


def test_a_picture_too_large_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 239)
    # Cut off after the header: decoding would fail for another reason.
    for data in (GOOD["png"], GOOD["png"][:45]):
        with pytest.raises(UnusableFileError, match="20×12 pixels") as raised:
            displayed_size(data)
        assert raised.value.reason == "too_many_pixels"
    monkeypatch.setattr(image_files, "MAX_PIXELS", 240)
    assert displayed_size(GOOD["png"]) == (20, 12)


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>", b"GIF89a" + b"\0" * 40, file_of(picture(0), "WEBP"), file_of(picture(0), "BMP")],
)
def test_what_is_not_of_the_three_formats_is_refused(data):
    is_format = len(data) > 10  # a GIF, WebP or BMP file is not damaged, it is only not read
    words = "file; JPEG, PNG, TIFF are read" if is_format else "not a JPEG, PNG, TIFF file"
    with pytest.raises(UnusableFileError, match=words) as raised:
        decode_image(data)
    assert raised.value.reason == ("unsupported_image" if is_format else "corrupt_image")


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", GOOD)
def test_half_a_file_is_refused(kind):
    for read, reason in ((displayed_size, "corrupt_image"), (decode_label, "corrupt_label")):
        with pytest.raises(UnusableFileError) as raised:
            read(GOOD[kind][: len(GOOD[kind]) // 2])
        assert raised.value.reason == reason


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_a_damaged_file_is_read_or_refused_but_raises_nothing_else(kind, data):
    good = bytearray(GOOD[kind])
    for _ in range(data.draw(st.integers(1, 6))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = decode_image(bytes(good))
    except UnusableFileError as error:
        assert error.reason in ("corrupt_image", "unsupported_image", "too_many_pixels")
    else:
        assert decoded.ndim == 3


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(data):
    for prefix in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*"):
        with pytest.raises(UnusableFileError):
            decode_image(prefix + data)


def test_files_that_cannot_be_read_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UnusableFileError) as raised:
        file_bytes(tmp_path)
    assert raised.value.reason == "unreadable_file"
    (tmp_path / "large").write_bytes(b"12345")
    monkeypatch.setattr(image_files, "MAX_BYTES", 4)
    with pytest.raises(UnusableFileError) as raised:
        file_bytes(tmp_path / "large")
    assert raised.value.reason == "file_too_large"


def test_a_file_is_read_whole_whatever_the_system_says_of_its_length(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(200)))
    monkeypatch.setattr(image_files, "MAX_BYTES", 200)
    real = os.fstat
    for claimed in (0, 7, 200, 900):
        with monkeypatch.context() as patch:
            patch.setattr(image_files.os, "fstat", lambda fd, claimed=claimed: _Claimed(real(fd).st_mode, claimed))
            assert file_bytes(path) == bytes(range(200))
    path.write_bytes(bytes(201))
    with pytest.raises(UnusableFileError, match="file_too_large"):
        file_bytes(path)


@dataclass
class _Claimed:
    """What the system says of a file."""

    st_mode: int
    st_size: int
