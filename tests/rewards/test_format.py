"""The form of an answer pays once under the paper's recipe and twice under the authors'."""

import pytest

from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.reward import REWARDS
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.rewards.completions import text_of
from t2s_pipeline.rewards.format import format_reward
from t2s_pipeline.rewards.functions import REWARD_PARTS, RewardContext
from t2s_pipeline.vision.geometry import Frame

BBOX, FRAME = PROMPT_COMBINATIONS["bbox"], Frame.square(168)
GOOD = '<think>a</think><answer>[{"bbox_2d": [1, 2, 30, 40]}]</answer>'
EMPTY = "<think>a</think><answer>[]</answer>"
NO_TAGS = '[{"bbox_2d": [1, 2, 30, 40]}]'
OUTSIDE = '<think>a</think><answer>[{"bbox_2d": [1, 2, 300, 40]}]</answer>'
REVERSED = '<think>a</think><answer>[{"bbox_2d": [30, 2, 1, 40]}]</answer>'
TO_REPAIR = '<think>a</think><answer>[{"bbox_2d": [1, 2, 30, 40]}</answer>'


@pytest.mark.parametrize(
    ("text", "format", "tags", "json"),
    [
        (GOOD, 1, 1, 1),
        (EMPTY, 1, 1, 1),
        (NO_TAGS, 0, 0, 0),
        (OUTSIDE, 0, 1, 0),
        (REVERSED, 0, 1, 0),
        (TO_REPAIR, 1, 1, 1),
        ("", 0, 0, 0),
    ],
)
def test_what_each_part_pays(text: str, format: int, tags: int, json: int) -> None:
    context = RewardContext(BBOX, FRAME, repair=True, inference=Inference())
    parts = [REWARD_PARTS[name].function(context) for name in ("format", "tags", "json")]
    assert [function([text]) for function in parts] == [[format], [tags], [json]]


def test_whether_repaired_json_pays_is_a_choice():
    assert format_reward(BBOX, FRAME, repair=False)([TO_REPAIR, GOOD]) == [0, 1]


def test_completions_come_as_texts_or_as_chat_messages():
    chat = [{"role": "assistant", "content": GOOD}]
    assert text_of(chat) == text_of(GOOD) == GOOD
    # TRL passes the columns of the training set along; a reward takes what it needs.
    assert format_reward(BBOX, FRAME, repair=True)([chat, EMPTY], image_key=["a", "b"], trainer_state=None) == [1, 1]


def test_the_recipes_maxima_are_the_papers_and_the_authors():
    assert REWARDS["paper"].maximum == 3
    assert REWARDS["reference"].maximum == 4
    assert dict(REWARDS["paper"].parts) == {"format": 1, "mask_iou": 2}
