"""A picture of any depth and any bands becomes what a person would expect to see, and the lake holds that picture."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from t2s_pipeline.vision.image_files import UnusableFileError
from t2s_pipeline.vision.pictures import decode_image, read_picture
from tests.vision.rasters import tiff

DTYPES = ("uint16", "int16", "uint32", "float32", "float64")


def bands_of(shape: tuple[int, int, int], top: int = 3000, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(7).integers(1, top, shape).astype(dtype)


def expected(bands: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The rule in plain words: the 1st and 99th percentile of what is present in all bands become 0 and 255."""
    low, high = np.percentile(bands[present].astype(float), [1, 99])
    shown = np.zeros(bands.shape)
    shown[present] = (bands[present].astype(float) - low) / max(high - low, 1e-9) * 255
    return np.round(np.clip(shown, 0, 255)).astype(np.uint8).transpose(1, 2, 0)


def kinds(data: bytes, bands: tuple[int, ...] = ()) -> list[str]:
    return [note.kind for note in read_picture(data, bands).notes]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_depth_any_bands_and_any_absence_are_stretched_by_one_rule(data):
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    count = data.draw(st.sampled_from([1, 3, 4, 7]))
    low = 0 if dtype.kind == "u" else -500
    values = data.draw(arrays.arrays(np.int32, (count, 6, 5), elements=st.integers(low, 5000))).astype(dtype)
    nodata = data.draw(st.sampled_from([None, 0, 7]))
    options = data.draw(st.sampled_from([{}, {"compress": "zstd"}, {"interleave": "band", "compress": "deflate"}]))
    if dtype.kind == "f":
        values[data.draw(arrays.arrays(bool, values.shape))] = data.draw(st.sampled_from([np.nan, np.inf]))
    shown = (
        data.draw(st.permutations(range(1, count + 1)))[: 3 if count >= 3 else 1] if data.draw(st.booleans()) else ()
    )
    chosen = values[[band - 1 for band in shown] or ([0, 1, 2] if count >= 3 else [0])]
    present = np.isfinite(chosen) & (chosen != nodata if nodata is not None else True)
    file = tiff(values, nodata=nodata, **options)
    if not present.any():
        with pytest.raises(UnusableFileError, match="every pixel is nodata"):
            read_picture(file, tuple(shown))
        return
    picture = decode_image(read_picture(file, tuple(shown)).data)
    wanted = np.broadcast_to(expected(chosen, present), picture.shape)
    assert np.abs(picture.astype(int) - wanted).max() <= 1  # rounding of .5


def test_nodata_and_values_that_are_not_finite_are_black_and_do_not_move_the_stretch():
    values = bands_of((3, 20, 20), dtype="float32")
    clean = decode_image(tiff(values))
    values[:, 0, 0], values[:, 0, 1], values[:, 0, 2] = np.nan, np.inf, -9999
    with_gaps = decode_image(tiff(values, nodata=-9999))
    assert not with_gaps[0, :3].any()
    assert np.abs(with_gaps[1:].astype(int) - clean[1:]).max() <= 1


