"""Sequences that grow by one token at a time, until they leave the batch one after the other."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from t2s_pipeline.prompters.exact_products import FEWEST_ROWS, cut, linear
from t2s_pipeline.prompters.prefixes import Prefix, RoomyLayer, extend, head
from t2s_pipeline.prompters.text_layers import TextLayers, plain_text_model, rotary, text_layers

QUERY_BLOCK, LONG_QUERY = 32, 192
"""torch's attention on a CPU takes so many tokens at a time, if there are fewer than the second number."""


class Decoding(Protocol):
    """A batch of N sequences."""

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Append several tokens per sequence, and return the hidden states (N, H) of the last ones.

        Args:
            ids: the tokens (N, T), left-padded.
            mask: (N, T), 1 for a token and 0 for padding.
        """

    def step(self, tokens: Tensor) -> Tensor:
        """Append a token per sequence (N,), and return its hidden states (N, H)."""

    def keep(self, is_left: Tensor) -> Tensor:
        """Go on with the sequences that ``is_left``, bool (N,), says.

        Returns:
            (M,), the old place of each sequence that is left, in their new order.
        """


def decoding(model: PreTrainedModel, prefix: Prefix) -> Decoding:
    """The fastest way for a model. All ways give the same numbers.

    Args:
        model: of one of the families. Its weights do not change while it is used.
        prefix: the sequences so far, with keys and values in ``RoomyLayer``; not to be used afterwards.
    """
    layers = text_layers(model)
    return ModelDecoding(model, prefix) if layers is None else LayerDecoding(layers, prefix)


def logits_of(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """What turns hidden states (N, H) into logits (N, V), the fastest way for a model. All ways give the same numbers.

    Args:
        model: of one of the families. Its weights do not change while it is used.
    """
    layer = head(model)
    if plain_text_model(model) is None or type(layer) is not nn.Linear or layer._forward_hooks:
        return layer
    return partial(linear, weight=cut(layer.weight), bias=layer.bias)


class ModelDecoding:
    """By transformers' own layers, for every family.

    Args:
        model: of one of the families.
        prefix: as for ``decoding``.
    """

    def __init__(self, model: PreTrainedModel, prefix: Prefix) -> None:
        self._model, self._prefix = model, prefix

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As ``Decoding.read``."""
        return extend(self._model, self._prefix, ids, mask)[:, -1]

    def step(self, tokens: Tensor) -> Tensor:
        """As ``Decoding.step``."""
        return extend(self._model, self._prefix, tokens[:, None], torch.ones_like(tokens[:, None]))[:, -1]

    def keep(self, is_left: Tensor) -> Tensor:
        """As ``Decoding.keep``; the order stays."""
        left = is_left.nonzero()[:, 0]
        self._prefix = self._prefix.take(left, RoomyLayer)
        return left


