"""One sequence per prompt: the prompt, then all of its completions, none of which sees another one.

``shared_prompts`` keeps the keys and values of a prompt for its completions. Gradient checkpointing cannot keep any,
and the wrappers of several ranks and of DeepSpeed must see one call of the whole model. Here a single call does it:
an attention mask says which tokens a token sees, and positions go on after the prompt for each completion anew. The
numbers are those of running each sequence separately.

Each completion begins with a copy of the prompt's last token, whose output predicts the completion's first token.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from t2s_pipeline.prompters.prefixes import PromptBatch

UNLABELLED = -100
"""The label of tokens whose probability is not asked for."""


@dataclass(frozen=True)
class PackedBatch:
    """R sequences of L tokens with the N completions of R prompts.

    Attributes:
        inputs: of the model.
        labels: (R, L), the completions' tokens in their places.
        owner: (N,), the sequence of each completion.
        columns: (N, T), where the tokens of each completion are.
    """

    inputs: dict[str, Tensor]
    labels: Tensor
    owner: Tensor
    columns: Tensor

    def of_completions(self, values: Tensor) -> Tensor:
        """Values per predicted token (R, L - 1), the first one for the second token, as (N, T)."""
        return values[self.owner[:, None], self.columns - 1]


def packed(backbone: Any, prompts: PromptBatch, owner: Tensor, ids: Tensor, mask: Tensor) -> PackedBatch:
    """Pack completions behind their prompts.

    Args:
        backbone: the model without its head, of a family whose tokens have three positions each (Qwen-VL).
        prompts: R distinct prompts, left-padded.
        owner: (N,), the index of each completion's prompt.
        ids: the completions' tokens (N, T), right-padded.
        mask: (N, T), 1 for a token and 0 for padding.
    """
    count, begin = prompts.ids.shape[0], prompts.ids.shape[1] - 1
    size = ids.shape[1] + 1
    slot = _slots(owner, count)
    most = int(slot.max()) + 1
    rows, columns = owner[:, None], begin + slot[:, None] * size + torch.arange(size, device=ids.device)
    length = begin + most * size

    # Unused places get a token that stands for no image.
    tokens = prompts.ids[:, -1:].repeat(1, length)
    tokens[:, :begin] = prompts.ids[:, :begin]
    tokens[rows, columns] = torch.cat([prompts.ids[owner, -1:], ids], dim=1)

    is_token = torch.zeros_like(tokens, dtype=torch.bool)
    is_token[:, :begin] = prompts.mask[:, :begin].bool()
    is_token[rows, columns] = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1).bool()

    labels = torch.full_like(tokens, UNLABELLED)
    labels[rows, columns[:, 1:]] = ids.masked_fill(mask == 0, UNLABELLED)

    of_prompts, shift = backbone.get_rope_index(
        prompts.ids,
        prompts.images["mm_token_type_ids"],
        image_grid_thw=prompts.images["image_grid_thw"],
        attention_mask=prompts.mask,
    )
    positions = of_prompts.new_zeros((3, count, length))
    positions[:, :, :begin] = of_prompts[:, :, :begin]
    last = prompts.mask.sum(1) + shift[:, 0] - 1
    positions[:, rows, columns] = last[rows] + torch.arange(size, device=ids.device)

    pictures = {name: value for name, value in prompts.images.items() if name != "mm_token_type_ids"}
    seen = _seen(begin, most, size, is_token)
    inputs = {"input_ids": tokens, "attention_mask": seen, "position_ids": positions, **pictures}
    return PackedBatch(inputs, labels, owner, columns[:, 1:])


def _slots(owner: Tensor, count: int) -> Tensor:
    """For each completion (N,), how many before it have the same one of ``count`` prompts."""
    is_own = owner[:, None] == torch.arange(count, device=owner.device)
    return (is_own.cumsum(0) - 1).gather(1, owner[:, None])[:, 0]


def _seen(begin: int, most: int, size: int, is_token: Tensor) -> Tensor:
    """Which tokens each token sees, bool (R, 1, L, L): those before it of the prompt and of its own completion.

    Each place sees itself, also one without a token, because an attention over nothing has no value.
    """
    device = is_token.device
    part = torch.arange(most, device=device).repeat_interleave(size) + 1
    part = torch.cat([part.new_zeros(begin), part])
    place = torch.arange(len(part), device=device)
    is_before = place[:, None] >= place
    is_related = (part[:, None] == part) | (part == 0)
    seen = (is_before & is_related) & is_token[:, None, :]
    return (seen | (place[:, None] == place))[:, None]
