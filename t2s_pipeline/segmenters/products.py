"""Matrix products in float32 on a CPU by oneDNN, which is part of torch.

torch gives such products to MKL. On a CPU that Intel did not make, MKL does not use AVX-512, and oneDNN is more than
twice as fast (measured in docs/performance.md). Products of small matrices, of other types and on other devices are
torch's own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from t2s_pipeline.core.onednn import onednn_is_there, onednn_linear

WORTH_ONEDNN = 2**21
"""The fewest multiplications of a product that oneDNN computes. For fewer the call itself takes too long. No product of
the miniature for one object has so many."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``x @ weight.T + bias``, then the exact GELU if ``gelu``.

    Args:
        x: (L, K).
        weight: (N, K).
        bias: (N,).
        gelu: whether GELU is applied.

    Returns:
        (L, N).
    """
    if not _by_onednn(x, weight):
        plain = F.linear(x, weight, bias)
        return F.gelu(plain) if gelu else plain
    # For other memory orders oneDNN has no fast code: it took more than a hundred times as long.
    x, weight = (one if one.is_contiguous() or one.T.is_contiguous() else one.contiguous() for one in (x, weight))
    return onednn_linear(x, weight, bias, gelu)


def products_of_rows(x: Tensor, y: Tensor) -> Tensor:
    """``x @ y.transpose(-2, -1)``, so all products of a row of ``x`` and a row of ``y``.

    By oneDNN, each of the n is computed alone, so its result does not depend on the others.

    Args:
        x: (n, L, K).
        y: (n, N, K), or (1, N, K) or (N, K) for all.

    Returns:
        (n, L, N).
    """
    if not _by_onednn(x, y):
        return F.linear(x, y) if y.ndim == 2 else x @ y.transpose(1, 2)
    y = y.expand(len(x), -1, -1)
    if len(x) == 1:
        return linear(x[0], y[0])[None]
    result = x.new_empty((len(x), x.shape[1], y.shape[1]))
    for index in range(len(x)):
        result[index] = linear(x[index], y[index])
    return result


def _by_onednn(x: Tensor, y: Tensor) -> bool:
    """Whether oneDNN computes the products of rows of (..., L, K) and (..., N, K)."""
    return (
        x.device.type == "cpu"
        and x.dtype == y.dtype == torch.float32
        and x.shape[-2] * x.shape[-1] * y.shape[-2] >= WORTH_ONEDNN
        and not torch.is_autocast_enabled("cpu")
        and onednn_is_there()
    )
