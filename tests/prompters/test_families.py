"""Each family at tiny size, with random weights, goes the whole way a released one goes."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.families import FAMILIES, TRAINED_ELSEWHERE, published_model, published_models
from t2s_pipeline.prompting.asking import Asking
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.coordinates import Coordinates
from t2s_pipeline.prompting.parsing import Answer, parse
from t2s_pipeline.prompting.templates import Template, answer_text
from t2s_pipeline.vision.geometry import Frame, PromptObject

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from safetensors.torch import load_file, save_file  # noqa: E402

from t2s_pipeline.prompters.answering import ImageReader, answer_tokens  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.prompters.prefixes import can_be_extended  # noqa: E402
from t2s_pipeline.prompters.weights import folder_of  # noqa: E402
from tests.prompters import tiny  # noqa: E402

COMBINATION = PROMPT_COMBINATIONS["bbox+pos2"]
QUESTION = "Where would tankers unload?"
QUESTIONS = [QUESTION, "Which of these places would cool people down on a hot afternoon in July?"]
GOLDEN = Path(__file__).parent / "golden"
SIDES = {"qwen2_5_vl": 112, "qwen3_vl": 128, "qwen3_5": 128, "internvl": 112, "llava": 112}
"""Pixel budgets of 112² and 128², and two of the processors' own 56-pixel squares."""
IMAGE_TOKENS = {"qwen2_5_vl": 16, "qwen3_vl": 16, "qwen3_5": 16, "internvl": 20, "llava": 16}
"""4 × 4 merged cells of 28 or 32 pixels; 5 tiles of 4; 4 × 4 patches of 14."""
VISION = ("model.visual.", "model.vision_tower.", "model.multi_modal_projector.")
"""The parameters that see the image, or translate what they see for the language model."""


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request, tmp_path_factory):
    """A model type and a folder with its tiny checkpoint."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, tiny.save(request.param, folder)


@pytest.fixture(scope="module")
def prompter(family):
    return load_prompter(str(family[1]))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (90, 130, 3), dtype=np.uint8), rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)]


def test_the_family_is_known_by_its_config(family, prompter):
    model_type, _ = family
    assert prompter.family is FAMILIES[model_type]
    assert type(prompter.model).__name__ == FAMILIES[model_type].model
    assert prompter.frame == prompter.answers == Frame.square(SIDES[model_type])


def test_the_rendered_prompt_is_the_golden_one(family, prompter):
    golden = GOLDEN / f"{family[0]}.txt"
    assert prompter.render(QUESTION, COMBINATION) == golden.read_text("utf-8")


def test_a_checkpoint_that_was_saved_with_our_chat_is_asked_in_the_same_way(family, prompter, tmp_path):
    prompter.processor.save_pretrained(tmp_path)
    for file in family[1].iterdir():
        if not (tmp_path / file.name).exists():
            (tmp_path / file.name).symlink_to(file)
    again = load_prompter(str(tmp_path))
    assert again.processor.chat_template == prompter.processor.chat_template
    assert again.render(QUESTION, COMBINATION) == prompter.render(QUESTION, COMBINATION)


def test_image_tokens_are_as_many_as_features_and_the_image_matters(family, prompter, images):
    inputs = prompter.inputs(images, QUESTIONS, COMBINATION)
    tokens = int((inputs["input_ids"] == prompter.model.config.image_token_id).sum())
    assert tokens == prompter.image_features(inputs) == 2 * IMAGE_TOKENS[family[0]]
    blank = prompter.inputs([np.zeros_like(image) for image in images], QUESTIONS, COMBINATION)
    with torch.no_grad():
        seen, unseen = (prompter.model(**each).logits[:, -1] for each in (inputs, blank))
    assert (seen - unseen).abs().amax(1).min() > 1e-5


def test_a_model_that_does_not_see_is_refused(prompter, monkeypatch):
    real = prompter.inputs
    monkeypatch.setattr(prompter, "inputs", lambda images, *rest: real([np.zeros_like(i) for i in images], *rest))
    with pytest.raises(T2SError, match="does not depend on the image"):
        prompter.check_depends_on_image()


def test_an_answer_does_not_depend_on_its_neighbours_in_the_batch(prompter, images):
    greedy = GenerationSettings(max_new_tokens=10)
    together = prompter.answer(images, QUESTIONS, COMBINATION, greedy)
    alone = [prompter.answer([i], [q], COMBINATION, greedy)[0] for i, q in zip(images, QUESTIONS, strict=True)]
    assert [(c.text, c.tokens, c.finish_reason) for c in together] == [
        (c.text, c.tokens, c.finish_reason) for c in alone
    ]
    assert all(c.tokens == 10 or c.finish_reason == "stop" for c in together)


def test_sampling_follows_its_seed_and_nothing_of_the_checkpoint(prompter, images, monkeypatch):
    def sample(seed):
        sampling = GenerationSettings(max_new_tokens=8, temperature=1.0, seed=seed)
        return prompter.answer(images[:1], QUESTIONS[:1], COMBINATION, sampling)[0].text

    first = sample(1)
    # Qwen2.5-VL's checkpoints ship settings of their own.
    monkeypatch.setattr(prompter.model.generation_config, "repetition_penalty", 9.0)
    monkeypatch.setattr(prompter.model.generation_config, "top_k", 1)
    assert sample(1) == first != sample(2)


def test_every_token_that_ends_a_turn_ends_the_answer(prompter, images, monkeypatch):
    for end in prompter.end_ids:
        bias = torch.zeros(prompter.model.get_output_embeddings().weight.shape[0])
        bias[end] = 1e4
        hook = prompter.model.get_output_embeddings().register_forward_hook(lambda _m, _i, out, bias=bias: out + bias)
        [completion] = prompter.answer(images[:1], QUESTIONS[:1], COMBINATION, GenerationSettings(max_new_tokens=5))
        hook.remove()
        assert (completion.text, completion.tokens, completion.finish_reason) == ("", 1, "stop")


def test_a_training_pass_reaches_every_part_of_the_model(prompter, images):
    inputs = prompter.inputs(images, QUESTIONS, COMBINATION)
    prompter.model.train()
    prompter.model.zero_grad()
    labels = inputs["input_ids"].masked_fill(inputs["attention_mask"] == 0, -100)
    prompter.model(**inputs, labels=labels).loss.backward()
    prompter.model.eval()
    seeing = {name for name, _ in prompter.model.named_parameters() if name.startswith(VISION)}
    moved = {name for name, p in prompter.model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    spared = {name for name, _ in prompter.model.named_parameters()} - moved
    # CLIP's last layer and class head lie behind the layer that LLaVA reads; biases of keys move no softmax.
    assert all(".k_proj.bias" in name or "vision_tower" in name or "qkv.bias" in name for name in spared), spared
    assert len(seeing & moved) > 10 and len(moved - seeing) > 10
    prompter.model.zero_grad()


def test_native_coordinates_are_asked_for_and_converted_back(family):
    model_type, folder = family
    asked = load_prompter(str(folder), asking=Asking(coordinates="native"))
    native = FAMILIES[model_type].native
    text = asked.render(QUESTION, COMBINATION)
    assert native.value in text
    if native is Coordinates.THOUSANDTHS:
        assert asked.answers == Frame.square(1000) and "in pixels" not in text
        text = answer_text("there", '[{"bbox_2d": [0, 250, 500, 1000], "positive_points": [[100, 500], [250, 750]]}]')
        parsed = parse(text, COMBINATION, asked.answers)
        assert isinstance(parsed, Answer)
        side = SIDES[model_type]
        # 500 thousandths are half the square.
        assert parsed.objects[0].moved(asked.answers, asked.frame).bbox == (0, side / 4, side / 2, side)
    else:
        assert asked.answers == asked.frame


@given(
    x=st.lists(st.floats(0, 1000, width=32), min_size=2, max_size=2),
    y=st.lists(st.floats(0, 1000, width=32), min_size=2, max_size=2),
    side=st.sampled_from([672, 840, 896]),
)
@settings(max_examples=200, deadline=None)
def test_coordinates_survive_the_way_to_pixels_and_back(x, y, side):
    square = Frame.square(side)
    for unit in Coordinates:
        written = PromptObject((*(v / 2 for v in (x[0], y[0])), x[1], y[1]), ((x[0], y[1]),), ((x[1], y[0]),))
        there = written.moved(unit.frame(square), square)
        back = there.moved(square, unit.frame(square))
        assert back.bbox == pytest.approx(written.bbox, rel=1e-12)
        assert back.positive_points[0] == pytest.approx(written.positive_points[0], rel=1e-12)
        assert back.negative_points[0] == pytest.approx(written.negative_points[0], rel=1e-12)


def test_weights_that_are_not_there_are_not_made_up(family, tmp_path):
    folder = copied(family[1], tmp_path)
    weights = load_file(folder / "model.safetensors")
    lost = next(name for name in weights if "mlp" in name)
    del weights[lost]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="lacks 1 weights"):
        load_prompter(str(folder))


def test_code_beside_the_weights_is_never_run(family, tmp_path):
    folder = copied(family[1], tmp_path)
    trace = tmp_path / "ran"
    (folder / "modeling_evil.py").write_text(f"open({str(trace)!r}, 'w')\nclass Evil: ...\n")
    for name in ("config.json", "processor_config.json"):
        if (folder / name).is_file():
            config = json.loads((folder / name).read_text())
            config["auto_map"] = {key: "modeling_evil.Evil" for key in ("AutoConfig", "AutoModel", "AutoProcessor")}
            (folder / name).write_text(json.dumps(config))
    assert load_prompter(str(folder)).family is FAMILIES[family[0]]
    assert not trace.exists()


def test_pickled_weights_are_refused(family, tmp_path):
    folder = copied(family[1], tmp_path)
    weights = load_file(folder / "model.safetensors")
    torch.save(weights, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="safetensors"):
        load_prompter(str(folder))


def copied(folder: Path, target: Path) -> Path:
    copy = target / "copy"
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    return copy


def test_a_released_name_is_found_in_the_hub_cache_at_its_pinned_commit(family, tmp_path, monkeypatch):
    model_type, folder = family
    if not FAMILIES[model_type].models:
        # No commit of its checkpoints is known here: it is named with its commit.
        model = published_model("Owner/Model@" + "5" * 40)
    else:
        model = FAMILIES[model_type].models[0]
    assert model is not None
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=f"hf download {model.hub_id} --revision {model.revision}"):
        folder_of(model.name)
    place = tmp_path / f"models--{model.hub_id.replace('/', '--')}" / "snapshots" / model.revision
    place.parent.mkdir(parents=True)
    place.symlink_to(folder, target_is_directory=True)
    assert folder_of(model.name) == place
    assert not FAMILIES[model_type].models or folder_of(model.hub_id) == place
    assert load_prompter(model.name).name == model.name


def test_every_release_is_pinned_and_any_other_must_be():
    assert all(len(model.revision) == 40 for model in published_models().values())
    assert all(published_model(name).revision == "main" for name in TRAINED_ELSEWHERE)
    pinned = published_model("someone/else@" + "0" * 40)
    assert pinned is not None and pinned.hub_id == "someone/else"
    assert published_model("someone/else") is None and published_model("someone/else@main") is None
    with pytest.raises(InputError, match="There is no prompter 'someone/else'"):
        folder_of("someone/else")


def test_another_architecture_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "internvl_chat"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"internvl_chat.*ends in -hf"):
        load_prompter(str(tmp_path))


@pytest.mark.parametrize("name", ["bbox", "bbox+pos2+neg2", "seg-zero", "remote-reasoner"])
def test_a_constrained_answer_of_a_model_that_knows_nothing_still_parses(prompter, images, name, monkeypatch):
    from t2s_pipeline.prompting import grammar

    monkeypatch.setattr(grammar, "MAX_THOUGHT", 20)
    sampling = GenerationSettings(max_new_tokens=400, temperature=1.0, seed=5, constrained=True)
    for completion in prompter.answer(images, QUESTIONS, PROMPT_COMBINATIONS[name], sampling):
        parsed = parse(completion.text, PROMPT_COMBINATIONS[name], prompter.answers, repair=False)
        if completion.finish_reason == "stop":
            assert isinstance(parsed, Answer) or parsed.reason == "box_order", (completion.text, parsed)
        else:
            assert completion.text.startswith("<think>")


def test_questions_that_share_an_image_get_the_answers_that_each_gets_alone(prompter, images):
    """Answers end at different lengths and leave the batch then; five questions about two images, out of order."""
    shown = [images[index] for index in (0, 1, 0, 1, 0)]
    questions = [*QUESTIONS, "Roofs", "a b c d e f", QUESTION]
    settings_ = GenerationSettings(max_new_tokens=12)
    alone = [
        prompter.generated([image], [text], COMBINATION, settings_)[0]
        for image, text in zip(shown, questions, strict=True)
    ]
    if not can_be_extended(prompter.model):
        # Qwen3.5: answers are not shared, and are the same.
        texts = [answer.text for answer in prompter.answer(shown, questions, COMBINATION, settings_)]
        assert texts == [prompter.completion(row, 0.0).text for row in alone]
        return
    # The third token of the first answer ends an answer, so that some are shorter than others.
    ends = [alone[0][2]]
    expected = [row[: row.index(ends[0]) + 1] if ends[0] in row else row for row in alone]
    reader = ImageReader(prompter, prompter.model, COMBINATION)
    read = reader.read(shown, questions)
    assert read is not None and reader.images == 2
    assert answer_tokens(prompter.model, read, 12, ends) == expected


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampled_answers_are_those_of_transformers_generation(prompter, images, temperature):
    """The random numbers stay in place when answers leave the batch: twelve questions about two images."""
    shown = [images[index % 2] for index in range(12)]
    questions = [[*QUESTIONS, "Roofs"][index % 3] for index in range(12)]
    lengths = set()
    for seed in range(3):
        sampling = GenerationSettings(max_new_tokens=40, temperature=temperature, seed=seed)
        completions = prompter.answer(shown, questions, COMBINATION, sampling)
        rows = prompter.generated(shown, questions, COMBINATION, sampling)
        expected = [prompter.completion(row, 0.0) for row in rows]
        assert [(c.text, c.tokens, c.finish_reason) for c in completions] == [
            (c.text, c.tokens, c.finish_reason) for c in expected
        ]
        lengths |= {completion.tokens for completion in completions}
    assert len(lengths) > 1, "some answers must leave the batch for this to say anything"


def test_a_question_before_the_image_begins_a_prompt_of_its_own(family, images):
    template = "Look for {Question} here. {Image} Answer."
    prompter = load_prompter(str(family[1]), asking=Asking(template=Template(template)))
    settings_ = GenerationSettings(max_new_tokens=6)
    alone = [prompter.generated([images[0]], [text], COMBINATION, settings_)[0] for text in QUESTIONS]
    texts = [answer.text for answer in prompter.answer([images[0]] * 2, QUESTIONS, COMBINATION, settings_)]
    # (LLaVA's chat template puts every image first.)
    assert texts == [prompter.completion(row, 0.0).text for row in alone]
