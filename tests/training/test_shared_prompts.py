"""Running a prompt once for its whole group changes no number: probabilities, gradients and samples stay."""

import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.prompters.prefixes import PromptBatch  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.training.once_per_prompt import OncePerPrompt  # noqa: E402
from t2s_pipeline.training.packed_prompts import packed  # noqa: E402
from t2s_pipeline.training.shared_prompts import distinct, log_probabilities, sample_completions  # noqa: E402
from tests.small_models import save_prompter  # noqa: E402

OWNER = torch.tensor([0, 1, 0, 0, 1])


@pytest.fixture(scope="module")
def prompter(tmp_path_factory):
    return load_prompter(str(save_prompter(tmp_path_factory.mktemp("prompter"))))


def prompts(prompter) -> dict:
    """Two prompts of different length, so that one is padded."""
    questions = ["Where are the roofs?", "Where would a ship be moored in a storm, and what else floats?"]
    texts = [
        prompter.processor.apply_chat_template(
            prompter.messages(question, PROMPT_COMBINATIONS["bbox"]), tokenize=False, add_generation_prompt=True
        )
        for question in questions
    ]
    squares = [Image.new("RGB", (56, 56), colour) for colour in ("green", "gray")]
    return dict(prompter.processor(text=texts, images=squares, padding=True, return_tensors="pt"))


def batch(inputs: dict) -> PromptBatch:
    images = {name: value for name, value in inputs.items() if name not in ("input_ids", "attention_mask")}
    return PromptBatch(inputs["input_ids"], inputs["attention_mask"], images)


def completions() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    lengths = torch.tensor([6, 3, 1, 5, 2])
    return torch.randint(10, 300, (5, 6), generator=random), (torch.arange(6) < lengths[:, None]).long()


def plainly(prompter, inputs: dict, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same probabilities with prompt and completion in one sequence each, at temperature 0.7."""
    patches = inputs["pixel_values"].view(2, -1, inputs["pixel_values"].shape[1])
    logits = prompter.model(
        input_ids=torch.cat([inputs["input_ids"][OWNER], ids], 1),
        attention_mask=torch.cat([inputs["attention_mask"][OWNER], mask], 1),
        mm_token_type_ids=torch.cat([inputs["mm_token_type_ids"][OWNER], torch.zeros_like(ids)], 1),
        pixel_values=patches[OWNER].flatten(0, 1),
        image_grid_thw=inputs["image_grid_thw"][OWNER],
    ).logits
    log_p = (logits[:, -7:-1] / 0.7).log_softmax(-1)
    return log_p.gather(2, ids[..., None])[..., 0].masked_fill(mask == 0, 0)


def packed_log_probabilities(prompter, inputs: dict, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The same probabilities with all completions of a prompt in one sequence."""
    whole = packed(prompter.model.base_model, batch(inputs), OWNER, ids, mask)
    logits = prompter.model(**whole.inputs).logits[:, :-1] / 0.7
    labels = whole.labels[:, 1:]
    log_p = logits.log_softmax(-1).gather(2, labels.clamp(min=0)[..., None])[..., 0]
    return whole.of_completions(log_p.masked_fill(labels < 0, 0))


@pytest.fixture(params=["keys and values", "packed", "packed, with gradient checkpointing"])
def shared_way(request, prompter):
    """How the probabilities of ``plainly`` are computed with each prompt once."""
    if request.param == "keys and values":
        yield lambda inputs, ids, mask: log_probabilities(prompter.model, batch(inputs), OWNER, ids, mask, 0.7)[0]
        return
    if "checkpointing" in request.param:
        prompter.model.gradient_checkpointing_enable()
        prompter.model.train()
    yield lambda inputs, ids, mask: packed_log_probabilities(prompter, inputs, ids, mask)
    prompter.model.gradient_checkpointing_disable()
    prompter.model.eval()


def test_probabilities_and_gradients_are_those_of_separate_sequences(prompter, shared_way):
    inputs, (ids, mask) = prompts(prompter), completions()
    assert inputs["attention_mask"].min() == 0, "one prompt must be padded for this to say anything"
    weights = torch.linspace(-1, 1, 30).view(5, 6)
    gradients = []
    values = []
    for way in (
        lambda: plainly(prompter, inputs, ids, mask),
        lambda: shared_way(inputs, ids, mask),
    ):
        prompter.model.zero_grad()
        found = way()
        (found * weights).sum().backward()
        values.append(found.detach())
        gradients.append({name: p.grad.clone() for name, p in prompter.model.named_parameters()})
    assert torch.allclose(values[0], values[1], atol=1e-5)
    assert any("visual" in name for name in gradients[0])
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-4, rtol=1e-3), name


