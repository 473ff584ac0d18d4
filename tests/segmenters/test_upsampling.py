"""A mask is upsampled where it can be target, and comes out as if it had been upsampled everywhere."""

import pytest

from t2s_pipeline.vision.geometry import Frame

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from t2s_pipeline.segmenters.upsampling import union  # noqa: E402


def everywhere(logits, out: Frame):
    """The plain way: interpolate all of it, then look at the sign."""
    whole = F.interpolate(logits[:, None], (out.height, out.width), mode="bilinear", align_corners=False)
    return (whole[:, 0] > 0).any(0)


def spots(*boxes, size=64):
    """Logits that are positive in these boxes (top, left, bottom, right), each mask with its own."""
    torch.manual_seed(4)
    logits = -torch.rand(len(boxes), size, size) - 0.01
    for mask, (top, left, bottom, right) in zip(logits, boxes, strict=True):
        mask[top:bottom, left:right] *= -1
    return logits


@pytest.mark.parametrize("out", [Frame(210, 210), Frame(64, 64), Frame(37, 51), Frame(333, 20)], ids=str)
@pytest.mark.parametrize(
    "boxes",
    [
        [(10, 20, 12, 23)],
        [(0, 0, 1, 1), (63, 63, 64, 64)],
        [(0, 0, 64, 64)],
        [(30, 0, 31, 64), (5, 5, 9, 60)],
        [(0, 0, 0, 0)],
        [],
    ],
)
def test_only_what_can_be_target_is_upsampled_and_nothing_is_missed(boxes, out):
    logits = spots(*boxes)
    found, expected = union(logits, out), everywhere(logits, out)
    assert found.shape == (out.height, out.width)
    # The two round differently: a pixel whose logit is a rounding error may fall on either side.
    assert (found != expected).sum() <= 1
    assert found.any() == expected.any()


def test_random_logits_agree_too():
    torch.manual_seed(1)
    logits = torch.randn(3, 256, 256)
    out = Frame.square(840)
    assert (union(logits, out) != everywhere(logits, out)).float().mean() < 1e-5
