"""The yardstick of an adaptive prompter takes the best kind per object."""

import numpy as np
import pytest

from t2s_pipeline.pseudo_labels.ideal_figures import ideal_chain, ideal_rotated_box
from t2s_pipeline.vision.geometry import Frame


def diagonal(side: int = 100) -> np.ndarray:
    ys, xs = np.mgrid[:side, :side]
    return (abs(xs - ys) < 4) & (xs + ys > 40) & (xs + ys < 160)


def test_the_rotated_box_of_a_bar_is_the_bar():
    bar = np.zeros((60, 60), bool)
    bar[20:24, 10:50] = True
    box = ideal_rotated_box(bar)
    assert (box.x, box.y) == pytest.approx((30, 22))
    assert sorted((box.width, box.height)) == pytest.approx([4, 40])
    assert box.prompts(Frame.square(60)).bbox == pytest.approx((10, 20, 50, 24))


def test_the_rotated_box_of_a_diagonal_bar_is_much_smaller_than_its_upright_box():
    box = ideal_rotated_box(diagonal())
    assert box.width * box.height < 0.35 * 60 * 60
    assert abs(box.angle % 90 - 45) < 2


def test_a_chain_lies_on_its_instance_from_end_to_end():
    mask = diagonal()
    chain = ideal_chain(mask)
    assert len(chain.points) == 5
    assert all(mask[int(y), int(x)] for x, y in chain.points)
    xs = sorted(x for x, _ in chain.points)
    assert xs[0] < 32 and xs[-1] > 68
    one = np.zeros((9, 9), bool)
    one[4, 4] = True
    assert ideal_chain(one).points == ((4, 4), (5, 5))


@pytest.mark.worker
def test_the_best_kind_per_object_is_at_least_as_good_as_each_kind():
    pytest.importorskip("torch")
    from t2s_pipeline.evaluation.kinds import KINDS, wider_prompts
    from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
    from t2s_pipeline.pseudo_labels.ideal_prompts import ideal_prompts
    from t2s_pipeline.segmenters.load import load_segmenter

    mask, frame = diagonal(), Frame.square(100)
    block = np.zeros_like(mask)
    block[5:30, 60:90] = True
    image = np.full((100, 100, 3), 90, np.uint8)
    image[mask | block] = 220
    segmenter = load_segmenter("sam2-mini")
    embedding = segmenter.encode(image)
    upright = ideal_prompts([mask, block], mask | block, [PROMPT_COMBINATIONS[name] for name in KINDS[:2]])
    wider = wider_prompts(segmenter, embedding, [mask, block], frame, upright)
    assert set(wider) == {"rotated", "chain", "adaptive"} and all(len(prompts) == 2 for prompts in wider.values())
    for number, instance in enumerate((mask, block)):
        ious = []
        for prompts in (*(upright[name] for name in KINDS[:2]), wider["rotated"], wider["chain"], wider["adaptive"]):
            [(intersection, union)] = segmenter.overlap(embedding, [[prompts[number]]], instance, frame)
            ious.append(intersection / union)
        assert ious[-1] == pytest.approx(max(ious), abs=0.02)