def test_a_packed_sequence_holds_each_completion_where_it_says(prompter):
    inputs, (ids, mask) = prompts(prompter), completions()
    whole = packed(prompter.model.base_model, batch(inputs), OWNER, ids, mask)
    # Two prompts, of which one has three completions of six tokens, each after a copy of the prompt's last token.
    length = inputs["input_ids"].shape[1] - 1 + 3 * 7
    assert whole.labels.shape == whole.inputs["input_ids"].shape == (2, length)
    of_places = torch.arange(1, length).expand(2, -1)
    assert torch.equal(whole.of_completions(of_places), whole.columns)
    assert torch.equal(whole.labels[OWNER[:, None], whole.columns], ids.masked_fill(mask == 0, -100))
    assert (whole.labels != -100).sum() == mask.sum()
    # No completion sees another one, and none sees a padded place but itself.
    seen = whole.inputs["attention_mask"][:, 0]
    first, second = whole.columns[0], whole.columns[2]
    assert not seen[0, second[:, None], first].any()
    assert seen[0, first[:, None], first].tolist() == torch.ones(6, 6).tril().bool().tolist()
    assert not seen[OWNER[3], whole.columns[3][3:5], whole.columns[3][5]].any()


def test_one_token_completions_need_no_second_pass(prompter):
    inputs, (ids, mask) = prompts(prompter), completions()
    longer, entropy = log_probabilities(prompter.model, batch(inputs), OWNER, ids, mask, 1.0)
    short, _ = log_probabilities(prompter.model, batch(inputs), OWNER, ids[:, :1], mask[:, :1], 1.0)
    assert torch.allclose(longer[:, :1], short, atol=1e-5)
    assert torch.equal(entropy > 0, mask == 1) and entropy.shape == (5, 6)


def test_completions_end_at_their_end_token_and_have_no_forbidden_token(prompter):
    inputs = prompts(prompter)
    # Every third token ends a completion, so that sequences leave the batch all the time.
    ends = list(range(0, 400, 3))
    torch.manual_seed(0)
    owner = torch.arange(40) % 2
    completions = sample_completions(prompter.model, batch(inputs), owner, 12, 1.0, ends, never=[5, 7])
    assert len(completions) == 40 and {len(tokens) for tokens in completions} >= {1, 2, 3}
    for tokens in completions:
        assert 1 <= len(tokens) <= 12
        assert all(token not in ends for token in tokens[:-1])
        assert tokens[-1] in ends or len(tokens) == 12
        assert not {5, 7} & set(tokens)


def test_sampling_near_temperature_zero_is_greedy_decoding(prompter):
    inputs = prompts(prompter)
    completions = sample_completions(prompter.model, batch(inputs), torch.tensor([0, 1, 0]), 8, 1e-4, ends=[])
    greedy = prompter.model.generate(**inputs, max_new_tokens=8, do_sample=False, eos_token_id=None)[:, -8:].tolist()
    assert completions == [greedy[0], greedy[1], greedy[0]]


def test_samples_follow_the_models_distribution(prompter):
    inputs = prompts(prompter)
    torch.manual_seed(1)
    completions = sample_completions(
        prompter.model, batch(inputs), torch.zeros(4000, dtype=torch.long), 1, 1.0, ends=[]
    )
    counts = torch.bincount(torch.tensor(completions)[:, 0], minlength=prompter.model.config.text_config.vocab_size)
    with torch.no_grad():
        expected = prompter.model(**inputs).logits[0, -1].softmax(-1) * 4000
    # Chi-square with about 400 degrees of freedom: mean 400, standard deviation 28.
    assert ((counts - expected) ** 2 / expected).sum() < 400 + 6 * 28


def test_the_processor_gives_what_it_would_give_for_every_completion(prompter):
    groups = torch.tensor([4, 9, 4, 4, 9])
    squares = [Image.new("RGB", (56, 56), colour) for colour in ("green", "gray")]
    chats = []
    for question, square in zip(
        ("Where are the roofs?", "Where does water stand and what floats on it?"), squares, strict=True
    ):
        (message,) = prompter.messages(question, PROMPT_COMBINATIONS["bbox"])
        chats.append([{**message, "content": [{"type": "image", "image": square}, message["content"][1]]}])
    once = OncePerPrompt(prompter.processor, groups)
    options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
    same(
        once.apply_chat_template([chats[i] for i in OWNER], **options),
        prompter.processor.apply_chat_template([chats[i] for i in OWNER], **options),
    )
    texts = [once.apply_chat_template(chats[i], tokenize=False, add_generation_prompt=True) for i in OWNER]
    images = [[squares[i]] for i in OWNER]
    options = {"images": images, "text": texts, "padding": True, "return_tensors": "pt"}
    same(once(**options), prompter.processor(**options))
    assert once.tokenizer is prompter.processor.tokenizer


def same(one: dict, other: dict) -> None:
    assert set(one) == set(other)
    for name, value in other.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(one[name], value), name
        else:
            assert [list(row) for row in one[name]] == [list(row) for row in value], name


def test_groups_need_not_be_in_order():
    first, owner = distinct(torch.tensor([7, 3, 7, 9, 3]))
    assert first.tolist() == [1, 0, 3]
    assert owner.tolist() == [1, 0, 1, 2, 0]


def test_the_entropy_has_a_gradient_only_if_asked_for(prompter):
    ids, mask = completions()
    for learn in (True, False):
        _, entropy = log_probabilities(prompter.model, batch(prompts(prompter)), OWNER, ids, mask, 0.7, learn)
        assert entropy.requires_grad == learn
