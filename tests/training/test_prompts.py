"""The rows of a run as TRL reads them."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.worker
pytest.importorskip("torch")

from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.prompters.prompter import Prompter  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.training.dataset import QuestionChoice, Squares, TrainingSample  # noqa: E402
from t2s_pipeline.training.prompts import Prompts  # noqa: E402
from t2s_pipeline.vision import masks  # noqa: E402


@pytest.fixture
def prompts(tmp_path: Path) -> Prompts:
    """Two samples about one image; the second is asked first."""
    prompter = load_prompter("qwen2.5-vl-mini")
    truth = np.zeros((10, 20), bool)
    truth[:5] = True
    samples = [
        TrainingSample("a", "image", ("Where is it?",), masks.encode(truth)),
        TrainingSample("b", "image", ("Which one?", "Where are they?"), masks.encode(~truth)),
    ]
    squares = Squares(tmp_path / "squares.npy", prompter.frame.width, ["image"])
    return Prompts(
        samples, [QuestionChoice(1, 1), QuestionChoice(0, 0)], squares, prompter, PROMPT_COMBINATIONS["bbox"]
    )


def test_the_model_is_not_pickled_to_name_the_dataset(prompts: Prompts, monkeypatch: pytest.MonkeyPatch):
    pickled = []

    def reduce(prompter: Prompter, protocol: int) -> tuple[type[str], tuple[str]]:
        pickled.append(prompter)
        return str, ("",)

    monkeypatch.setattr(Prompter, "__reduce_ex__", reduce)
    rows = prompts.dataset()
    assert not pickled
    assert len(rows) == 2 and rows[0]["truth_key"] == "b" and rows[1]["truth_key"] == "a"


def test_rows_of_one_sample_share_its_picture_and_truth(prompts: Prompts):
    first, again, other = prompts.dataset()[[0, 0, 1]]["truth"]
    assert first is again
    side = first.shape[0]
    assert not first[: side // 2].any() and first[side // 2 + 1 :].all()
    assert np.array_equal(other, ~first)


def test_the_order_says_which_question_of_which_sample_is_asked(prompts: Prompts):
    assert [prompts.question(row) for row in range(2)] == ["Where are they?", "Where is it?"]
    assert [prompts.sample_id(row) for row in range(2)] == ["b", "a"]
