"""Prompts that several sequences begin with: their keys and values are computed once.

Used where one prompt has many completions (training), and where one image has many questions (answering).
"""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from t2s_pipeline.prompters.exact_products import ExactLinears


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]  # transformers does not annotate it
    """Keys and values of a layer in buffers with room for further tokens.

    transformers' own layer copies all keys and values for each new token. Gradients do not flow through this one.
    """

    ROOM = 64
    """Tokens."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append keys and values (N, heads, T, D), and return all so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers: tuple[Tensor, Tensor] = (key_states[..., :0, :], value_states[..., :0, :])
        before = self.get_seq_length()
        after = before + key_states.shape[-2]
        if after > self._buffers[0].shape[-2]:
            self._buffers = (
                _with_room(self._buffers[0][..., :before, :], key_states, after + self.ROOM),
                _with_room(self._buffers[1][..., :before, :], value_states, after + self.ROOM),
            )
        self.keys, self.values = (buffer[..., :after, :] for buffer in self._buffers)
        self.keys[..., before:, :] = key_states
        self.values[..., before:, :] = value_states
        return self.keys, self.values


def _with_room(present: Tensor, like: Tensor, length: int) -> Tensor:
    buffer = like.new_empty((*like.shape[:-2], length, like.shape[-1]))
    buffer[..., : present.shape[-2], :] = present
    return buffer


@dataclass(frozen=True)
class PromptBatch:
    """Distinct prompts, left-padded: ids and mask (R, P), and the model's other inputs for their images."""

    ids: Tensor
    mask: Tensor
    images: dict[str, Tensor]

    def to(self, device: torch.device) -> "PromptBatch":
        """The same on a device."""
        images = {name: value.to(device) for name, value in self.images.items()}
        return PromptBatch(self.ids.to(device), self.mask.to(device), images)


@dataclass
class Prefix:
    """The tokens before a batch of sequences: keys and values, their mask (N, P), the next position (N,)."""

    cache: Cache
    mask: Tensor
    position: Tensor
    last_hidden: Tensor
    """(N, H): hidden state of the prompt's last token, which predicts the first token of the completion."""

    def take(self, rows: Tensor, layer: type[DynamicLayer] = DynamicLayer) -> Self:
        """The sequences with the indices ``rows``, which can repeat.

        Args:
            rows: indices.
            layer: how keys and values of further tokens are kept; through the default gradients flow.
        """
        cache = Cache(layer_class_to_replicate=layer)
        for index, layer_of_all in enumerate(self.cache.layers):
            # All layers are attention layers, which have keys and values once a prompt was read.
            keys, values = cast(Tensor, cast(Any, layer_of_all).keys), cast(Tensor, cast(Any, layer_of_all).values)
            # index_select adds gradients in a fixed order; indexing with a tensor does not, with several threads.
            cache.update(keys.index_select(0, rows), values.index_select(0, rows), index)
        return type(self)(cache, self.mask[rows], self.position[rows], self.last_hidden.index_select(0, rows))


def joined(first: Prefix, second: Prefix) -> Prefix:
    """The sequences of both, which have the same number of tokens."""
    cache = Cache(layer_class_to_replicate=DynamicLayer)
    for index, layers in enumerate(zip(first.cache.layers, second.cache.layers, strict=True)):
        keys, values = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("keys", "values"))
        cache.update(keys, values, index)
    return Prefix(
        cache,
        torch.cat([first.mask, second.mask]),
        torch.cat([first.position, second.position]),
        torch.cat([first.last_hidden, second.last_hidden]),
    )


def can_be_extended(model: PreTrainedModel) -> bool:
    """Whether a prefix of the model is its keys and values.

    Some layers of Qwen3.5 have a state that sums up all tokens so far. It cannot be cut, padded on the right, or shared
    by sequences as keys and values can.

    Args:
        model: of one of the families.
    """
    kinds = getattr(model.config.get_text_config(), "layer_types", None) or ()
    return all(kind == "full_attention" for kind in kinds)


def read_prompts(model: PreTrainedModel, prompts: PromptBatch) -> Prefix:
    """Run the prompts through the model; the result has one sequence per prompt."""
    backbone: Any = model.base_model  # transformers gives the inner models of a family no common type
    cache = Cache(layer_class_to_replicate=DynamicLayer)
    with ExactLinears() if model.device.type == "cpu" else nullcontext():
        out = backbone(
            input_ids=prompts.ids, attention_mask=prompts.mask, past_key_values=cache, use_cache=True, **prompts.images
        )
    position = prompts.mask.sum(1)
    if prompts.images and _has_planar_positions(backbone):
        position = position + backbone.rope_deltas[:, 0]
    return Prefix(cache, prompts.mask, position, out.last_hidden_state[:, -1])


def extend(model: PreTrainedModel, prefix: Prefix, ids: Tensor, mask: Tensor) -> Tensor:
    """Run further tokens through the model, after a prefix that is extended by them.

    Args:
        model: of one of the families.
        prefix: what comes before; it is changed.
        ids: the tokens (N, T).
        mask: (N, T), 1 for a token and 0 for padding on either side.

    Returns:
        Hidden states (N, T, H) of the tokens.
    """
    backbone: Any = model.base_model
    positions = prefix.position[:, None] + (mask.cumsum(1) - 1).clamp(min=0)
    prefix.mask = torch.cat([prefix.mask, mask], dim=1)
    prefix.position = prefix.position + mask.sum(1)
    hidden: Tensor = backbone.language_model(
        input_ids=ids,
        attention_mask=prefix.mask,
        position_ids=positions.expand(3, -1, -1) if _has_planar_positions(backbone) else positions,
        past_key_values=prefix.cache,
        use_cache=True,
    ).last_hidden_state
    return hidden


def head(model: PreTrainedModel) -> nn.Module:
    """The layer that turns hidden states into logits."""
    return cast(nn.Module, cast(Any, model).get_output_embeddings())  # transformers gives this method no types


def _has_planar_positions(backbone: Any) -> bool:
    """Whether a token of an image has a row and a column (Qwen-VL), so that the text goes on at another position."""
    return getattr(backbone, "rope_deltas", None) is not None
