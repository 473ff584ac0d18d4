"""What rotated boxes and chains become for a segmenter, worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.vision.figures import Chain, RotatedBox
from t2s_pipeline.vision.geometry import Frame

FRAME = Frame.square(200)


def test_an_upright_box_is_itself_with_points_on_its_long_axis():
    prompts = RotatedBox(100, 50, 40, 10, 0).prompts(FRAME)
    assert prompts.bbox == pytest.approx((80, 45, 120, 55))
    # 0.3 of the length of 40 to both sides.
    assert np.allclose(prompts.positive_points, [(100, 50), (88, 50), (112, 50)])
    assert prompts.negative_points == ()


def test_the_long_side_gives_the_axis_whichever_it_is():
    prompts = RotatedBox(100, 50, 10, 40, 0).prompts(FRAME)
    assert np.allclose(prompts.positive_points, [(100, 50), (100, 38), (100, 62)])


def test_a_diagonal_box_has_negative_points_in_the_empty_corners():
    # 100 long and thin, at 45°: from (-35.4, -35.4) to (35.4, 35.4) around the centre. The other two corners are empty.
    prompts = RotatedBox(100, 100, 100, 2, 45).prompts(FRAME)
    reach = 102 / 2 / math.sqrt(2)
    assert prompts.bbox == pytest.approx((100 - reach, 100 - reach, 100 + reach, 100 + reach))
    assert len(prompts.negative_points) == 2
    # From the corner (100 + reach, 100 - reach) to the box: half of the way lies on the diagonal through the centre.
    x, y = max(prompts.negative_points)
    distance = math.sqrt(2) * reach
    assert (x, y) == pytest.approx((100 + (distance + 1) / 2 / math.sqrt(2), 100 - (distance + 1) / 2 / math.sqrt(2)))


def test_points_of_a_chain_are_spread_evenly_over_its_bends():
    # An L of 30 and 10: 40 in all, so one point every 10.
    chain = Chain(((0, 0), (30, 0), (30, 10)))
    assert np.allclose(chain.spread(5), [(0, 0), (10, 0), (20, 0), (30, 0), (30, 10)])
    prompts = chain.prompts(FRAME)
    assert prompts.bbox is None and len(prompts.positive_points) == 5


BOXES = st.builds(
    RotatedBox,
    st.floats(0, 200),
    st.floats(0, 200),
    st.floats(1, 200),
    st.floats(1, 200),
    st.floats(-180, 180),
)


@given(BOXES)
def test_prompts_lie_in_the_frame_and_the_upright_box_holds_the_positive_points(box):
    prompts = box.prompts(FRAME)
    x0, y0, x1, y1 = prompts.bbox
    assert 0 <= x0 <= x1 <= 200 and 0 <= y0 <= y1 <= 200
    for x, y in prompts.positive_points:
        assert x0 - 1e-6 <= x <= x1 + 1e-6 and y0 - 1e-6 <= y <= y1 + 1e-6
    for point in prompts.negative_points:
        assert math.dist(point, box.nearest(point)) > 0, "a negative point never lies on the box"


@given(BOXES)
def test_half_a_turn_is_the_same_box(box):
    turned = RotatedBox(box.x, box.y, box.width, box.height, box.angle + 180).prompts(FRAME)
    assert turned.bbox == pytest.approx(box.prompts(FRAME).bbox, abs=1e-6)
