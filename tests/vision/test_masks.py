"""Masks survive their run lengths, ours agree with pycocotools, and hostile run lengths never reach its decoder."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from pycocotools import mask as coco

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.masks import Rle

ALPHABET = "".join(chr(code) for code in range(48, 112))


def noisy(height: int, width: int, data: bytes) -> np.ndarray:
    """Short runs."""
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8))
    return np.resize(bits, (height, width)).astype(bool)


def blocky(height: int, width: int, data: bytes) -> np.ndarray:
    """Long runs, so that numbers of several characters and differences of both signs occur."""
    mask = np.zeros((height, width), dtype=bool)
    for y0, x0, y1, x1 in np.frombuffer(data[: len(data) // 4 * 4], dtype=np.uint8).reshape(-1, 4):
        mask[y0:y1, x0:x1] ^= True
    return mask


SIDES, BYTES = st.integers(1, 300), st.binary(min_size=1, max_size=24)
MASKS = st.builds(noisy, SIDES, SIDES, BYTES) | st.builds(blocky, SIDES, SIDES, BYTES)


@given(MASKS)
def test_a_mask_comes_back_from_its_run_lengths(mask):
    rle = masks.encode(mask)
    assert np.array_equal(masks.decode(rle), mask)
    assert rle.area == mask.sum()
    assert Rle.from_arrow(rle.as_arrow()) == rle


@given(MASKS)
def test_the_run_lengths_are_those_of_coco(mask):
    rle = masks.encode(mask)
    assert rle.area == coco.area({"size": list(mask.shape), "counts": rle.counts})
    # Counted by hand from the definition: column by column, starting with background.
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(np.diff(np.concatenate([[False], flat])))
    expected = np.diff(np.concatenate([[0], changes, [flat.size]]))
    assert masks.run_lengths(rle.counts).tolist() == expected.tolist()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_thousand_masks_make_the_round_trip_with_pycocotools():
    """Theirs decodes ours and ours theirs, to the pixel: random ones, and the shapes at the edge of what there is."""
    rng = np.random.default_rng(20261122)
    edges = [
        np.array(bits, dtype=bool)
        for shape in [(1, 1), (1, 7), (7, 1), (1, 512), (512, 1), (5, 9)]
        for bits in (np.zeros(shape), np.ones(shape))
    ]
    for shape in [(5, 9), (64, 64)]:
        for corner in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
            edges.append(np.zeros(shape, dtype=bool))
            edges[-1][corner] = True
    many = list(edges)
    while len(many) < 1000:
        height, width = rng.integers(1, 130, 2)
        many.append(rng.random((height, width)) < rng.random())
    assert len(many) == 1000
    for mask in many:
        rle = masks.encode(mask)
        theirs = {"size": list(mask.shape), "counts": rle.counts}
        assert np.array_equal(coco.decode(theirs).astype(bool), mask)
        encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode()
        assert np.array_equal(masks.decode(Rle(*mask.shape, encoded)), mask)
        assert rle.area == coco.area(theirs) == mask.sum()


def test_a_worked_example():
    # Columns of [[0,1],[1,1]] read 0,1,1,1: one background pixel, three of the target.
    assert masks.encode(np.array([[0, 1], [1, 1]])).counts == "13"
    assert masks.run_lengths("13").tolist() == [1, 3]
    # The fourth number is a difference from the second: 2 + 1 = 3; "O" is -1, so the fifth is 3 - 1 = 2.
    assert masks.run_lengths("1231O").tolist() == [1, 2, 3, 3, 2]


@given(st.text(alphabet=ALPHABET, max_size=60), st.integers(-3, 60), st.integers(-3, 60))
def test_any_string_is_either_refused_or_decoded_to_the_pixels_it_says(counts, height, width):
    try:
        mask = masks.decode(Rle(height, width, counts))
    except InputError:
        return
    assert mask.shape == (height, width)
    runs = masks.run_lengths(counts)
    assert mask.sum() == runs[1::2].sum()
    assert np.array_equal(mask.ravel(order="F"), np.repeat(np.arange(runs.size) % 2 == 1, runs))


@given(st.text(max_size=30))
def test_any_text_is_either_run_lengths_or_an_input_error(counts):
    try:
        runs = masks.run_lengths(counts)
    except InputError:
        return
    assert runs.min() >= 0


@given(MASKS, st.data())
def test_one_changed_character_never_writes_outside_the_mask(mask, data):
    rle = masks.encode(mask)
    place = data.draw(st.integers(0, len(rle.counts) - 1))
    changed = rle.counts[:place] + data.draw(st.sampled_from(ALPHABET)) + rle.counts[place + 1 :]
    try:
        assert masks.decode(Rle(rle.height, rle.width, changed)).shape == mask.shape
    except InputError as error:
        assert str(error).startswith("mask ")


def packed(value: int) -> str:
    """A number as COCO's string stores it."""
    characters = ""
    more = True
    while more:
        low = value & 31
        value >>= 5
        more = value != (-1 if low & 16 else 0)
        characters += chr(48 + (low | (32 if more else 0)))
    return characters


