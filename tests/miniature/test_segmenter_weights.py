"""The embedded segmenter does what its model card says, on scenes that no training saw."""

import json

import numpy as np
import pytest

from t2s_pipeline.core.embedded import EMBEDDED_SEGMENTERS
from t2s_pipeline.vision.geometry import Frame

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from safetensors import safe_open  # noqa: E402
from sam2.sam2_image_predictor import SAM2ImagePredictor  # noqa: E402

from t2s_pipeline.miniature.evaluate_segmenter import BEST, GROUP, prompt_quality  # noqa: E402
from t2s_pipeline.miniature.segmenter_pool import SIDE, TEST, paint_pool  # noqa: E402
from t2s_pipeline.miniature.segmenter_prompts import degrade  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter  # noqa: E402


@pytest.fixture(scope="module")
def segmenter() -> Sam2Segmenter:
    return load_segmenter("sam2-mini")


@pytest.fixture(scope="module")
def quality(segmenter) -> dict[str, list[float]]:
    """IoU per kind of prompt on newly painted scenes of the embedded look."""
    return prompt_quality(segmenter, paint_pool(TEST, 40, foreign_share=0.0))


def test_a_true_prompt_cuts_the_object_out(quality):
    assert len(quality[BEST]) >= 150
    assert np.mean(quality[BEST]) >= 0.85


def test_worse_prompts_give_worse_masks(quality):
    """The prompter learns from nothing but this difference."""
    mean = {kind: np.mean(ious) for kind, ious in quality.items()}
    lost = {kind: mean[BEST] - value for kind, value in mean.items()}
    assert lost["box shifted 30 % + 2 points"] > 0.12
    assert lost["box shifted 30 %"] > 0.2
    assert lost["box × 0.7 + 2 points"] > 0.04
    assert lost["box × 1.6 + 2 points"] > 0.04
    assert lost["box × 1.6"] > lost["box × 1.3"] > 0.01
    assert lost["box shifted 30 % + 2 points"] > lost["box shifted 15 % + 2 points"] > 0.02
    assert lost["1 point"] > lost["2 points"] > 0.04


def test_one_box_may_hold_several_instances(quality):
    assert len(quality[GROUP]) >= 15
    assert np.mean(quality[GROUP]) > 0.5


def test_the_score_ranks_true_prompts_above_poor_ones(segmenter):
    frame, rng, higher = Frame.square(SIDE), np.random.default_rng(5), []
    for scene in paint_pool(TEST, 10, foreign_share=0.0):
        embedding = segmenter.encode(scene.image)
        for mask in scene.masks():
            kinds = degrade(mask, rng)
            good, poor = segmenter.decode(
                embedding, [[kinds[BEST]], [kinds["box shifted 30 % + 2 points"]]], frame, frame
            )
            higher.append(good.scores[0] > poor.scores[0])
    assert np.mean(higher) > 0.8


def test_the_embedded_weights_agree_with_the_predictor(segmenter):
    [scene] = paint_pool(TEST, 1, foreign_share=0.0)
    predictor = SAM2ImagePredictor(segmenter.model)
    predictor._bb_feat_sizes = [(32, 32), (16, 16), (8, 8)]
    predictor.set_image(scene.image)
    embedding, frame = segmenter.encode(scene.image), Frame.square(SIDE)
    for mask in scene.masks():
        item = degrade(mask, np.random.default_rng(0))["box + 2 points + 2 negative"]
        expected, scores, _ = predictor.predict(
            point_coords=np.array(item.positive_points + item.negative_points),
            point_labels=np.array([1, 1, 0, 0]),
            box=np.array(item.bbox),
            multimask_output=False,
        )
        [found] = segmenter.decode(embedding, [[item]], frame, frame)
        assert (found.mask != expected[0].astype(bool)).mean() <= 0.0005
        assert found.scores[0] == pytest.approx(float(scores[0]), abs=1e-4)


@pytest.mark.parametrize("name", EMBEDDED_SEGMENTERS)
def test_every_size_cuts_the_object_out(name):
    quality = prompt_quality(load_segmenter(name), paint_pool(TEST, 20, foreign_share=0.0), only=(BEST,))
    assert len(quality[BEST]) >= 75 and np.mean(quality[BEST]) >= 0.8


@pytest.mark.parametrize("name", EMBEDDED_SEGMENTERS)
def test_the_weights_are_small_and_half_precision(name):
    assert EMBEDDED_SEGMENTERS[name].stat().st_size <= 7.1e6
    with safe_open(EMBEDDED_SEGMENTERS[name], "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}


@pytest.mark.parametrize("name", EMBEDDED_SEGMENTERS)
def test_the_card_and_the_evaluation_are_about_these_weights(name):
    folder, segmenter = EMBEDDED_SEGMENTERS[name].parent, load_segmenter(name)
    report = json.loads((folder / "eval.json").read_text())
    card = (folder / "MODEL_CARD.md").read_text()
    assert report["sha256"] == segmenter.sha256
    assert segmenter.sha256 in card
    assert f"{100 * report['prompts'][BEST]['iou']:.1f}" in card
