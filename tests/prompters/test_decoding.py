"""A token by the layers called directly has the hidden states of transformers' model, to the last bit."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("one_thread")]

import transformers  # noqa: E402

from t2s_pipeline.miniature.prompter import PrompterShape, build_model, train_tokenizer  # noqa: E402
from t2s_pipeline.prompters.decoding import LayerDecoding, ModelDecoding, decoding  # noqa: E402
from t2s_pipeline.prompters.prefixes import PromptBatch, RoomyLayer, read_prompts  # noqa: E402
from t2s_pipeline.prompters.text_layers import text_layers  # noqa: E402
from t2s_pipeline.training import shared_prompts  # noqa: E402
from tests.prompters import tiny  # noqa: E402

SEQUENCES, LENGTH = 24, 30


@pytest.fixture(scope="module")
def model():
    return build_model(train_tokenizer(["Where are the roofs?"], PrompterShape()), PrompterShape(), seed=1).eval()


def prompts(model, shortest: int) -> PromptBatch:
    """Prompts without an image, of ``shortest`` to ``LENGTH`` tokens."""
    ids = torch.randint(10, 300, (SEQUENCES, LENGTH), generator=torch.Generator().manual_seed(0))
    lengths = torch.linspace(LENGTH, shortest, SEQUENCES).long()
    mask = (torch.arange(LENGTH) >= LENGTH - lengths[:, None]).long()
    # A model that has seen an image knows where text goes on.
    model.base_model.rope_deltas = torch.zeros(SEQUENCES, 1, dtype=torch.long)
    return PromptBatch(ids, mask, {})


@pytest.mark.parametrize(("shortest", "length"), [(8, 40), (LENGTH, 1), (8, 97), (LENGTH, 65), (8, 200)])
@torch.inference_mode()
def test_hidden_states_are_the_models_own_while_sequences_leave_and_buffers_grow(model, shortest, length):
    prefix = read_prompts(model, prompts(model, shortest))
    rows = torch.arange(SEQUENCES)
    plain = ModelDecoding(model, prefix.take(rows, RoomyLayer))
    ours = decoding(model, prefix.take(rows, RoomyLayer))
    assert isinstance(ours, LayerDecoding)
    order, random = rows, torch.Generator().manual_seed(1)
    # Questions after the image, which end at the same place.
    ids = torch.randint(10, 300, (SEQUENCES, length), generator=random)
    lengths = torch.randint(max(length - 7, 1), length + 1, (SEQUENCES,), generator=random)
    mask = (torch.arange(length) >= length - lengths[:, None]).long()
    assert torch.equal(ours.read(ids, mask), plain.read(ids, mask))
    for step in range(RoomyLayer.ROOM + 10):
        tokens = torch.randint(10, 300, (SEQUENCES,), generator=random)
        expected = plain.step(tokens[rows])
        assert torch.equal(ours.step(tokens[order]), expected[torch.searchsorted(rows, order)]), step
        # The first ones leave first: they are those without padding.
        if step % 5 == 4:
            leaving = torch.tensor([int(rows[0]), int(rows[-1])] if step % 2 else [int(rows[len(rows) // 2])])
            if len(rows) - len(leaving) < 4:
                continue
            order = order[ours.keep(~torch.isin(order, leaving))]
            rows = rows[plain.keep(~torch.isin(rows, leaving))]
            assert sorted(order.tolist()) == rows.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_sampled_tokens_are_those_of_transformers_layers(model, seed, monkeypatch):
    def sample():
        torch.manual_seed(seed)
        owner = torch.arange(64) % SEQUENCES
        return shared_prompts.sample_completions(model, prompts(model, 8), owner, 80, 1.0, range(0, 300, 12), [5])

    ours = sample()
    assert len({len(tokens) for tokens in ours}) > 10
    monkeypatch.setattr(shared_prompts, "decoding", ModelDecoding)
    assert sample() == ours


def test_other_models_are_run_by_transformers(model, monkeypatch):
    assert text_layers(model) is not None
    others = [transformers.Qwen3VLForConditionalGeneration(tiny.qwen3_vl()[0])]
    others += [transformers.Qwen2VLForConditionalGeneration(tiny.qwen2_vl()[0])]
    assert [text_layers(other) for other in others] == [None, None]
    assert text_layers(transformers.Qwen2_5_VLForConditionalGeneration(tiny.qwen2_5_vl()[0]).bfloat16()) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert text_layers(model) is None
    attention = model.base_model.language_model.layers[0].self_attn
    adapted = type("Adapted", (torch.nn.Linear,), {})(192, 192)
    monkeypatch.setattr(attention, "q_proj", adapted)
    assert text_layers(model) is None
