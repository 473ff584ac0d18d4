"""T2S_SEGMENTER_PRECISION: in which precision a segmenter multiplies, and what is made again when it changes."""

import numpy as np
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.segmenters.registry import PRECISION, stated_precision
from t2s_pipeline.steps.answers import Segment
from t2s_pipeline.steps.labels import Judge
from t2s_pipeline.steps.step import Context
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.vision.geometry import Frame, PromptObject


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PRECISION, raising=False)


@pytest.mark.parametrize("text", ["float16", "BFLOAT16", "on", " "])
def test_another_precision_is_one_sentence(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv(PRECISION, text)
    with pytest.raises(InputError, match=f"{PRECISION} is .* float32 or bfloat16"):
        stated_precision()


def test_masks_depend_on_a_stated_precision_and_without_one_nothing_changes(monkeypatch: pytest.MonkeyPatch):
    settings = Settings.from_env()
    context = Context(settings, lambda arguments: None)
    steps = (
        Segment(resolve("zero-shot-mini", settings), "synthetic", "val"),
        Judge("sam2-mini", "synthetic", "val"),
    )
    for step in steps:
        monkeypatch.delenv(PRECISION, raising=False)
        before = step.inputs(context)
        assert "precision" not in before
        monkeypatch.setenv(PRECISION, "bfloat16")
        assert step.inputs(context) == {**before, "precision": "bfloat16"}


@pytest.mark.worker
def test_a_segmenter_computes_in_the_stated_precision_and_its_masks_are_nearly_the_same(monkeypatch):
    pytest.importorskip("torch")
    from t2s_pipeline.segmenters.load import kept_segmenter, load_segmenter

    assert not load_segmenter("sam2-mini").bfloat16
    ys, xs = np.mgrid[:168, :168]
    image = np.full((168, 168, 3), 90, np.uint8)
    image[(xs - 80) ** 2 + (ys - 80) ** 2 < 900] = 230
    square, sets = Frame.square(168), [[PromptObject((50, 50, 110, 110), ((80, 80), (70, 90)))]]
    masks = {}
    for text in ("float32", "bfloat16"):
        monkeypatch.setenv(PRECISION, text)
        segmenter = kept_segmenter("sam2-mini")
        assert segmenter.bfloat16 == (text == "bfloat16"), "a kept segmenter of the other precision is not taken"
        [result] = segmenter.decode(segmenter.encode(image), sets, square, square)
        masks[text] = result.mask
    one, other = masks.values()
    assert (one & other).sum() / (one | other).sum() > 0.98
    assert masks["float32"].any()