class LayerDecoding:
    """By the layers of text_layers.py.

    Keys and values of a layer are in a buffer (sequences, heads, tokens, D) with room for further tokens. The sequences
    of the batch are its first ones. When one leaves, one of the last takes its place, so that nothing else is copied.

    Args:
        layers: of the model.
        prefix: as for ``decoding``.
    """

    def __init__(self, layers: TextLayers, prefix: Prefix) -> None:
        cached = [cast(Any, layer) for layer in prefix.cache.layers]
        self._layers = layers
        self._buffers = [(layer.keys, layer.values) for layer in cached]
        self._length = prefix.mask.shape[1]
        self._position = prefix.position
        self._is_token = prefix.mask.bool()
        self._make_room()

    def read(self, ids: Tensor, mask: Tensor) -> Tensor:
        """As ``Decoding.read``."""
        (count, size), begin, part = ids.shape, self._length, self._layers
        if size == 1 and mask.all():
            return self.step(ids[:, 0])
        self._make_room(size)
        end = self._length = begin + size
        self._is_token[:, begin:end] = mask.bool()
        self._note_padding()
        positions = self._position[:, None] + (mask.cumsum(1) - 1).clamp(min=0)
        rotations = self._cosines[positions][:, None], self._sines[positions][:, None]
        future = torch.ones((size, end), dtype=torch.bool, device=ids.device).triu(begin + 1)
        unseen = future | ~self._is_token[:, None, None, :end]
        sees = torch.zeros(unseen.shape, dtype=part.embedding.dtype, device=ids.device).masked_fill_(unseen, -torch.inf)
        # The last layer is needed for the last token alone. It computes whole blocks of attention, and no fewer than
        # four tokens, because shorter products are added up in another order.
        first = max(size - FEWEST_ROWS, 0) // QUERY_BLOCK * QUERY_BLOCK if size < LONG_QUERY else 0
        hidden = functional.embedding(ids, part.embedding)
        for layer, (all_keys, all_values) in zip(part.layers, self._buffers, strict=True):
            states = linear(part.rms_norm(hidden, layer.norm), layer.to_heads, layer.heads_bias)
            states = states.view(count, size, -1, part.head_size).transpose(1, 2)
            queries_and_keys = rotary(states[:, : -part.key_heads], *rotations)
            queries = queries_and_keys[:, : part.heads]
            all_keys[:, :, begin:end] = queries_and_keys[:, part.heads :]
            all_values[:, :, begin:end] = states[:, -part.key_heads :]
            if layer is part.layers[-1]:
                queries, sees, hidden = queries[:, :, first:], sees[:, :, first:], hidden[:, first:]
            keys, values = (part.per_query(states[:, :, :end]) for states in (all_keys, all_values))
            attended = functional.scaled_dot_product_attention(
                queries, keys, values, attn_mask=sees, scale=part.head_size**-0.5
            )
            hidden = part.after_attention(layer, hidden, attended.transpose(1, 2).flatten(2))
        self._position = self._position + mask.sum(1)
        return part.rms_norm(hidden[:, -1], part.norm)

    def step(self, tokens: Tensor) -> Tensor:
        """As ``Decoding.step``."""
        count, begin = len(tokens), self._length
        if begin == self._buffers[0][0].shape[2]:
            self._make_room()
        self._length = begin + 1
        part = self._layers
        mask = None if self._hidden is None else self._hidden[..., : self._length]
        rotations = self._cosines[self._position, None], self._sines[self._position, None]
        hidden = functional.embedding(tokens, part.embedding)
        for layer, (all_keys, all_values) in zip(part.layers, self._buffers, strict=True):
            states = linear(part.rms_norm(hidden, layer.norm), layer.to_heads, layer.heads_bias)
            states = states.view(count, -1, part.head_size)
            queries_and_keys = rotary(states[:, : -part.key_heads], *rotations)
            keys, values = all_keys[:count, :, : self._length], all_values[:count, :, : self._length]
            keys[:, :, begin] = queries_and_keys[:, part.heads :]
            values[:, :, begin] = states[:, -part.key_heads :]
            attended = self._attention(queries_and_keys[:, : part.heads], keys, values, mask)
            hidden = part.after_attention(layer, hidden, attended.reshape(count, -1))
        self._position = self._position + 1
        return part.rms_norm(hidden, part.norm)

    def _attention(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Attention of queries (N, heads, D), called in the shapes in which transformers calls it."""
        part, count = self._layers, len(queries)
        scale = part.head_size**-0.5
        if mask is None:
            queries = queries[:, :, None]
            return functional.scaled_dot_product_attention(queries, keys, values, scale=scale, enable_gqa=True)
        queries = queries.reshape(count, part.key_heads, -1, part.head_size)
        return functional.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=scale)

    def keep(self, is_left: Tensor) -> Tensor:
        """As ``Decoding.keep``."""
        count = int(is_left.sum())
        order = torch.arange(count, device=is_left.device)
        gaps = (~is_left[:count]).nonzero()[:, 0]
        moved = is_left[count:].nonzero()[:, 0] + count
        order[gaps] = moved
        for pair in self._buffers:
            for buffer in pair:
                buffer[gaps, :, : self._length] = buffer[moved, :, : self._length]
        self._position, self._is_token = self._position[order], self._is_token[order]
        self._note_padding()
        return order

    def _make_room(self, count: int = 1) -> None:
        """Put keys and values into buffers with room for ``count`` tokens and more, and prepare positions for them."""
        room = count + RoomyLayer.ROOM
        size = self._length + room
        self._buffers = [(self._enlarged(keys, size), self._enlarged(values, size)) for keys, values in self._buffers]
        self._is_token = functional.pad(self._is_token, (0, size - self._is_token.shape[1]), value=True)
        self._cosines, self._sines = self._layers.rotations(int(self._position.max()) + room)
        self._note_padding()

    def _enlarged(self, states: Tensor, size: int) -> Tensor:
        count = len(self._position)
        buffer = states.new_empty((count, states.shape[1], size, states.shape[3]))
        buffer[:, :, : self._length] = states[:count, :, : self._length]
        return buffer

    def _note_padding(self) -> None:
        """What attention must not see: 0 for a token, minus infinity for padding; None without any padding."""
        self._hidden: Tensor | None = None
        if not self._is_token.all():
            dtype = self._buffers[0][0].dtype
            self._hidden = torch.zeros(self._is_token.shape, dtype=dtype, device=self._is_token.device)
            self._hidden = self._hidden.masked_fill_(~self._is_token, -torch.inf)[:, None, None]
