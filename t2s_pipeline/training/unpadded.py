"""Completions without their padding, with the numbers of the padded batch.

The longest completion of a batch is often twice as long as most, so half of a padded batch is padding. Here the layers
see the tokens alone, one below the other. Attention needs one length per call, so it takes blocks of completions of
similar lengths.

Nothing changes, to the last bit. A row of a product does not depend on the other rows. But numbers are added up in an
order that depends on how many there are. So attention keeps the keys of the padded batch. The gradient of a weight adds
up rows, in the order in which torch adds those of the padded batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn import functional

from t2s_pipeline.prompters.exact_products import adds_as_torch, cut, linear, sum_of_products, sums
from t2s_pipeline.prompters.prefixes import Prefix
from t2s_pipeline.prompters.text_layers import rotary

STEP = 16
"""Lengths of blocks are multiples of it. Products of fewer than four rows are added up in another order."""


@dataclass(frozen=True)
class Block:
    """B completions of similar lengths.

    Attributes:
        count: B.
        length: L, the most tokens of one of them.
        places: where the tokens are in (B, L).
        sees: what attention adds, (B, 1, L, P + T): 0 or minus infinity.
    """

    count: int
    length: int
    places: Tensor
    sees: Tensor


@dataclass(frozen=True)
class Tokens:
    """M tokens of N completions of at most T tokens, row by row.

    Attributes:
        row: (M,), the completion of each.
        column: (M,), its place in the completion.
        shape: (N, T).
        blocks: of the completions that have tokens.
        completions: the completions of all blocks.
        queries: the token at each place of (B, L) of all blocks; the first one stands for padding.
        keys: the token at each place of (B, T) of all blocks, likewise.
        turns: (M,), where each token is among those of all blocks.
    """

    row: Tensor
    column: Tensor
    shape: tuple[int, int]
    blocks: Sequence[Block]
    completions: Tensor
    queries: Tensor
    keys: Tensor
    turns: Tensor


@dataclass(frozen=True)
class Places:
    """Where M rows are among the rows of a padded batch, which are all zero but these.

    Attributes:
        rows: (M,), the place of each, in ascending order.
        shape: of the padded batch (N, T).
        stops: where each sum ends that torch adds up alone, for the M rows.
    """

    rows: Tensor
    shape: tuple[int, int]
    stops: Sequence[int]

    @property
    def count(self) -> int:
        """Rows of the padded batch."""
        return self.shape[0] * self.shape[1]

    def padded(self, rows: Tensor) -> Tensor:
        """The rows of the padded batch (N * T, ...)."""
        return rows.new_zeros((self.count, *rows.shape[1:])).index_copy_(0, self.rows, rows)


def _places(rows: Tensor, shape: tuple[int, int]) -> Places:
    stops = [stop for _, stop in sums(shape[0] * shape[1])]
    return Places(rows, shape, torch.searchsorted(rows, torch.tensor(stops, device=rows.device)).tolist())


class _Linear(Function):
    """A product whose weight's gradient adds up the rows of the padded batch."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, places: Places) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.places, ctx.has_bias = places, bias is not None
        return linear(rows, cut(weight), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (rows, weight), places, gradient = ctx.saved_tensors, ctx.places, gradients[0]
        if adds_as_torch():
            of_weight = sum_of_products(gradient, rows, places.stops)
        else:
            of_weight = places.padded(gradient).t() @ places.padded(rows)
        of_bias = places.padded(gradient).sum(0) if ctx.has_bias else None
        return linear(gradient, cut(weight.t())), of_weight, of_bias, None


class _Scaling(Function):
    """A weight per column, whose gradient adds up the rows of the padded batch."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, places: Places) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.places = places
        return weight * rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (rows, weight), places = ctx.saved_tensors, ctx.places
        products = places.padded(gradients[0] * rows).view(*places.shape, -1)
        return gradients[0] * weight, products.sum((0, 1)), None


def tokens_of(mask: Tensor, prompts: Tensor) -> Tokens:
    """The tokens that a mask (N, T) marks, each row's from its first column on, after prompts with a mask (N, P)."""
    lengths, most = mask.sum(1), mask.shape[1]
    sizes = ((lengths + STEP - 1) // STEP * STEP).clamp(max=most)
    is_token = torch.arange(most, device=mask.device) < lengths[:, None]
    numbers = (is_token.flatten().cumsum(0) - 1).view_as(is_token).masked_fill(~is_token, 0)
    blocks, completions, queries, keys, order = [], [], [], [], []
    for size in sorted({size for size in sizes.tolist() if size}):
        rows = (sizes == size).nonzero()[:, 0]
        places = is_token[rows, :size].flatten().nonzero()[:, 0]
        blocks.append(Block(len(rows), size, places, _sees(prompts[rows], size, most)))
        completions.append(rows)
        queries.append(numbers[rows, :size].flatten())
        keys.append(numbers[rows].flatten())
        order.append(queries[-1][places])
    row, column = is_token.nonzero().unbind(1)
    return Tokens(
        row=row,
        column=column,
        shape=(len(mask), most),
        blocks=blocks,
        completions=torch.cat(completions),
        queries=torch.cat(queries),
        keys=torch.cat(keys),
        turns=torch.cat(order).argsort(),
    )


def _sees(prompts: Tensor, size: int, most: int) -> Tensor:
    causal = torch.ones((size, most), dtype=torch.bool, device=prompts.device).tril()
    seen = torch.cat([prompts.bool()[:, None].expand(-1, size, -1), causal.expand(len(prompts), -1, -1)], dim=2)
    return torch.zeros(seen.shape, device=prompts.device).masked_fill_(~seen, -torch.inf)[:, None]


def product(rows: Tensor, module: nn.Linear, places: Places) -> Tensor:
    """A linear layer's result for rows (M, I) of a padded batch."""
    return cast(Tensor, _Linear.apply(rows, module.weight, module.bias, places))


def predictions(text: Any, prefix: Prefix, ids: Tensor, mask: Tensor) -> tuple[Tensor, Places]:
    """What predicts the tokens of completions.

    Args:
        text: the text model of a Qwen2.5-VL.
        prefix: of the N completions.
        ids: their tokens (N, T), right-padded.
        mask: (N, T), 1 for a token and 0 for padding.

    Returns:
        Hidden states (K, H), and where the tokens that they predict are among the N * T ones.
    """
    starts = torch.arange(len(ids), device=ids.device) * ids.shape[1]
    tokens = tokens_of(mask[:, 1:], prefix.mask)
    hidden = _UnpaddedLayers(text, prefix, tokens).hidden(ids[tokens.row, tokens.column])
    places = torch.cat([starts, tokens.row * ids.shape[1] + tokens.column + 1])
    order = places.argsort()
    states = torch.cat([prefix.last_hidden, hidden]).index_select(0, order)
    return states, _places(places[order], (len(ids), ids.shape[1]))


class _UnpaddedLayers:
    """The text layers of a Qwen2.5-VL, with gradients, over the tokens of completions after their prompts.

    Args:
        text: the text model.
        prefix: of the N completions.
        tokens: of the completions.
    """

    def __init__(self, text: Any, prefix: Prefix, tokens: Tokens) -> None:
        self._text, self._tokens = text, tokens
        self._places = _places(tokens.row * tokens.shape[1] + tokens.column, tokens.shape)
        self._cached = [cast(Any, layer) for layer in prefix.cache.layers]
        config: Any = text.config
        self._size = config.hidden_size // config.num_attention_heads
        position = prefix.position[tokens.row] + tokens.column
        cosines, sines = text.rotary_emb(text.embed_tokens.weight, position[None])
        self._rotations = cosines[0][:, None], sines[0][:, None]

    def hidden(self, ids: Tensor) -> Tensor:
        """Hidden states (M, H) of tokens (M,)."""
        text = self._text
        hidden: Tensor = text.embed_tokens(ids)
        for layer, cached in zip(text.layers, self._cached, strict=True):
            attention, mlp = layer.self_attn, layer.mlp
            states = self._rms_norm(hidden, layer.input_layernorm)
            inputs = (attention.q_proj, attention.k_proj, attention.v_proj)
            queries, keys, values = (self._linear(states, module).view(len(ids), -1, self._size) for module in inputs)
            queries, keys = rotary(queries, *self._rotations), rotary(keys, *self._rotations)
            hidden = hidden + self._linear(self._attended(queries, keys, values, cached), attention.o_proj)
            states = self._rms_norm(hidden, layer.post_attention_layernorm)
            gate = functional.silu(self._linear(states, mlp.gate_proj))
            hidden = hidden + self._linear(gate * self._linear(states, mlp.up_proj), mlp.down_proj)
        return self._rms_norm(hidden, text.norm)

    def _linear(self, rows: Tensor, module: nn.Linear) -> Tensor:
        return product(rows, module, self._places)

    def _rms_norm(self, rows: Tensor, module: Any) -> Tensor:
        variance = rows.pow(2).mean(-1, keepdim=True)
        rows = rows * torch.rsqrt(variance + module.variance_epsilon)
        return cast(Tensor, _Scaling.apply(rows, module.weight, self._places))

    def _attended(self, queries: Tensor, keys: Tensor, values: Tensor, cached: Any) -> Tensor:
        """Attention over the prompt and the completion's tokens so far (M, heads * D)."""
        tokens, most, shares = self._tokens, self._tokens.shape[1], not torch.is_grad_enabled()
        counts = [block.count for block in tokens.blocks]
        query_parts = _parts(queries, tokens.queries, [block.count * block.length for block in tokens.blocks])
        # One choice for all blocks: the gradient of each would be as large as all tokens.
        prompt_keys, prompt_values = (
            _parts(states, tokens.completions, counts) for states in (cached.keys, cached.values)
        )
        token_keys, token_values = (
            _parts(states, tokens.keys, [count * most for count in counts]) for states in (keys, values)
        )
        results = []
        for number, block in enumerate(tokens.blocks):
            seen_keys, seen_values = (
                torch.cat([prompts[number], _by_head(latest[number], most)], dim=2)
                for prompts, latest in ((prompt_keys, token_keys), (prompt_values, token_values))
            )
            if not shares:
                # Attention with shared heads has the same results, and gradients with other last bits.
                groups = queries.shape[1] // keys.shape[1]
                seen_keys, seen_values = _repeated(seen_keys, groups), _repeated(seen_values, groups)
            result = functional.scaled_dot_product_attention(
                _by_head(query_parts[number], block.length),
                seen_keys,
                seen_values,
                attn_mask=block.sees,
                scale=self._size**-0.5,
                enable_gqa=shares,
            )
            results.append(result.transpose(1, 2).flatten(0, 1).flatten(1).index_select(0, block.places))
        return torch.cat(results).index_select(0, tokens.turns)


def _parts(states: Tensor, order: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    """States in an order, as parts of these sizes."""
    return torch.split(states.index_select(0, order), list(sizes))


def _by_head(states: Tensor, length: int) -> Tensor:
    """States (B * length, heads, D) as (B, heads, length, D)."""
    return states.view(-1, length, *states.shape[1:]).transpose(1, 2)


def _repeated(states: Tensor, groups: int) -> Tensor:
    """Keys or values (B, heads, T, D), each head once per query head that uses it."""
    return states[:, :, None].expand(-1, -1, groups, -1, -1).flatten(1, 2)
