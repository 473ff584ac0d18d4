"""What the page sends is checked: a value, or one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")

from t2s_pipeline.commands.page.requests import Fields, bands_of
from t2s_pipeline.core.errors import InputError

pytestmark = pytest.mark.orchestrator

NUMBERS = st.one_of(st.integers(-(10**30), 10**30), st.floats(), st.booleans(), st.none(), st.text(max_size=3))
LISTS = st.one_of(NUMBERS, st.lists(st.one_of(NUMBERS, st.lists(NUMBERS, max_size=5)), max_size=5))
PROMPTS = st.dictionaries(st.sampled_from(["bbox", "positive_points", "negative_points", "other"]), LISTS)


@given(st.one_of(PROMPTS, LISTS))
def test_a_prompt_lies_in_the_scene_or_is_refused(value: object):
    try:
        prompt = Fields({"prompt": value}).prompt(100, 50)
    except InputError as fault:
        assert str(fault).endswith(".")
        return
    points = [*prompt.positive_points, *prompt.negative_points]
    if prompt.bbox is not None:
        x0, y0, x1, y1 = prompt.bbox
        assert x0 + 1 <= x1 and y0 + 1 <= y1
        points += [(x0, y0), (x1, y1)]
    assert points and all(0 <= x <= 100 and 0 <= y <= 50 for x, y in points)


@given(st.text(max_size=12))
def test_bands_are_numbers_or_refused(text: str):
    try:
        bands = bands_of(text)
    except InputError:
        return
    assert len(bands) in (0, 1, 3) and all(0 < band < 100_000 for band in bands)


def test_bands_as_people_write_them():
    assert (bands_of(""), bands_of(" 7 "), bands_of("4, 3,2")) == ((), (7,), (4, 3, 2))


@given(st.one_of(LISTS, st.none()))
def test_a_part_on_view_has_pixels_or_is_refused(value: object):
    try:
        view = Fields({"view": value}).view()
    except InputError:
        return
    assert (view is None) == (value is None)
    assert view is None or (view.width >= 1 and view.height >= 1)
