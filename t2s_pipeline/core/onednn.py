"""Linear layers by oneDNN, which is part of torch and is on some processors faster than MKL, torch's first choice."""

import os
from typing import Any

import torch
from torch import Tensor

# oneDNN, and torch above it, keep code for the last 1,024 shapes, which is up to 1 MB a shape. Each step of a training
# has new shapes. Both numbers are read at the first product.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")
os.environ.setdefault("LRU_CACHE_CAPACITY", "32")

_LINEAR: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""torch.compile uses it for linear layers. It is not public, so a torch without it must do too."""


def onednn_is_there() -> bool:
    """Whether this torch has oneDNN, and it is not switched off."""
    return _LINEAR is not None and torch._C._has_mkldnn and bool(torch.backends.mkldnn.enabled)


def onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, gelu: bool = False) -> Tensor:
    """``x @ weight.T + bias``, then the exact GELU if ``gelu``. No gradient flows through it.

    Args:
        x: float32 (L, K), by rows or by columns without gaps.
        weight: float32 (N, K), likewise.
        bias: (N,).
        gelu: whether GELU is applied.

    Returns:
        (L, N).
    """
    result: Tensor = _LINEAR(x, weight, bias, "gelu" if gelu else "none", [], "none" if gelu else "")
    return result
