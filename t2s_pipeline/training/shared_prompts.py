"""A group's completions share one prompt, so the prompt goes through the model once and not G times.  [torch]

The prompt (nine tenths of it image) is most of a sequence: 16 completions of 50 tokens after a prompt of 150 are
3,200 tokens, of which 2,250 are copies. Here the prompt's keys and values are computed once, handed to all of its
completions, and the gradient flows back into them from all. The numbers are those of the plain way.

For Qwen2.5-VL, whose positions continue after an image from where the model says (``rope_deltas``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel


@dataclass(frozen=True)
class PromptBatch:
    """Distinct prompts, left-padded: ids and mask (R, P), and what else the model takes for their images."""

    ids: Tensor
    mask: Tensor
    images: dict[str, Tensor]


@dataclass
class Prefix:
    """What a batch of sequences has behind it: keys and values, its mask (N, P), the next position (N,)."""

    cache: DynamicCache
    mask: Tensor
    position: Tensor
    last_hidden: Tensor
    """(N, H): of the prompt's last token, which predicts the completion's first."""

    def take(self, rows: Tensor) -> "Prefix":
        """The sequences ``rows``, with repetitions; differentiable."""
        cache = DynamicCache()
        for index, layer in enumerate(self.cache.layers):
            # index_select adds gradients up in a fixed order; indexing with a tensor does not, on several threads.
            cache.update(layer.keys.index_select(0, rows), layer.values.index_select(0, rows), index)
        return Prefix(cache, self.mask[rows], self.position[rows], self.last_hidden.index_select(0, rows))


def distinct(groups: Tensor) -> tuple[Tensor, Tensor]:
    """The first row of each group, and for every row the place of its group among them."""
    _, owner = torch.unique(groups, return_inverse=True)
    count = int(owner.max()) + 1
    rows = torch.arange(len(groups), device=groups.device)
    first = torch.full((count,), len(groups), device=groups.device).scatter_reduce(0, owner, rows, "amin")
    return first, owner


def read_prompts(model: PreTrainedModel, prompts: PromptBatch) -> Prefix:
    """Run the prompts through the model."""
    backbone = model.base_model
    cache = DynamicCache()
    out = backbone(
        input_ids=prompts.ids, attention_mask=prompts.mask, past_key_values=cache, use_cache=True, **prompts.images
    )
    position = prompts.mask.sum(1)
    if backbone.rope_deltas is not None and prompts.images:
        position = position + backbone.rope_deltas[:, 0]
    return Prefix(cache, prompts.mask, position, out.last_hidden_state[:, -1])


def go_on(model: PreTrainedModel, prefix: Prefix, ids: Tensor, mask: Tensor) -> Tensor:
    """Hidden states (N, T, H) of ``ids`` (N, T) after the prefix; ``mask`` (N, T). The prefix grows by them."""
    language = model.base_model.language_model
    steps = torch.arange(ids.shape[1], device=ids.device)
    positions = (prefix.position[:, None] + steps).expand(3, -1, -1)
    prefix.mask = torch.cat([prefix.mask, mask], dim=1)
    prefix.position = prefix.position + ids.shape[1]
    return language(
        input_ids=ids,
        attention_mask=prefix.mask,
        position_ids=positions,
        past_key_values=prefix.cache,
        use_cache=True,
    ).last_hidden_state


def log_probabilities(
    model: PreTrainedModel,
    prompts: PromptBatch,
    owner: Tensor,
    ids: Tensor,
    mask: Tensor,
    temperature: float,
    learn_entropy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log π of every completion token, and the entropy of every prediction, both (N, T).

    Args:
        owner: (N,), which prompt a completion belongs to.
        ids: the completions' tokens (N, T), right-padded.
        mask: (N, T), 1 for a token and 0 for padding.
        learn_entropy: whether the gradient flows through the entropy, too.
    """
    prefix = read_prompts(model, prompts).take(owner)
    first = prefix.last_hidden[:, None]
    hidden = first
    if ids.shape[1] > 1:
        hidden = torch.cat([first, go_on(model, prefix, ids[:, :-1], mask[:, :-1])], dim=1)
    log_p = (model.get_output_embeddings()(hidden).float() / temperature).log_softmax(-1)
    chosen = log_p.gather(2, ids[..., None])[..., 0]
    with torch.set_grad_enabled(learn_entropy and torch.is_grad_enabled()):
        entropy = -(log_p.exp() * log_p).sum(-1)
    return chosen.masked_fill(mask == 0, 0), entropy


@torch.no_grad()
def sample_completions(
    model: PreTrainedModel,
    prompts: PromptBatch,
    owner: Tensor,
    limit: int,
    temperature: float,
    ends: Sequence[int],
    never: Sequence[int] = (),
) -> list[list[int]]:
    """Sample a completion for every entry of ``owner`` (N,), each up to and including its end token.

    Args:
        limit: tokens of a completion.
        ends: tokens that end one.
        never: tokens that are not to be drawn.
    """
    prefix = read_prompts(model, prompts).take(owner)
    head = model.get_output_embeddings()
    stops = torch.tensor(list(ends), device=owner.device)
    drawn: list[list[int]] = [[] for _ in owner]
    active = torch.arange(len(owner), device=owner.device)
    hidden = prefix.last_hidden
    for step in range(limit):
        logits = head(hidden).float() / temperature
        logits[:, list(never)] = -torch.inf
        tokens = torch.multinomial(logits.softmax(-1), 1)
        for row, token in zip(active.tolist(), tokens[:, 0].tolist(), strict=True):
            drawn[row].append(token)
        going = ~torch.isin(tokens[:, 0], stops)
        if step + 1 == limit or not going.any():
            break
        # Finished sequences leave the batch, so that a long one does not drag the others along.
        if not going.all():
            prefix, tokens, active = prefix.take(going.nonzero()[:, 0]), tokens[going], active[going]
        hidden = go_on(model, prefix, tokens, torch.ones_like(tokens))[:, -1]
    return drawn
