"""A Qwen2.5-VL of miniature size with random weights goes the same way as a full-size one."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

import numpy as np  # noqa: E402

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.miniature.prompter import PrompterShape, build_model, build_processor, train_tokenizer  # noqa: E402
from t2s_pipeline.prompters.base import GenerationSettings  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.prompting.templates import instruction  # noqa: E402
from t2s_pipeline.vision.geometry import Frame  # noqa: E402

COMBINATION = PROMPT_COMBINATIONS["bbox+pos2"]
QUESTIONS = ["Where would tankers unload?", "Which of these places would cool people down on a hot afternoon?"]
GREEDY = GenerationSettings(max_new_tokens=12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    shape = PrompterShape()
    texts = [
        instruction(question, combination) for question in QUESTIONS for combination in PROMPT_COMBINATIONS.values()
    ]
    tokenizer = train_tokenizer(texts, shape)
    path = tmp_path_factory.mktemp("prompter")
    build_model(tokenizer, shape, seed=3).save_pretrained(path)
    build_processor(tokenizer, shape).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def prompter(folder):
    return load_prompter(str(folder))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (200, 300, 3), dtype=np.uint8), rng.integers(0, 256, (168, 168, 3), dtype=np.uint8)]


def inputs_of(prompter, image, question):
    return prompter.inputs([image], [question], COMBINATION)


def test_the_square_is_the_frame_of_its_coordinates(prompter, images):
    assert prompter.frame == Frame(168, 168)
    assert prompter.square(images[0]).size == (168, 168)


def test_the_rendered_prompt_is_this_text(prompter):
    text = prompter.render(QUESTIONS[0], COMBINATION)
    assert text == (
        "<|im_start|>user\n<|vision_start|><|image_pad|><|vision_end|>"
        f"{instruction(QUESTIONS[0], COMBINATION)}<|im_end|>\n<|im_start|>assistant\n"
    )


def test_there_are_as_many_image_tokens_as_features(prompter, images):
    inputs = inputs_of(prompter, images[0], QUESTIONS[0])
    features = prompter.model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
    tokens = int((inputs["input_ids"] == prompter.model.config.image_token_id).sum())
    assert tokens == len(features[0]) == 36


def test_the_image_matters(prompter, images):
    seen = prompter.model(**inputs_of(prompter, images[0], QUESTIONS[0])).logits[0, -1]
    blank = prompter.model(**inputs_of(prompter, np.zeros_like(images[0]), QUESTIONS[0])).logits[0, -1]
    assert (seen - blank).abs().max() > 1e-4


def test_an_answer_does_not_depend_on_its_neighbours_in_the_batch(prompter, images):
    # The questions differ in length, so the batch is padded.
    together = prompter.answer(images, QUESTIONS, COMBINATION, GREEDY)
    alone = [prompter.answer([i], [q], COMBINATION, GREEDY)[0] for i, q in zip(images, QUESTIONS, strict=True)]
    assert [(c.text, c.tokens, c.finish_reason) for c in together] == [
        (c.text, c.tokens, c.finish_reason) for c in alone
    ]


def test_an_unfinished_answer_says_so(prompter, images):
    [completion] = prompter.answer(images[:1], QUESTIONS[:1], COMBINATION, GenerationSettings(max_new_tokens=3))
    assert completion.tokens <= 3
    assert completion.finish_reason == ("length" if completion.tokens == 3 else "stop")


def test_sampling_follows_its_seed(prompter, images):
    def sample(seed):
        settings = GenerationSettings(max_new_tokens=12, temperature=1.0, seed=seed)
        return prompter.answer(images[:1], QUESTIONS[:1], COMBINATION, settings)[0].text

    assert sample(1) == sample(1) != sample(2)


def test_numbers_of_the_square_are_one_token_each(prompter):
    tokenizer = prompter.processor.tokenizer
    for number in range(169):
        assert len(tokenizer(f"[{number}, 7]").input_ids) == len(tokenizer("[7, 7]").input_ids)


def test_the_same_weights_have_the_same_sha256(folder, prompter):
    assert load_prompter(str(folder)).sha256 == prompter.sha256


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected config\.json"):
        load_prompter(str(tmp_path))
    with pytest.raises(InputError, match="There is no prompter"):
        load_prompter(str(tmp_path / "missing"))
