"""Completions without their padding have the probabilities and the gradients of the padded batch, to the last bit."""

import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from t2s_pipeline.miniature.prompter import (  # noqa: E402
    PrompterShape,
    build_model,
    build_processor,
    train_tokenizer,
)
from t2s_pipeline.prompters.prefixes import PromptBatch  # noqa: E402
from t2s_pipeline.training import shared_prompts  # noqa: E402
from t2s_pipeline.training.unpadded import STEP, tokens_of  # noqa: E402

PROMPTS, COMPLETIONS = 3, 36
QUESTIONS = ["Where are the roofs?", "Where would a ship be moored in a storm?", "Roofs"]


@pytest.fixture(scope="module")
def model_and_prompts():
    shape = PrompterShape(side=84)
    tokenizer = train_tokenizer(QUESTIONS, shape)
    processor = build_processor(tokenizer, shape)
    texts = [f"<|vision_start|><|image_pad|><|vision_end|>{question}" for question in QUESTIONS]
    squares = [Image.new("RGB", (84, 84), colour) for colour in ("green", "gray", "blue")]
    fields = dict(processor(text=texts, images=squares, padding=True, return_tensors="pt"))
    prompts = PromptBatch(fields.pop("input_ids"), fields.pop("attention_mask"), fields)
    assert not prompts.mask.all()
    return build_model(tokenizer, shape, seed=2).eval(), prompts


def completions(longest: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Completions of 1 to ``longest`` tokens, most of them half as long as the longest."""
    random = torch.Generator().manual_seed(seed)
    lengths = torch.randint(longest // 3, longest // 2, (COMPLETIONS,), generator=random)
    lengths[5], lengths[11], lengths[20] = longest, 1, longest - 2
    ids = torch.randint(10, 300, (COMPLETIONS, longest), generator=random)
    return ids, (torch.arange(longest) < lengths[:, None]).long()


@pytest.mark.parametrize(("longest", "seed"), [(40, 0), (97, 1), (130, 2)])
def test_probabilities_entropies_and_gradients_are_those_of_the_padded_batch(
    model_and_prompts, monkeypatch, longest, seed
):
    model, prompts = model_and_prompts
    ids, mask = completions(longest, seed)
    weights = torch.randn(mask.shape, generator=torch.Generator().manual_seed(seed)) * mask

    def results() -> dict[str, torch.Tensor]:
        model.zero_grad()
        owner = torch.arange(COMPLETIONS) % PROMPTS
        log_p, entropy = shared_prompts.log_probabilities(model, prompts, owner, ids, mask, 0.9, learn_entropy=True)
        ((log_p - 0.1 * entropy) * weights).sum().backward()
        gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
        return {"log_p": log_p.detach(), "entropy": (entropy * mask).detach(), **gradients}

    ours = results()
    monkeypatch.setattr(shared_prompts, "plain_text_model", lambda _: None)
    padded = results()
    assert ours["log_p"].abs().min(1).values.max() > 0 and len(ours) > 100
    assert [name for name in padded if not torch.equal(ours[name], padded[name])] == []


def test_blocks_hold_each_token_once_and_little_padding():
    _, mask = completions(97, 1)
    tokens = tokens_of(mask, torch.ones(COMPLETIONS, 9))
    again = torch.zeros_like(mask)
    again[tokens.row, tokens.column] += 1
    assert torch.equal(again, mask) and len(tokens.row) == mask.sum()
    counts = [block.count for block in tokens.blocks]
    rows = tokens.completions.split(counts)
    queries = tokens.queries.split([block.count * block.length for block in tokens.blocks])
    keys = tokens.keys.split([97 * count for count in counts])
    in_order = []
    for block, of_block, query, key in zip(tokens.blocks, rows, queries, keys, strict=True):
        lengths = mask[of_block].sum(1)
        assert lengths.max() <= block.length < lengths.min() + STEP
        assert torch.equal(tokens.row[query[block.places]].unique(), of_block)
        assert torch.equal(key.view(-1, 97)[:, : block.length].flatten(), query)
        in_order.append(query[block.places])
    assert torch.equal(torch.cat(in_order)[tokens.turns], torch.arange(len(tokens.row)))


def test_completions_of_one_token_have_no_layers_to_run(model_and_prompts):
    model, prompts = model_and_prompts
    ids, mask = completions(40, 0)
    owner = torch.arange(COMPLETIONS) % PROMPTS
    log_p, _ = shared_prompts.log_probabilities(model, prompts, owner, ids, mask, 1.0)
    alone, _ = shared_prompts.log_probabilities(model, prompts, owner, ids, mask * (torch.arange(40) == 0), 1.0)
    assert torch.allclose(log_p[:, 0], alone[:, 0], atol=1e-6) and not alone[:, 1:].any()