@pytest.mark.parametrize(
    ("height", "width", "counts", "words"),
    [
        (2, 2, "", "empty"),
        (2, 2, "4 ", "alphabet"),
        (2, 2, "4é", "alphabet"),
        (2, 2, "4\x7f", "alphabet"),
        (2, 2, "T", "middle of a number"),
        (2, 2, "o" * 20 + "0", "bits"),
        (2, 2, packed(-1), "negative"),
        (2, 2, "13O", "negative"),
        (2, 2, "3", "cover 3 pixels, not 2×2"),
        (2, 2, "5", "cover 5 pixels"),
        (2, 2, packed(2**33), "cover"),
        (0, 4, "0", "not positive"),
        (-2, -2, "4", "not positive"),
        (2**31 - 1, 2**31 - 1, "4", "more than"),
        (2**20, 2**20, packed(2**33) + packed(0), "more than"),
        (2, 2, "0" * (masks.MAX_COUNTS_BYTES + 1), "bytes"),
    ],
)
def test_hostile_run_lengths_are_refused_with_the_reason(height, width, counts, words):
    with pytest.raises(InputError, match=words):
        masks.decode(Rle(height, width, counts))


def test_a_sum_that_wraps_around_to_the_right_total_is_refused():
    # The runs grow by 2**33, then stay, so that their sum is 4 more than 64 bits can hold. In 64 bits it is 4.
    growing = [step * 2**33 for step in range(1, 20_001) for _ in range(2)]
    top = growing[-1]
    count, rest = divmod(2**64 + 4 - sum(growing), top)
    more, ones = divmod(rest, count)
    runs = [0, 0, *growing, *[top + more + 1] * ones, *[top + more] * (count - ones)]
    assert sum(runs) == 2**64 + 4
    counts = "".join(map(packed, [*runs[:3], *np.subtract(runs[3:], runs[1:-2]).tolist()]))
    with pytest.raises(InputError, match="cover"):
        masks.decode(Rle(2, 2, counts))


def test_run_lengths_of_the_places_where_pixels_change():
    # Column by column: 0 1, 1 1, 0 0. Pixels change at 1 and at 4.
    expected = [[False, True, False], [True, True, False]]
    assert masks.decode(masks.from_run_ends(2, 3, np.array([1, 4]), starts_with_target=False)).tolist() == expected
    inverse = masks.decode(masks.from_run_ends(2, 3, np.array([1, 4]), starts_with_target=True))
    assert (~inverse).tolist() == expected


def test_intersection_and_union_count_pixels():
    a = np.array([[1, 1, 0], [0, 0, 0]], dtype=bool)
    b = np.array([[0, 1, 1], [0, 0, 1]], dtype=bool)
    assert masks.intersection_union(a, b) == (1, 4)
    assert masks.intersection_union(a, np.zeros_like(a)) == (0, 2)


@given(SIDES, SIDES, BYTES, BYTES)
def test_intersection_and_union_agree_with_coco(height, width, one, other):
    a, b = noisy(height, width, one), blocky(height, width, other)
    intersection, union = masks.intersection_union(a, b)
    pair = [{"size": list(a.shape), "counts": masks.encode(mask).counts} for mask in (a, b)]
    assert intersection == coco.area(coco.merge(pair, intersect=True))
    assert union == coco.area(coco.merge(pair, intersect=False))


@pytest.mark.parametrize("resize", [masks.nearest, masks.at_centres])
def test_a_mask_at_another_size_takes_the_pixel_under_each_centre(resize):
    mask = np.array([[1, 0, 0, 1]], dtype=bool)
    assert resize(mask, 1, 8).tolist() == [[True, True, False, False, False, False, True, True]]
    # The centres of three columns lie at 0.67, 2 and 3.33 of four: 2 is a border, and the later column is taken.
    assert resize(np.array([[1, 0, 1, 0]], dtype=bool), 1, 3).tolist() == [[True, True, False]]


def lines_of_pillow(old: int, new: int) -> np.ndarray:
    """For each of ``new`` lines, the one of ``old`` lines that Pillow itself takes."""
    numbered = Image.fromarray(np.arange(old, dtype=np.int32)[None])
    return np.asarray(numbered.resize((new, 1), Image.Resampling.NEAREST))[0]


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [(512, 840, 7), (640, 840, 32), (800, 840, 6), (512, 896, 70), (224, 168, 23), (1024, 840, 7), (840, 840, 0)],
)
def test_nearest_is_pillow_s_nearest_and_at_centres_differs_from_it_on_the_borders_of_pixels(old, new, lines):
    pillow = lines_of_pillow(old, new)
    assert masks.nearest_indices(old, new).tolist() == pillow.tolist()
    numbered = np.arange(old)[None]
    centres = masks.at_centres(numbered, 1, new)[0]
    assert (centres != pillow).sum() == lines
    # Where they differ, the exact centre is a whole number: the border of two old pixels.
    assert all((2 * index + 1) * old % (2 * new) == 0 for index in np.flatnonzero(centres != pillow))


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_nearest_is_pillow_s_nearest_for_any_two_sizes(old, new):
    assert masks.nearest_indices(old, new).tolist() == lines_of_pillow(old, new).tolist()


@given(MASKS, st.integers(1, 60), st.integers(1, 60))
def test_nearest_gives_pillow_s_pixels(mask, height, width):
    pillow = Image.fromarray(mask.astype(np.uint8)).resize((width, height), Image.Resampling.NEAREST)
    assert np.array_equal(masks.nearest(mask, height, width), np.asarray(pillow).astype(bool))


@given(arrays.arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30))))
def test_decoding_by_row_gives_the_same_pixels_in_rows(mask):
    by_row = masks.decode_by_row(masks.encode(mask))
    assert by_row.flags.c_contiguous and by_row.dtype == bool
    np.testing.assert_array_equal(by_row, mask)
