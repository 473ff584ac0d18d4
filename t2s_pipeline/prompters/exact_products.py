"""Products of float32 matrices on a CPU by oneDNN, where that gives the numbers of torch to the last bit.

torch gives such products to MKL. On a processor that Intel did not make, MKL does not use AVX-512. It adds up the
products of numbers one after the other, at most ``TERMS`` of them, and then adds these sums. oneDNN uses AVX-512 and
adds up all of them one after the other. So oneDNN gives the sums, and here they are added as MKL adds them.

Where MKL adds in another order, all products are torch's own: a process compares both ways at its first product.
"The numbers of torch" are those of one thread.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from t2s_pipeline.core.onednn import onednn_is_there, onednn_linear

TERMS = 192
"""The most terms that MKL adds one after the other."""

MOST_TERMS = 1024
"""Of a row. In a larger model most of the time is spent on reading the weights, and cutting them would double it."""

FEWEST_ROWS = 4
"""Products of fewer rows are added up in another order. From so many on, the sums of oneDNN do not depend on the number
of threads, as some of MKL do, so it computes small products too."""


@dataclass(frozen=True)
class CutWeight:
    """The weight of a linear layer.

    Attributes:
        whole: (N, K).
        pieces: its columns, as ``sums`` cuts them; none if every product with it is torch's own.
    """

    whole: Tensor
    pieces: tuple[Tensor, ...]


def cut(weight: Tensor) -> CutWeight:
    """A weight (N, K) as ``linear`` takes it. If it changes, it must be cut again."""
    terms = weight.shape[1]
    if weight.device.type != "cpu" or weight.dtype != torch.float32 or terms > MOST_TERMS or not adds_as_torch():
        return CutWeight(weight, ())
    weight = weight.detach()
    return CutWeight(weight, tuple(_dense(weight[:, start:stop]) for start, stop in sums(terms)))


def linear(x: Tensor, weight: CutWeight, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias``. No gradient flows through it.

    Args:
        x: (..., K).
        weight: of N rows.
        bias: (N,).

    Returns:
        (..., N).
    """
    columns, terms = weight.whole.shape
    count = x.numel() // terms
    if not weight.pieces or count < FEWEST_ROWS:
        return functional.linear(x, weight.whole, bias)
    rows = x.reshape(count, terms)
    (_, stop), *others = sums(terms)
    result = onednn_linear(_dense(rows[:, :stop]), weight.pieces[0], bias)
    for (start, stop), piece in zip(others, weight.pieces[1:], strict=True):
        result += onednn_linear(_dense(rows[:, start:stop]), piece)
    return result.view(*x.shape[:-1], columns)


def sum_of_products(x: Tensor, y: Tensor, stops: Sequence[int]) -> Tensor:
    """``x.T @ y``, added up in parts: (N, K) of (M, N) and (M, K). ``adds_as_torch`` is true.

    Args:
        x: float32 on a CPU.
        y: likewise.
        stops: where each part ends.
    """
    x, y, start = x.contiguous(), y.contiguous(), 0
    result: Tensor | None = None
    for stop in stops:
        if stop > start:
            of_part = onednn_linear(x[start:stop].T, y[start:stop].T)
            result = of_part if result is None else result.add_(of_part)
        start = stop
    return x.new_zeros((x.shape[1], y.shape[1])) if result is None else result


class ExactLinears(TorchFunctionMode):
    """A context in which the linear layers of any model go through ``linear``. Gradients flow through them."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called in place of each function of torch."""
        if function is functional.linear and not kwargs:
            x, weight, bias = (*args, None)[:3]
            if x.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
                return _LinearWithGradients.apply(x, weight, bias)
        return function(*args, **(kwargs or {}))


class _LinearWithGradients(Function):
    """``linear`` with gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return linear(x, cut(weight), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows, gradient = (states.reshape(-1, states.shape[-1]) for states in (x, gradients[0]))
        of_x = linear(gradients[0], cut(weight.t())) if ctx.needs_input_grad[0] else None
        of_weight = None
        if ctx.needs_input_grad[1]:
            stops = [stop for _, stop in sums(len(rows))]
            of_weight = sum_of_products(gradient, rows, stops) if adds_as_torch() else gradient.t() @ rows
        return of_x, of_weight, gradient.sum(0) if ctx.has_bias else None


def _dense(matrix: Tensor) -> Tensor:
    """The matrix by rows or by columns: for other memory orders oneDNN has no fast code."""
    return matrix if matrix.is_contiguous() or matrix.T.is_contiguous() else matrix.contiguous()


def sums(terms: int) -> list[tuple[int, int]]:
    """The terms that are added one after the other, as (start, stop)."""
    size = terms // 2 if TERMS < terms < 2 * TERMS else TERMS
    return [(start, min(start + size, terms)) for start in range(0, terms, size)]


@cache
def adds_as_torch() -> bool:
    """Whether the sums of oneDNN, added as here, are those of torch. The first call compares some products."""
    if not onednn_is_there():
        return False
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return all(_adds_as_torch(terms) for terms in (TERMS, TERMS + 64, 2 * TERMS, 2 * TERMS + 64))
    finally:
        torch.set_num_threads(threads)


def _adds_as_torch(terms: int) -> bool:
    random = torch.Generator().manual_seed(terms)
    x, weight = (torch.randn(rows, terms, generator=random) for rows in (96, 128))
    ours, expected = torch.zeros(96, 128), x @ weight.T
    for start, stop in sums(terms):
        ours += onednn_linear(x[:, start:stop].contiguous(), weight[:, start:stop].contiguous())
    over_rows = sum_of_products(x.T, weight.T, [stop for _, stop in sums(terms)])
    return torch.equal(ours, expected) and torch.equal(over_rows, expected)
