"""Mined negatives lie on look-alikes outside of the first mask, and stay only where the segmenter is surer."""

import numpy as np
import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.segmenters.negatives import AROUND, _cells, look_alikes, with_mined_negatives  # noqa: E402
from t2s_pipeline.vision.geometry import Frame, PromptObject  # noqa: E402

FRAME = Frame.square(168)


def grid_of(values: np.ndarray) -> "torch.Tensor":
    """Unit vectors of the plane at these angles, in degrees: (2, height, width)."""
    angles = torch.as_tensor(np.radians(values), dtype=torch.float32)
    return torch.stack([angles.cos(), angles.sin()])


def test_the_likest_places_outside_of_the_mask_are_found():
    # The mask has the angle 0. Outside of it, one cell is 10° off, one 20°, all others 90°.
    angles = np.full((8, 8), 90.0)
    angles[2:4, 2:4] = 0
    angles[2, 6], angles[6, 6] = 20, 10
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    everywhere = np.s_[0:8, 0:8]
    assert look_alikes(grid_of(angles), mask, everywhere, 5) == [(6, 6), (2, 6)]
    assert look_alikes(grid_of(angles), mask, everywhere, 1) == [(6, 6)]
    assert look_alikes(grid_of(angles), mask, np.s_[0:5, 0:8], 5) == [(2, 6)], "the window holds one of them only"


def test_points_keep_apart():
    angles = np.full((8, 8), 90.0)
    angles[0, 0] = 0
    angles[5, 5], angles[5, 6] = 1, 2
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = True
    assert look_alikes(grid_of(angles), mask, np.s_[0:8, 0:8], 5) == [(5, 5)]


def test_nothing_is_found_without_a_mask_or_without_room():
    grid = grid_of(np.zeros((4, 4)))
    assert look_alikes(grid, np.zeros((4, 4), bool), np.s_[0:4, 0:4], 3) == []
    assert look_alikes(grid, np.ones((4, 4), bool), np.s_[0:4, 0:4], 3) == []


@pytest.fixture(scope="module")
def segmenter():
    return load_segmenter("sam2-mini")


def picture() -> np.ndarray:
    """Two white discs on green, one of which the box of the test also touches."""
    ys, xs = np.mgrid[:168, :168]
    image = np.zeros((168, 168, 3), np.uint8) + np.array([90, 120, 70], np.uint8)
    for x, y in ((60, 80), (110, 80)):
        image[(xs - x) ** 2 + (ys - y) ** 2 < 400] = 230
    return image


def test_a_negative_stays_only_if_the_score_grows(segmenter):
    embedding = segmenter.encode(picture())
    loose = [
        PromptObject((38, 58, 134, 104), ((60.0, 80.0),)),
        PromptObject((30, 50, 84, 110), ((60.0, 80.0), (55.0, 75.0))),
    ]
    changed = with_mined_negatives(segmenter, embedding, [loose, loose[:1]], FRAME, 2)
    assert changed[1] == changed[0][:1], "an object is judged once, wherever it stands"
    for before, after in zip(loose, changed[0], strict=True):
        if after == before:
            continue
        assert (after.bbox, after.positive_points) == (before.bbox, before.positive_points)
        assert 1 <= len(after.negative_points) <= 2
        first, second = segmenter.decode(embedding, [[before], [after]], FRAME, FRAME)
        assert second.scores[0] > first.scores[0]
        # A point lies in a cell that the first mask does not hold on the grid of the embedding.
        coarse = segmenter.decode(embedding, [[before]], FRAME, Frame.square(16))[0].mask
        assert not any(coarse[int(y * 16 / 168), int(x * 16 / 168)] for x, y in after.negative_points)


def test_a_surer_second_mask_replaces_the_first(segmenter, monkeypatch):
    """With scores that rise with the number of negative points, every object with a candidate gets them."""
    decode = segmenter.decode

    def rising(embedding, prompt_sets, *rest):
        results = decode(embedding, prompt_sets, *rest)
        return [
            type(result)(
                np.ones_like(result.mask) & (result.mask | (len(p[0].negative_points) > 0)),
                (float(len(p[0].negative_points)),),
            )
            for p, result in zip(prompt_sets, results, strict=True)
        ]

    monkeypatch.setattr(segmenter, "decode", rising)
    box = PromptObject((38, 58, 134, 104), ((60.0, 80.0),))
    [[changed]] = with_mined_negatives(segmenter, segmenter.encode(picture()), [[box]], FRAME, 2)
    assert changed.negative_points


def test_an_object_without_a_box_is_searched_around_its_mask_and_an_empty_mask_has_no_place():
    mask = np.zeros((32, 32), bool)
    mask[10:14, 4:12] = True
    points = PromptObject(None, ((30.0, 60.0),))
    rows, columns = _cells(points, mask, FRAME, Frame.square(32))
    # A share of 4 rows and of 8 columns is added on each side, one cell at least.
    down, across = max(1.0, AROUND * 4), max(1.0, AROUND * 8)
    assert (rows.start, rows.stop) == (int(10 - down), int(np.ceil(14 + down)))
    assert (columns.start, columns.stop) == (max(0, int(4 - across)), int(np.ceil(12 + across)))
    assert _cells(points, np.zeros_like(mask), FRAME, Frame.square(32)) == (slice(0, 0), slice(0, 0))
