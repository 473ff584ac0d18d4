"""Products by oneDNN are torch's to the last bit, and torch computes them where they would not be."""

import os
import subprocess
import sys

import pytest

from t2s_pipeline.core.settings import REPO

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("one_thread")]
torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from t2s_pipeline.core import onednn  # noqa: E402
from t2s_pipeline.prompters import exact_products  # noqa: E402
from t2s_pipeline.prompters.exact_products import (  # noqa: E402
    MOST_TERMS,
    TERMS,
    ExactLinears,
    adds_as_torch,
    cut,
    linear,
    sum_of_products,
    sums,
)


@pytest.fixture
def calls(monkeypatch) -> list[tuple[int, ...]]:
    """The shapes of the rows that are given to oneDNN."""
    if not adds_as_torch():
        pytest.skip("on this processor, torch adds up in another order")
    made, real = [], onednn._LINEAR

    def recorded(x, *rest):
        made.append(tuple(x.shape))
        return real(x, *rest)

    monkeypatch.setattr(onednn, "_LINEAR", recorded)
    return made


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_terms_are_added_in_whole_sums_of_192_and_in_halves_when_they_are_less_than_two():
    assert sums(64) == [(0, 64)] and sums(192) == [(0, 192)]
    assert sums(320) == [(0, 160), (160, 320)] and sums(301) == [(0, 150), (150, 300), (300, 301)]
    assert sums(384) == [(0, 192), (192, 384)] and sums(500) == [(0, 192), (192, 384), (384, 500)]


@pytest.mark.parametrize("terms", [64, 128, 192, 256, 301, 320, 384, 576, 1024])
@pytest.mark.parametrize("rows", [4, 33, 500])
def test_a_product_is_torchs_to_the_last_bit(terms, rows):
    x, weight, bias = random(rows, terms), random(96, terms, seed=1), random(96, seed=2)
    wide = random(rows, 2 * terms)[:, :terms]
    for one in (x, wide, x.view(2, -1, terms) if rows % 2 == 0 else x[None]):
        assert torch.equal(linear(one, cut(weight), bias), functional.linear(one, weight, bias))
    across = random(terms, 96, seed=3)
    assert torch.equal(linear(x, cut(across.T)), x @ across)


@pytest.mark.parametrize("rows", [5, 191, 192, 333, 2000])
def test_a_sum_over_rows_is_torchs_also_without_the_rows_that_are_zero(rows, calls):
    x, y = random(rows, 64), random(rows, 80, seed=1)
    zero = random(rows, seed=2) < 0
    x[zero] = y[zero] = 0
    left = (~zero).nonzero()[:, 0]
    stops = [stop for _, stop in sums(rows)]
    ends = torch.searchsorted(left, torch.tensor(stops)).tolist()
    expected = x.T @ y
    assert torch.equal(sum_of_products(x, y, stops), expected)
    assert torch.equal(sum_of_products(x[left], y[left], ends), expected)
    assert torch.equal(sum_of_products(x[:0], y[:0], [0] * len(stops)), torch.zeros(64, 80))


def test_onednn_computes_products_of_float32_with_few_terms(calls):
    x, weight = random(500, TERMS), random(96, TERMS, seed=1)
    linear(x, cut(weight))
    linear(random(500, 2 * TERMS), cut(random(96, 2 * TERMS)))
    assert calls == [(500, TERMS)] * 3
    del calls[:]
    assert torch.equal(linear(x[:3], cut(weight)), functional.linear(x[:3], weight))
    long, of_long = random(500, MOST_TERMS + 1), random(96, MOST_TERMS + 1)
    assert torch.equal(linear(long, cut(of_long)), functional.linear(long, of_long))
    for kind in (torch.float64, torch.bfloat16):
        assert torch.equal(linear(x.to(kind), cut(weight.to(kind))), functional.linear(x.to(kind), weight.to(kind)))
    assert calls == []


def test_torch_computes_all_where_it_adds_in_another_order(monkeypatch):
    fresh = adds_as_torch.__wrapped__
    monkeypatch.setattr(
        exact_products, "sums", lambda terms: [(0, terms)] if terms <= 200 else [(0, 200), (200, terms)]
    )
    assert not fresh()
    monkeypatch.setattr(exact_products, "adds_as_torch", fresh)
    assert cut(random(96, TERMS)).pieces == ()


def test_gradients_flow_through_the_linear_layers_of_a_model(calls):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(128, 320), nn.GELU(), nn.Linear(320, 192, bias=False), nn.Linear(192, 1024))
    x = random(3, 90, 128).requires_grad_()

    def results() -> list[torch.Tensor]:
        model.zero_grad()
        x.grad = None
        out = model(x)
        (out * random(*out.shape, seed=1)).sum().backward()
        assert x.grad is not None
        return [out.detach(), x.grad, *(weight.grad for weight in model.parameters())]

    plain = results()
    assert calls == []
    with ExactLinears():
        ours = results()
    assert [torch.equal(*pair) for pair in zip(ours, plain, strict=True)] == [True] * 7 and len(calls) > 9
    with ExactLinears(), torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16


MANY_SHAPES = """
import psutil, torch
from t2s_pipeline.core.onednn import onednn_linear

weight, rows = torch.zeros(192, 192), torch.zeros(700, 192)
onednn_linear(rows, weight)
before = psutil.Process().memory_info().rss
for count in range(200, 700):
    onednn_linear(rows[:count], weight)
print(psutil.Process().memory_info().rss - before)
"""


def test_products_of_many_shapes_do_not_fill_the_memory():
    if not onednn.onednn_is_there():
        pytest.skip("this torch has no oneDNN")

    def growth(**environment: str) -> int:
        command = [sys.executable, "-c", MANY_SHAPES]
        return int(subprocess.check_output(command, env={**os.environ, **environment}, cwd=REPO, text=True))

    kept = {"LRU_CACHE_CAPACITY": "1024", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1024"}
    assert growth() < growth(**kept) / 2
