"""The mask reward is the segmenter's own overlap with the truth; what it could not draw abstains."""

import numpy as np
import pytest

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.templates import answer_text
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from t2s_pipeline.methods.recipe import Recipe  # noqa: E402
from t2s_pipeline.methods.reward import REWARDS  # noqa: E402
from t2s_pipeline.rewards.functions import reward_functions  # noqa: E402
from t2s_pipeline.rewards.mask_iou import mask_iou_reward  # noqa: E402
from t2s_pipeline.segmenters.miniature import build  # noqa: E402
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter  # noqa: E402

COMBINATION = PROMPT_COMBINATIONS["bbox+pos2"]
FRAME = Frame.square(168)
ROOF = PromptObject(bbox=(10, 12, 60, 70), positive_points=((20, 30), (40, 61)))
POOL = PromptObject(bbox=(90, 80, 150, 160), positive_points=((100, 90), (140, 141)))
MALFORMED = "<think>a</think><answer>a roof</answer>"


class CountingSegmenter(Sam2Segmenter):
    """The real segmenter, with random weights, that counts its calls and can run out of memory."""

    def __init__(self, at_most: int = 1000) -> None:
        torch.manual_seed(3)
        super().__init__(build(), "random", "0" * 64)
        self.at_most, self.encoded, self.calls = at_most, 0, 0

    def encode(self, image):
        self.encoded += 1
        if self.at_most == 0:
            raise torch.OutOfMemoryError("no room for the image\nand a long trace")
        return super().encode(image)

    def overlap(self, embedding, prompt_sets, truth, source, multimask=False):
        self.calls += 1
        if sum(map(len, prompt_sets)) > self.at_most:
            raise torch.OutOfMemoryError("no room for the masks")
        return super().overlap(embedding, prompt_sets, truth, source, multimask)


def says(*objects: PromptObject) -> str:
    return answer_text("looking", COMBINATION.render(objects))


def scene(seed: int) -> np.ndarray:
    """uint8 (168, 168, 3): smooth blobs."""
    coarse = np.random.default_rng(seed).integers(0, 256, size=(14, 14, 3))
    return np.kron(coarse, np.ones((12, 12, 1))).astype(np.uint8)


def columns(count: int, truth: np.ndarray, image: int = 0) -> dict:
    """The columns of ``count`` completions about one image and one truth."""
    return {
        "image_key": [image] * count,
        "truth_key": [(image, truth.tobytes())] * count,
        "square": [scene(image)] * count,
        "truth": [truth] * count,
    }


def half() -> np.ndarray:
    truth = np.zeros((168, 168), bool)
    truth[:, :84] = True
    return truth


def test_a_reward_is_the_iou_of_the_mask_that_the_segmenter_draws():
    segmenter = CountingSegmenter()
    completions = [says(ROOF), says(POOL), says(ROOF, POOL), MALFORMED, says()]
    rewards = mask_iou_reward(segmenter, COMBINATION, FRAME)(completions, **columns(5, half()))
    embedding = segmenter.encode(scene(0))
    drawn = segmenter.decode(embedding, [[ROOF], [POOL], [ROOF, POOL]], FRAME, FRAME)
    expected = [i / u for i, u in (masks.intersection_union(mask.mask, half()) for mask in drawn)]
    assert len(set(expected)) == 3, "the three answers must be told apart for this to say anything"
    assert rewards == [*expected, 0, 0]


def test_the_truth_itself_earns_one():
    segmenter = CountingSegmenter()
    (drawn,) = segmenter.decode(segmenter.encode(scene(0)), [[ROOF]], FRAME, FRAME)
    assert drawn.mask.any()
    assert mask_iou_reward(segmenter, COMBINATION, FRAME)([says(ROOF)], **columns(1, drawn.mask)) == [1]


def test_an_empty_truth_wants_an_empty_list_and_no_segmenter():
    segmenter = CountingSegmenter()
    reward = mask_iou_reward(segmenter, COMBINATION, FRAME)
    nothing = columns(3, np.zeros((168, 168), bool))
    assert reward([says(), says(ROOF), MALFORMED], **nothing) == [1, 0, 0]
    assert reward([says(), MALFORMED], **columns(2, half())) == [0, 0]
    assert (segmenter.encoded, segmenter.calls) == (0, 0)


