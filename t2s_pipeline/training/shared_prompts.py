"""Run each prompt through the model once per group, not once per completion.

The prompt is most of a sequence, and nine tenths of it are image tokens: 16 completions of 50 tokens after a prompt
of 150 are 3,200 tokens, of which 2,250 are copies. Here the keys and values of the prompt are computed once and used
for all of its completions; the gradients of all completions flow back into them. The numbers are those of running
each sequence separately.

This works for Qwen2.5-VL, where the model says at which position the text continues after an image (``rope_deltas``).
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from t2s_pipeline.prompters.decoding import decoding, logits_of
from t2s_pipeline.prompters.prefixes import PromptBatch, RoomyLayer, extend, head, read_prompts
from t2s_pipeline.prompters.text_layers import plain_text_model
from t2s_pipeline.training.unpadded import predictions, product


def distinct(groups: Tensor) -> tuple[Tensor, Tensor]:
    """The first row of each group, and for each row the index of its group.

    Args:
        groups: (N,), equal numbers for the rows of one group.

    Returns:
        (R,), the first row of each group, groups in ascending order; and (N,), for each row the index of its group.
    """
    _, owner = torch.unique(groups, return_inverse=True)
    count = int(owner.max()) + 1
    rows = torch.arange(len(groups), device=groups.device)
    first = torch.full((count,), len(groups), device=groups.device).scatter_reduce(0, owner, rows, "amin")
    return first, owner


def log_probabilities(
    model: PreTrainedModel,
    prompts: PromptBatch,
    owner: Tensor,
    ids: Tensor,
    mask: Tensor,
    temperature: float,
    learn_entropy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Log π of every completion token, and the entropy of its prediction, both (N, T) and 0 for padding.

    On a CPU, the tokens are computed without their padding.

    Args:
        model: Qwen2.5-VL.
        prompts: R distinct prompts.
        owner: (N,), the index of each completion's prompt.
        ids: the completions' tokens (N, T), right-padded.
        mask: (N, T), 1 for a token and 0 for padding.
        temperature: of sampling; the logits are divided by it.
        learn_entropy: True to let the gradient also flow through the entropy.
    """
    prefix = read_prompts(model, prompts).take(owner)
    text = plain_text_model(model)
    if text is not None and mask[:, 1:].any():
        hidden, places = predictions(text, prefix, ids, mask)
        logits = product(hidden, cast(nn.Linear, head(model)), places)
        numbers = places.rows
    else:
        numbers = torch.arange(ids.numel(), device=ids.device)
        hidden = prefix.last_hidden[:, None]
        if ids.shape[1] > 1:
            hidden = torch.cat([hidden, extend(model, prefix, ids[:, :-1], mask[:, :-1])], dim=1)
        logits = head(model)(hidden).flatten(0, 1)
    log_p = (logits.float() / temperature).log_softmax(-1)
    of_tokens = log_p.gather(1, ids.flatten()[numbers, None])[:, 0]
    with torch.set_grad_enabled(learn_entropy and torch.is_grad_enabled()):
        entropy = -(log_p.exp() * log_p).sum(-1)
    padding = mask == 0
    of_tokens, entropy = (_in_places(values, numbers, ids).masked_fill(padding, 0) for values in (of_tokens, entropy))
    return of_tokens, entropy


def _in_places(values: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Values (K,) in their places of a batch (N, T), with zeros between them."""
    return values.new_zeros(like.numel()).index_copy(0, places, values).view_as(like)


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
    """Sample one completion per entry of ``owner``, up to and including its end token.

    Args:
        model: Qwen2.5-VL.
        prompts: R distinct prompts.
        owner: (N,), the index of each completion's prompt.
        limit: the most tokens of a completion.
        temperature: the logits are divided by it.
        ends: the tokens that end a completion.
        never: tokens that must not be sampled.
    """
    prefix = read_prompts(model, prompts).take(owner, RoomyLayer)
    to_logits, batch = logits_of(model), decoding(model, prefix)
    stops = torch.tensor(list(ends), device=owner.device)
    completions: list[list[int]] = [[] for _ in owner]
    active = torch.arange(len(owner), device=owner.device)
    hidden = prefix.last_hidden
    for step in range(limit):
        # The random numbers go to the completions in their order, wherever the batch keeps them.
        order = active.argsort()
        logits = to_logits(hidden[order]).float() / temperature
        logits[:, list(never)] = -torch.inf
        tokens = torch.empty_like(active)
        tokens[order] = torch.multinomial(logits.softmax(-1), 1)[:, 0]
        for row, token in zip(active.tolist(), tokens.tolist(), strict=True):
            completions[row].append(token)
        unfinished = ~torch.isin(tokens, stops)
        if step + 1 == limit or not unfinished.any():
            break
        # Finished sequences leave the batch, so that a long one does not cost time for all.
        if not unfinished.all():
            left = batch.keep(unfinished)
            tokens, active = tokens[left], active[left]
        hidden = batch.step(tokens)
    return completions