def test_colour_is_stretched_as_grey_is_by_one_range_for_all_bands():
    grey = np.linspace(0, 3000, 400).reshape(1, 20, 20).astype("uint16")
    colour = np.concatenate([grey, grey, grey])
    assert np.array_equal(decode_image(tiff(colour)), decode_image(tiff(grey)))
    # Bands keep their ratio: a blue of half the red stays about half of it.
    tinted = decode_image(tiff(np.concatenate([grey, grey, grey // 2])))
    assert 110 < tinted[-1, -1, 2] < 145 < tinted[-1, -1, 0]


def test_bands_are_those_that_the_file_names_or_the_setting_or_the_first_three():
    values = bands_of((4, 8, 8), 255, "uint8")
    named = tiff(values, photometric="minisblack", colours=["blue", "green", "red", "undefined"], interleave="band")
    assert np.array_equal(decode_image(read_picture(named).data), values[[2, 1, 0]].transpose(1, 2, 0))
    plain = tiff(np.concatenate([values, values[:1]]), photometric="minisblack")
    assert np.array_equal(decode_image(read_picture(plain).data), values[:3].transpose(1, 2, 0))
    assert kinds(plain) == ["assumed_bands"]
    assert kinds(plain, (4, 3, 2)) == []
    shown = decode_image(read_picture(plain, (4, 3, 2)).data)
    assert np.array_equal(shown, values[[3, 2, 1]].transpose(1, 2, 0))
    assert np.array_equal(decode_image(read_picture(plain, (4,)).data)[..., 1], values[3])
    with pytest.raises(UnusableFileError, match="band 9 is asked for, and the file has 5") as fault:
        read_picture(plain, (4, 9, 2))
    assert fault.value.reason == "missing_band"


def test_bands_may_be_chosen_of_a_png_too():
    buffer = io.BytesIO()
    values = bands_of((8, 8, 3), 255, "uint8")
    Image.fromarray(values).save(buffer, "PNG")
    assert np.array_equal(decode_image(read_picture(buffer.getvalue(), (3, 2, 1)).data), values[..., ::-1])


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "webp", "webp_lossless": True},
        {"compress": "lerc"},
        {"compress": "zstd", "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"compress": "lzw", "interleave": "band", "predictor": 2},
        {"bigtiff": "YES"},
    ],
    ids=str,
)
def test_eight_bit_files_that_gdal_writes_are_read_to_the_pixel(options):
    values = bands_of((3, 40, 33), 255, "uint8")
    file = tiff(values, photometric="rgb", **options)
    assert np.array_equal(decode_image(read_picture(file).data), values.transpose(1, 2, 0))


def test_what_is_stored_is_the_file_itself_where_pillow_reads_all_of_it():
    plain = tiff(bands_of((3, 8, 8), 255, "uint8"), photometric="rgb", compress="lzw")
    deep = tiff(bands_of((3, 8, 8)), photometric="rgb")
    assert read_picture(plain).data is plain
    stored = read_picture(deep)
    assert stored.data.startswith(b"\x89PNG")
    assert np.array_equal(decode_image(stored.data), decode_image(deep))
    (note,) = stored.notes
    assert (note.kind, note.is_warning) == ("stretched", False)
    assert note.detail.startswith("bands 1, 2, 3: ")


def test_a_picture_without_a_value_or_without_contrast_is_told():
    with pytest.raises(UnusableFileError, match="every pixel is nodata or not finite") as fault:
        read_picture(tiff(np.full((1, 4, 4), np.nan, dtype="float32")))
    assert fault.value.reason == "no_values"
    assert kinds(tiff(np.full((1, 4, 4), 700, dtype="uint16"))) == ["stretched", "no_contrast"]


def test_unsupported_is_told_apart_from_damaged():
    with pytest.raises(UnusableFileError, match="complex numbers") as fault:
        read_picture(tiff(np.ones((1, 4, 4), dtype="complex64")))
    assert fault.value.reason == "unsupported_image"
    deep = tiff(bands_of((3, 50, 50)))
    with pytest.raises(UnusableFileError) as fault:
        read_picture(deep[: len(deep) // 2])
    assert fault.value.reason == "corrupt_image"
    unknown = bytearray(tiff(bands_of((3, 50, 50)), compress="lzw"))
    place = unknown.index(b"\x03\x01\x03\x00\x01\x00\x00\x00\x05\x00")  # the tag Compression, of value LZW
    unknown[place + 8 : place + 10] = (34661).to_bytes(2, "little")  # JBIG
    with pytest.raises(UnusableFileError) as fault:
        read_picture(bytes(unknown))
    assert fault.value.reason == "unsupported_image"


def test_a_fault_has_the_same_words_every_time():
    """GDAL sees bytes under a random name."""
    deep = tiff(bands_of((3, 50, 50)))[:2000]
    words = set()
    for _ in range(2):
        with pytest.raises(UnusableFileError) as fault:
            read_picture(deep)
        words.add(str(fault.value))
    assert len(words) == 1


@pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["lzw", "zstd", "lerc", "none"]), st.data())
def test_a_damaged_deep_file_is_read_or_refused_but_raises_nothing_else(compress, data):
    file = bytearray(tiff(bands_of((2, 30, 30), dtype="float32"), compress=compress))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_picture(bytes(file))
    except UnusableFileError as error:
        assert error.reason.partition("_")[0] in ("corrupt", "unsupported", "too", "no")
