"""Attention between a few prompt tokens and many image tokens, with the projections of the many folded away.  [torch]

An object has about T = 11 tokens and an image N = 4096. sam2 projects all N to keys, values or queries for each
object, N·C·C/2 products each time. With H = 8 heads it is less work to carry the projection over to the few:
q·(W x) = (Wᵀ q)·x needs N·C·(H·T), and neither the projected image nor its heads are ever written to memory. The
sums are the same in another order.

Shapes: n objects, T tokens of an object, N image tokens, C channels, H heads of d channels (H·d = C/2 here).
"""

import torch
import torch.nn.functional as F
from sam2.modeling.sam.transformer import Attention
from torch import Tensor, nn


def look_at_each_other(attention: Attention, looking: Tensor, values: Tensor, visible: Tensor | None) -> Tensor:
    """Tokens of an object among themselves: (n, T, C). ``visible`` (n, T) hides what only fills an object up."""
    q, k, v = (
        _heads(attention, layer(x)).transpose(1, 2)
        for layer, x in ((attention.q_proj, looking), (attention.k_proj, looking), (attention.v_proj, values))
    )
    mask = None if visible is None else visible[:, None, None]
    return attention.out_proj(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


def look_at_same_image(attention: Attention, looking: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Tokens (n, T, C) at one image's projected ``key`` and ``value``, (1, N, H·d): one long row of queries."""
    q = _heads(attention, attention.q_proj(looking).flatten(0, 1)[None]).transpose(1, 2)
    k, v = (_heads(attention, x).transpose(1, 2) for x in (key, value))
    found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    return attention.out_proj(found).view_as(looking)


def look_at_image(attention: Attention, looking: Tensor, seen: Tensor, values: Tensor) -> Tensor:
    """Tokens (n, T, C) at each object's own image tokens ``seen``, taking of ``values``, both (n, N, C)."""
    q = _heads(attention, attention.q_proj(looking))
    # A bias of the keys adds the same to every score of a query: no softmax feels it.
    folded = torch.einsum("nthd,hdc->nhtc", q, _weight(attention, attention.k_proj)) * _scale(attention)
    shares = (folded.flatten(1, 2) @ seen.transpose(1, 2)).softmax(-1)
    taken = (shares @ values).unflatten(1, (attention.num_heads, -1))
    found = torch.einsum("nhtc,hdc->nthd", taken, _weight(attention, attention.v_proj)).flatten(2)
    return attention.out_proj(found + attention.v_proj.bias)


def image_looks(
    attention: Attention,
    seen: Tensor | None,
    looked_at: Tensor,
    values: Tensor,
    visible: Tensor | None,
    query: Tensor | None = None,
) -> Tensor:
    """Image tokens ``seen`` (n, N, C) at the objects' tokens (n, T, C), taking of ``values`` (n, T, C).

    ``query`` (1, N, H·d) is given instead of ``seen`` where the image's projected queries are the same for all.
    """
    k = _heads(attention, attention.k_proj(looked_at)) * _scale(attention)
    # Scores are laid out (n, T, H, N): a softmax over the few tokens then runs along whole rows of image tokens.
    if query is not None:
        each = torch.eye(attention.num_heads, device=k.device, dtype=k.dtype)
        scores = torch.einsum("nthd,hg->nthgd", k, each).flatten(3).flatten(1, 2) @ query.transpose(1, 2)
    else:
        folded = torch.einsum("nthd,hdc->nthc", k, _weight(attention, attention.q_proj))
        bias = torch.einsum("nthd,hd->nth", k, attention.q_proj.bias.unflatten(0, (attention.num_heads, -1)))
        scores = folded.flatten(1, 2) @ seen.transpose(1, 2) + bias.flatten(1)[..., None]
    scores = scores.unflatten(1, (-1, attention.num_heads))
    if visible is not None:
        scores = scores.masked_fill(~visible[:, :, None, None], -torch.inf)
    v = _heads(attention, attention.v_proj(values))
    out = attention.out_proj.weight.unflatten(1, (attention.num_heads, -1))
    # Each head's shares add up to 1, so a head's part of the bias can ride on its values.
    given = torch.einsum("nthd,chd->nthc", v, out) + attention.out_proj.bias / attention.num_heads
    return scores.softmax(1).flatten(1, 2).transpose(1, 2) @ given.flatten(1, 2)


def _heads(attention: Attention, x: Tensor) -> Tensor:
    """(n, L, H·d) → (n, L, H, d)."""
    return x.unflatten(2, (attention.num_heads, -1))


def _weight(attention: Attention, layer: nn.Linear) -> Tensor:
    """(H·d, C) → (H, d, C)."""
    return layer.weight.unflatten(0, (attention.num_heads, -1))


def _scale(attention: Attention) -> float:
    return (attention.internal_dim // attention.num_heads) ** -0.5
