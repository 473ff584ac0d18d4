"""oneDNN's products are torch's, whatever the memory order, and small ones stay torch's own."""

import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from t2s_pipeline.core import onednn  # noqa: E402
from t2s_pipeline.segmenters.products import linear, products_of_rows  # noqa: E402


@pytest.fixture
def calls(monkeypatch) -> list[tuple]:
    """The shapes of what is given to oneDNN."""
    if onednn._LINEAR is None:
        pytest.skip("this torch has no oneDNN")
    made, real = [], onednn._LINEAR

    def recorded(x, weight, *rest):
        made.append((tuple(x.shape), tuple(weight.shape)))
        return real(x, weight, *rest)

    monkeypatch.setattr(onednn, "_LINEAR", recorded)
    return made


def close(one, other) -> bool:
    return one.shape == other.shape and bool((one - other).abs().max() <= 1e-5 * other.abs().max())


def orders(matrix):
    """The matrix in three orders of memory: by rows, by columns, and as a part of a wider one."""
    wide = torch.zeros(matrix.shape[0], 3 * matrix.shape[1])
    wide[:, : matrix.shape[1]] = matrix
    return matrix, matrix.T.contiguous().T, wide[:, : matrix.shape[1]]


@pytest.mark.parametrize("gelu", [False, True])
def test_a_linear_layer_is_torchs(gelu, calls):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(300, 96), torch.randn(88, 96), torch.randn(88)
    expected = F.linear(x, weight, bias)
    expected = F.gelu(expected) if gelu else expected
    for rows in orders(x):
        for columns in orders(weight):
            assert close(linear(rows, columns, bias, gelu), expected)
    assert len(calls) == 9


@pytest.mark.parametrize("count", [1, 3])
def test_products_of_rows_are_torchs_and_each_is_independent_of_the_others(count, calls):
    torch.manual_seed(0)
    x, y = torch.randn(count, 300, 96), torch.randn(count, 88, 96)
    result = products_of_rows(x, y)
    assert close(result, x @ y.transpose(1, 2))
    assert close(products_of_rows(x, y[0]), x @ y[0].T)
    assert close(products_of_rows(x, y[:1]), x @ y[0].T)
    assert close(products_of_rows(x, y.transpose(1, 2).contiguous().transpose(1, 2)), result)
    assert all(torch.equal(products_of_rows(x[i : i + 1], y[i : i + 1])[0], result[i]) for i in range(count))
    assert len(calls) == 5 * count


def test_small_products_other_types_and_autocast_stay_torchs_own(calls):
    x, y = torch.randn(2, 64, 128), torch.randn(2, 128, 128)
    assert torch.equal(products_of_rows(x, y), x @ y.transpose(1, 2))
    assert torch.equal(products_of_rows(x, y[0]), F.linear(x, y[0]))
    assert torch.equal(linear(x[0], y[0], gelu=True), F.gelu(F.linear(x[0], y[0])))
    wide, weight = torch.randn(1, 4096, 128), torch.randn(1, 128, 128)
    assert products_of_rows(wide.double(), weight.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert products_of_rows(wide, weight).dtype == torch.bfloat16
    with torch.backends.mkldnn.flags(enabled=False):
        products_of_rows(wide, weight)
    assert calls == []
    products_of_rows(wide, weight)
    assert calls == [((4096, 128), (128, 128))]
