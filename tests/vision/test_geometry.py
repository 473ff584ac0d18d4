"""Prompts keep their place when they move between frames; overlap of boxes is what area says it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.vision.geometry import Frame, PromptObject, box_iou

SIDES = st.integers(1, 8000)
FRAMES = st.builds(Frame, SIDES, SIDES)
UNIT = st.floats(0, 1, width=32)
SPANS = st.tuples(st.floats(-100, 100), st.floats(0.01, 100)).map(lambda span: (span[0], span[0] + span[1]))
BOXES = st.tuples(SPANS, SPANS).map(lambda spans: (spans[0][0], spans[1][0], spans[0][1], spans[1][1]))


@st.composite
def placed(draw) -> tuple[Frame, PromptObject]:
    """A frame and prompts inside it."""
    frame = draw(FRAMES)
    point = st.builds(lambda x, y: (x * frame.width, y * frame.height), UNIT, UNIT)
    box = st.builds(lambda a, b: (*a, *b), point, point)
    points = st.lists(point, max_size=3).map(tuple)
    return frame, PromptObject(draw(st.none() | box), draw(points), draw(points))


def numbers(prompt: PromptObject) -> list[float]:
    flat = list(prompt.bbox or ())
    for point in (*prompt.positive_points, *prompt.negative_points):
        flat.extend(point)
    return flat


@given(placed(), FRAMES)
def test_there_and_back_is_where_it_was(start, target):
    frame, prompt = start
    back = prompt.moved(frame, target).moved(target, frame)
    assert numbers(back) == pytest.approx(numbers(prompt), rel=1e-9, abs=1e-9)
    assert (back.bbox is None) == (prompt.bbox is None)
    assert len(back.positive_points) == len(prompt.positive_points)


@given(placed(), FRAMES)
def test_what_is_inside_stays_inside(start, target):
    frame, prompt = start
    moved = prompt.moved(frame, target)
    for x, y in (*moved.positive_points, *moved.negative_points):
        assert 0 <= x <= target.width * (1 + 1e-9)
        assert 0 <= y <= target.height * (1 + 1e-9)


@given(placed())
def test_the_same_frame_changes_nothing(start):
    frame, prompt = start
    assert prompt.moved(frame, frame) == prompt


def test_width_and_height_are_scaled_each_by_its_own_factor():
    prompt = PromptObject((10, 20, 30, 40), ((20, 30),), ((0, 0), (100, 50)))
    moved = prompt.moved(Frame(100, 50), Frame(200, 25))
    assert moved == PromptObject((20, 10, 60, 20), ((40, 15),), ((0, 0), (200, 25)))


def test_a_square_frame_has_equal_sides():
    assert Frame.square(840) == Frame(840, 840)


@pytest.mark.parametrize(
    ("a", "b", "iou"),
    [
        ((0, 0, 2, 2), (0, 0, 2, 2), 1),
        ((0, 0, 2, 2), (1, 0, 3, 2), 2 / 6),
        ((0, 0, 4, 4), (1, 1, 3, 3), 4 / 16),
        ((0, 0, 2, 2), (2, 0, 4, 2), 0),
        ((0, 0, 1, 1), (5, 5, 6, 6), 0),
        ((0, 0, 1, 1), (5, 0, 6, 1), 0),
        ((0, 0, 0, 0), (0, 0, 0, 0), 0),
    ],
)
def test_box_overlap_worked_out_by_hand(a, b, iou):
    assert box_iou(a, b) == pytest.approx(iou)


@given(BOXES, BOXES)
def test_box_overlap_is_symmetric_and_a_fraction(a, b):
    assert box_iou(a, b) == pytest.approx(box_iou(b, a))
    assert 0 <= box_iou(a, b) <= 1 + 1e-9
    assert box_iou(a, a) == pytest.approx(1)
