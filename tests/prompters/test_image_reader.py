"""An image is read once for all batches of questions about it, and the answers are those of a single batch."""

import numpy as np
import pytest

from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.families import FAMILIES
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.prompters import answering  # noqa: E402
from t2s_pipeline.prompters.answering import ImageReader  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.prompters.prefixes import can_be_extended  # noqa: E402
from tests.prompters import tiny  # noqa: E402

COMBINATION = PROMPT_COMBINATIONS["bbox+pos2"]
QUESTIONS = ["Roofs", "Where would tankers unload?", "Which of these places would cool people down in July?", "a b c"]
ORDER = (0, 1, 2, 1, 0, 3, 2, 0, 4, 1)
"""Which image each of ten questions is about."""


@pytest.fixture(scope="module", params=[*FAMILIES, "qwen2.5-vl-mini"])
def prompter(request, tmp_path_factory):
    """A tiny model of each family, and the embedded one."""
    if request.param not in FAMILIES:
        return load_prompter(request.param)
    folder = tmp_path_factory.mktemp(request.param)
    return load_prompter(str(tiny.save(request.param, folder)))


@pytest.fixture(scope="module")
def shown():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (90, 130, 3), dtype=np.uint8) for _ in range(5)]
    return [images[place] for place in ORDER], [QUESTIONS[place % 4] for place in range(len(ORDER))]


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7])
def test_several_batches_give_the_answers_of_one_and_read_each_image_once(prompter, shown, batch_size, monkeypatch):
    images, questions = shown
    rows = []

    def counted(model, prompts):
        rows.append(len(prompts.ids))
        return read_prompts(model, prompts)

    read_prompts = answering.read_prompts
    monkeypatch.setattr(answering, "read_prompts", counted)
    texts = [
        [answer.text for answer in prompter.answer(images, questions, COMBINATION, settings)]
        for settings in (
            GenerationSettings(max_new_tokens=12, batch_size=64),
            GenerationSettings(max_new_tokens=12, batch_size=batch_size),
        )
    ]
    assert texts[0] == texts[1]
    if can_be_extended(prompter.model):
        assert rows[0] == 5 and sum(rows[1:]) == 5


def test_what_is_read_of_an_image_does_not_depend_on_the_images_beside_it(prompter, shown):
    """Keys, values and the last hidden state: of Qwen2.5-VL to the last bit, of the others nearly so."""
    if not can_be_extended(prompter.model):
        pytest.skip("its images are not read apart from the questions")
    is_exact = prompter.family is FAMILIES["qwen2_5_vl"]
    images, questions = shown
    together = ImageReader(prompter, prompter.model, COMBINATION).read(images, questions).prefix
    in_batches = ImageReader(prompter, prompter.model, COMBINATION)
    for start in range(0, len(images), 2):
        part = slice(start, start + 2)
        prefix = in_batches.read(images[part], questions[part], images[start + 2 :]).prefix
        assert torch.equal(prefix.position, together.position[part])
        pairs = [(prefix.last_hidden, together.last_hidden)]
        for layer, expected in zip(prefix.cache.layers, together.cache.layers, strict=True):
            pairs += [(layer.keys, expected.keys), (layer.values, expected.values)]
        for states, expected in pairs:
            assert (
                torch.equal(states, expected[part]) if is_exact else torch.allclose(states, expected[part], atol=1e-4)
            )


def test_only_images_of_later_batches_are_kept(prompter, shown):
    if not can_be_extended(prompter.model):
        pytest.skip("its images are not read apart from the questions")
    images, questions = shown
    reader = ImageReader(prompter, prompter.model, COMBINATION)
    for start, kept in ((0, 2), (2, 3), (4, 3), (6, 1), (8, 0)):
        reader.read(images[start : start + 2], questions[start : start + 2], images[start + 2 :])
        assert len(reader._rows) == kept
        assert (reader._kept is None) == (kept == 0)
    assert reader.images == 5
