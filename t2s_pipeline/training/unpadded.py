"""Completions without their padding, with the numbers of the padded batch.

The longest completion of a batch is often twice as long as most, so half of a padded batch is padding. Here the layers
see the tokens alone, one below the other. Attention needs one length per call, so the completions are sorted into
blocks of similar lengths.

Nothing changes, to the last bit. A row of a product does not depend on the other rows. But numbers are added up in an
order that depends on how many there are. So attention keeps the keys of the padded batch. The gradient of a weight adds
up rows, so it has them in their places of the padded batch, with zeros between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from t2s_pipeline.prompters.prefixes import Prefix
from t2s_pipeline.prompters.text_layers import rotary

STEP = 16
"""Lengths of blocks are multiples of it. Products of fewer than four rows are added up in another order."""


@dataclass(frozen=True)
class Block:
    """Completions of similar lengths.

    Attributes:
        rows: (B,), their numbers in the batch.
        start: of their tokens, among the tokens of all blocks.
        stop: of their tokens.
        slots: (B, T), which of these tokens is where; the first one stands for padding.
        length: L, the most tokens of one of them.
        places: (stop - start,), where each of them is in (B, L).
        sees: what attention adds, (B, 1, L, P + T): 0 or minus infinity.
    """

    rows: Tensor
    start: int
    stop: int
    slots: Tensor
    length: int
    places: Tensor
    sees: Tensor


@dataclass(frozen=True)
class Tokens:
    """M tokens of N completions of at most T tokens, sorted into blocks.

    Attributes:
        row: (M,), the completion of each.
        column: (M,), its place in the completion.
        shape: (N, T).
        blocks: in the order of the tokens.
    """

    row: Tensor
    column: Tensor
    shape: tuple[int, int]
    blocks: Sequence[Block]


class _Linear(Function):
    """A product whose weight's gradient adds up the rows of the padded batch."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, places: Tensor, count: int) -> Tensor:
        ctx.save_for_backward(rows, weight, places)
        ctx.count, ctx.has_bias = count, bias is not None
        return functional.linear(rows, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, places = ctx.saved_tensors
        padded = _padded(gradients[0], places, ctx.count)
        of_weight = padded.t() @ _padded(rows, places, ctx.count)
        return gradients[0] @ weight, of_weight, padded.sum(0) if ctx.has_bias else None, None, None


class _Scaling(Function):
    """A weight per column, whose gradient adds up the rows of the padded batch."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, places: Tensor, shape: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(rows, weight, places)
        ctx.shape = shape
        return weight * rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, places = ctx.saved_tensors
        products = _padded(gradients[0] * rows, places, ctx.shape[0] * ctx.shape[1])
        return gradients[0] * weight, products.view(*ctx.shape, -1).sum((0, 1)), None, None


def _padded(rows: Tensor, places: Tensor, count: int) -> Tensor:
    return rows.new_zeros((count, rows.shape[1])).index_copy_(0, places, rows)


def tokens_of(mask: Tensor, prompts: Tensor) -> Tokens:
    """The tokens that a mask (N, T) marks, each row's from its first column on, after prompts with a mask (N, P)."""
    lengths, most = mask.sum(1), mask.shape[1]
    sizes = ((lengths + STEP - 1) // STEP * STEP).clamp(max=most)
    columns = torch.arange(most, device=mask.device)
    order, blocks, start = [], [], 0
    for size in sorted({size for size in sizes.tolist() if size}):
        rows = (sizes == size).nonzero()[:, 0]
        is_token = columns < lengths[rows, None]
        slots = (is_token.flatten().cumsum(0) - 1).view_as(is_token).masked_fill(~is_token, 0)
        places = is_token[:, :size].flatten().nonzero()[:, 0]
        stop = start + len(places)
        blocks.append(Block(rows, start, stop, slots, size, places, _sees(prompts[rows], size, most)))
        order.append(rows[places // size] * most + places % size)
        start = stop
    numbers = torch.cat(order)
    return Tokens(numbers // most, numbers % most, (len(mask), most), blocks)


def _sees(prompts: Tensor, size: int, most: int) -> Tensor:
    causal = torch.ones((size, most), dtype=torch.bool, device=prompts.device).tril()
    seen = torch.cat([prompts.bool()[:, None].expand(-1, size, -1), causal.expand(len(prompts), -1, -1)], dim=2)
    return torch.zeros(seen.shape, device=prompts.device).masked_fill_(~seen, -torch.inf)[:, None]


def product(rows: Tensor, module: nn.Linear, places: Tensor, count: int) -> Tensor:
    """A linear layer's result for rows (M, I), which are at ``places`` (M,) of ``count`` rows of a padded batch."""
    return cast(Tensor, _Linear.apply(rows, module.weight, module.bias, places, count))


def predictions(text: Any, prefix: Prefix, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """What predicts the tokens of completions.

    Args:
        text: the text model of a Qwen2.5-VL.
        prefix: of the N completions.
        ids: their tokens (N, T), right-padded.
        mask: (N, T), 1 for a token and 0 for padding.

    Returns:
        Hidden states (K, H), and for each the place of the token that it predicts among the N * T ones.
    """
    starts = torch.arange(len(ids), device=ids.device) * ids.shape[1]
    tokens = tokens_of(mask[:, 1:], prefix.mask)
    hidden = _UnpaddedLayers(text, prefix, tokens).hidden(ids[tokens.row, tokens.column])
    places = tokens.row * ids.shape[1] + tokens.column + 1
    return torch.cat([prefix.last_hidden, hidden]), torch.cat([starts, places])


class _UnpaddedLayers:
    """The text layers of a Qwen2.5-VL, with gradients, over the tokens of completions after their prompts.

    Args:
        text: the text model.
        prefix: of the N completions.
        tokens: of the completions.
    """

    def __init__(self, text: Any, prefix: Prefix, tokens: Tokens) -> None:
        self._text, self._tokens = text, tokens
        self._places = tokens.row * tokens.shape[1] + tokens.column
        self._cached = [cast(Any, layer) for layer in prefix.cache.layers]
        config: Any = text.config
        self._size = config.hidden_size // config.num_attention_heads
        position = prefix.position[tokens.row] + tokens.column
        cosines, sines = text.rotary_emb(text.embed_tokens.weight, position[None])
        self._rotations = cosines[0][:, None], sines[0][:, None]

    def hidden(self, ids: Tensor) -> Tensor:
        """Hidden states (M, H) of tokens (M,)."""
        text = self._text
        # The gradients of a token that occurs several times are added up in the order of the batch.
        order = self._places.argsort()
        hidden: Tensor = text.embed_tokens(ids[order]).index_select(0, order.argsort())
        for layer, cached in zip(text.layers, self._cached, strict=True):
            attention, mlp = layer.self_attn, layer.mlp
            states = self._rms_norm(hidden, layer.input_layernorm)
            linears = (attention.q_proj, attention.k_proj, attention.v_proj)
            queries, keys, values = (self._linear(states, linear).view(len(ids), -1, self._size) for linear in linears)
            queries, keys = rotary(queries, *self._rotations), rotary(keys, *self._rotations)
            hidden = hidden + self._linear(self._attended(queries, keys, values, cached), attention.o_proj)
            states = self._rms_norm(hidden, layer.post_attention_layernorm)
            gate = functional.silu(self._linear(states, mlp.gate_proj))
            hidden = hidden + self._linear(gate * self._linear(states, mlp.up_proj), mlp.down_proj)
        return self._rms_norm(hidden, text.norm)

    def _linear(self, rows: Tensor, module: nn.Linear) -> Tensor:
        return product(rows, module, self._places, self._tokens.shape[0] * self._tokens.shape[1])

    def _rms_norm(self, rows: Tensor, module: Any) -> Tensor:
        variance = rows.pow(2).mean(-1, keepdim=True)
        rows = rows * torch.rsqrt(variance + module.variance_epsilon)
        return cast(Tensor, _Scaling.apply(rows, module.weight, self._places, self._tokens.shape))

    def _attended(self, queries: Tensor, keys: Tensor, values: Tensor, cached: Any) -> Tensor:
        """Attention over the prompt and the completion's tokens so far (M, heads * D)."""
        groups = queries.shape[1] // keys.shape[1]
        results = []
        for block in self._tokens.blocks:
            query, *latest = (
                self._in_block(states, block, length)
                for states, length in ((queries, block.length), (keys, None), (values, None))
            )
            seen_keys, seen_values = (
                _repeated(torch.cat([before.index_select(0, block.rows), after], dim=2), groups)
                for before, after in zip((cached.keys, cached.values), latest, strict=True)
            )
            result = functional.scaled_dot_product_attention(
                query, seen_keys, seen_values, attn_mask=block.sees, scale=self._size**-0.5
            )
            results.append(result.transpose(1, 2).flatten(0, 1).flatten(1).index_select(0, block.places))
        return torch.cat(results)

    def _in_block(self, states: Tensor, block: Block, length: int | None) -> Tensor:
        """States (M, heads, D) as (B, heads, length, D)."""
        slots = block.slots[:, :length]
        chosen = states[block.start : block.stop].index_select(0, slots.flatten())
        return chosen.view(*slots.shape, -1, self._size).transpose(1, 2)


def _repeated(states: Tensor, groups: int) -> Tensor:
    """Keys or values (B, heads, T, D), each head once per query head that uses it."""
    return states[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)