def test_an_image_is_encoded_once_and_a_group_decoded_in_one_call():
    segmenter = CountingSegmenter()
    completions = [says(ROOF), says(POOL), says(ROOF, POOL), says(ROOF)]
    parts = [columns(2, half(), image=0), columns(2, half(), image=1), columns(4, ~half(), image=0)]
    together = {key: [value for part in parts for value in part[key]] for key in parts[0]}
    rewards = mask_iou_reward(segmenter, COMBINATION, FRAME)(completions * 2, **together)
    # Two images; three pairs of image and truth.
    assert (segmenter.encoded, segmenter.calls) == (2, 3)
    assert rewards[4] == mask_iou_reward(segmenter, COMBINATION, FRAME)([says(ROOF)], **columns(1, ~half()))[0]


def test_when_memory_runs_out_the_call_is_halved_and_the_rewards_stay_the_same():
    completions = [says(ROOF), says(POOL), says(ROOF, POOL), says(POOL)]
    told = []
    short = CountingSegmenter(at_most=2)
    rewards = mask_iou_reward(short, COMBINATION, FRAME, on_failure=lambda *seen: told.append(seen))(
        completions, **columns(4, half())
    )
    assert rewards == pytest.approx(
        mask_iou_reward(CountingSegmenter(), COMBINATION, FRAME)(completions, **columns(4, half()))
    )
    assert told == [] and short.calls > 1


def test_only_what_could_not_be_drawn_abstains():
    told = []
    reward = mask_iou_reward(
        CountingSegmenter(at_most=1), COMBINATION, FRAME, on_failure=lambda *seen: told.append(seen)
    )
    rewards = reward([says(ROOF), says(ROOF, POOL), MALFORMED, says()], **columns(4, half()))
    assert rewards[1] is None
    assert rewards[0] is not None and rewards[2:] == [0, 0]
    assert told == [(1, "OutOfMemoryError: no room for the masks")]


def test_an_image_that_cannot_be_encoded_leaves_the_other_images_alone():
    told = []

    class NoFirst(CountingSegmenter):
        def encode(self, image):
            self.at_most = 0 if np.array_equal(image, scene(0)) else 1000
            return super().encode(image)

    parts = [columns(3, half(), image=0), columns(1, half(), image=1)]
    together = {key: parts[0][key] + parts[1][key] for key in parts[0]}
    reward = mask_iou_reward(NoFirst(), COMBINATION, FRAME, on_failure=lambda *seen: told.append(seen))
    rewards = reward([says(ROOF), MALFORMED, says(POOL), says(ROOF)], **together)
    assert (rewards[0], rewards[1], rewards[2]) == (None, 0, None)
    assert rewards[3] is not None
    assert told == [(2, "OutOfMemoryError: no room for the image")]


def test_a_fault_in_our_own_code_is_not_taken_for_a_lack_of_memory():
    class Broken(CountingSegmenter):
        def overlap(self, embedding, prompt_sets, truth, source, multimask=False):
            raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        mask_iou_reward(Broken(), COMBINATION, FRAME)([says(ROOF)], **columns(1, half()))


def test_recipes_put_their_functions_in_order():
    for reward in (REWARDS["paper"], REWARDS["reference"]):
        functions = reward_functions(Recipe(reward=reward.name), CountingSegmenter(), FRAME)
        assert [function.__name__ for function in functions] == reward.names
        earned = [function([says()], **columns(1, np.zeros((168, 168), bool)))[0] for function in functions]
        assert sum(weight * value for weight, value in zip(reward.weights, earned, strict=True)) == reward.maximum


def test_a_referring_sample_is_judged_by_its_box_and_by_the_number_of_objects():
    segmenter = CountingSegmenter()
    reward = mask_iou_reward(segmenter, COMBINATION, FRAME)
    # ROOF is 10, 12 to 60, 70. The label shares 50 × 29 of 50 × 58 pixels with it.
    label = (10, 12, 60, 41)
    group = columns(5, half()) | {"label_box": [label] * 5}
    rewards = reward([says(ROOF), says(ROOF, POOL), says(POOL), says(), MALFORMED], **group)
    assert rewards == pytest.approx([0.5, 0.25, 0, 0, 0])
    assert (segmenter.encoded, segmenter.calls) == (0, 0)
    plain = columns(1, half())
    assert reward([says(ROOF)], **plain, label_box=[None]) == reward([says(ROOF)], **plain)
