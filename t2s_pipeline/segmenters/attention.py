"""Attention between a few prompt tokens and many image tokens, without projecting the many.

An object has about T = 11 tokens and an image has N = 4096. sam2 projects all N tokens to keys, values or queries for
each object, N·C·C/2 products each time. With H = 8 heads it is less work to apply the projection to the few tokens:
q·(W x) = (Wᵀ q)·x needs N·C·(H·T) products, and neither the projected image nor its heads are written to memory. The
sums are the same in another order.

Shapes: n objects, T tokens per object, N image tokens, C channels, H heads of d channels (H·d = C/2 here).
"""

import torch
import torch.nn.functional as F
from sam2.modeling.sam.transformer import Attention
from torch import Tensor, nn

from t2s_pipeline.segmenters.products import products_of_rows


def tokens_to_tokens(attention: Attention, queries: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
    """Attention among the tokens of each object.

    Args:
        attention: the layer.
        queries: (n, T, C), the tokens for queries and keys.
        values: (n, T, C), the tokens for values.
        visible: bool (n, T), false for padding, which gets no attention; None if there is no padding.

    Returns:
        (n, T, C).
    """
    q, k, v = (
        _heads(attention, layer(x)).transpose(1, 2)
        for layer, x in ((attention.q_proj, queries), (attention.k_proj, queries), (attention.v_proj, values))
    )
    mask = None if visible is None else visible[:, None, None]
    result = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
    return _out(attention, result)


def tokens_to_shared_image(attention: Attention, queries: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention from the tokens (n, T, C) to one image that all objects share.

    The tokens of all objects form one long row of queries.

    Args:
        attention: the layer.
        queries: (n, T, C).
        key: (1, N, H·d), the image's projected keys.
        value: (1, N, H·d), the image's projected values.

    Returns:
        (n, T, C).
    """
    q = _heads(attention, attention.q_proj(queries).flatten(0, 1)[None]).transpose(1, 2)
    k, v = (_heads(attention, x).transpose(1, 2) for x in (key, value))
    result = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return _out(attention, result).view_as(queries)


def tokens_to_image(attention: Attention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention from the tokens (n, T, C) to each object's own image tokens, ``keys`` and ``values`` (n, N, C).

    Returns:
        (n, T, C).
    """
    q = _heads(attention, attention.q_proj(queries))
    # A bias of the keys adds the same number to every score of a query, and softmax does not change with it.
    folded = torch.einsum("nthd,hdc->nhtc", q, _weight(attention, attention.k_proj)) * _scale(attention)
    shares = products_of_rows(folded.flatten(1, 2), keys).softmax(-1)
    sums = torch.unflatten(products_of_rows(shares, values.transpose(1, 2)), 1, (attention.num_heads, -1))
    result = torch.einsum("nhtc,hdc->nthd", sums, _weight(attention, attention.v_proj)).flatten(2)
    return _out(attention, result + attention.v_proj.bias)


def shared_image_to_tokens(
    attention: Attention, query: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None
) -> Tensor:
    """Attention from one image that all objects share to the objects' tokens.

    Args:
        attention: the layer.
        query: (1, N, H·d), the image's projected queries.
        keys: (n, T, C), the tokens for keys.
        values: (n, T, C), the tokens for values.
        visible: bool (n, T), false for padding, which gets no attention; None if there is no padding.

    Returns:
        (n, N, C).
    """
    k = _heads(attention, attention.k_proj(keys)) * _scale(attention)
    identity = torch.eye(attention.num_heads, device=k.device, dtype=k.dtype)
    scores = torch.einsum("nthd,hg->nthgd", k, identity).flatten(3).flatten(1, 2)
    scores = products_of_rows(scores, query)
    return _values_of_tokens(attention, scores, values, visible)


def image_to_tokens(
    attention: Attention, queries: Tensor, keys: Tensor, values: Tensor, visible: Tensor | None
) -> Tensor:
    """Attention from each object's own image tokens, ``queries`` (n, N, C), to the object's tokens.

    ``keys``, ``values``, ``visible`` and the result are those of ``shared_image_to_tokens``.
    """
    k = _heads(attention, attention.k_proj(keys)) * _scale(attention)
    folded = torch.einsum("nthd,hdc->nthc", k, _weight(attention, attention.q_proj))
    bias = torch.einsum("nthd,hd->nth", k, torch.unflatten(attention.q_proj.bias, 0, (attention.num_heads, -1)))
    scores = products_of_rows(folded.flatten(1, 2), queries) + bias.flatten(1)[..., None]
    return _values_of_tokens(attention, scores, values, visible)


def _values_of_tokens(attention: Attention, scores: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
    """What image tokens take of the objects' tokens, (n, N, C), by scores (n, T·H, N).

    Scores are laid out (n, T, H, N), so that the softmax over the few tokens runs along whole rows of image tokens.
    """
    scores = torch.unflatten(scores, 1, (-1, attention.num_heads))
    if visible is not None:
        scores = scores.masked_fill(~visible[:, :, None, None], -torch.inf)
    v = _heads(attention, attention.v_proj(values))
    out = torch.unflatten(attention.out_proj.weight, 1, (attention.num_heads, -1))
    # The shares of each head add up to 1, so a head's part of the bias can be added to its values.
    projected = torch.einsum("nthd,chd->nthc", v, out) + attention.out_proj.bias / attention.num_heads
    shares = scores.softmax(1).flatten(1, 2)
    return products_of_rows(shares.transpose(1, 2), projected.flatten(1, 2).transpose(1, 2))


def _heads(attention: Attention, x: Tensor) -> Tensor:
    """(n, L, H·d) → (n, L, H, d)."""
    return torch.unflatten(x, 2, (attention.num_heads, -1))


def _weight(attention: Attention, layer: nn.Linear) -> Tensor:
    """(H·d, C) → (H, d, C)."""
    return torch.unflatten(layer.weight, 0, (attention.num_heads, -1))


def _out(attention: Attention, x: Tensor) -> Tensor:
    """(n, L, H·d) → (n, L, C)."""
    result: Tensor = attention.out_proj(x)
    return result


def _scale(attention: Attention) -> float:
    return float((attention.internal_dim // attention.num_heads) ** -0.5)
