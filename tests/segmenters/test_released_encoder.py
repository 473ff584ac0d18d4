"""The encoder for CPUs computes what sam2's own does, for every shape of block that the released models have."""

import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from sam2.modeling.backbones.hieradet import Hiera  # noqa: E402
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder  # noqa: E402
from sam2.modeling.position_encoding import PositionEmbeddingSine  # noqa: E402
from sam2.modeling.sam2_base import SAM2Base  # noqa: E402

from t2s_pipeline.segmenters import hiera, products  # noqa: E402
from t2s_pipeline.segmenters.hiera import image_features, is_released_kind  # noqa: E402
from t2s_pipeline.segmenters.miniature import build  # noqa: E402
from t2s_pipeline.segmenters.mobile_sam import build as build_mobile_sam  # noqa: E402
from t2s_pipeline.segmenters.registry import SEGMENTERS  # noqa: E402
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter  # noqa: E402


def narrow_model(windows: tuple[int, ...], image_size: int = 256, top_down: tuple[int, ...] = (2, 3)) -> SAM2Base:
    """A model of the released kind with few channels."""
    torch.manual_seed(0)
    trunk = Hiera(
        embed_dim=16,
        num_heads=1,
        stages=(1, 2, 4, 2),
        window_spec=windows,
        global_att_blocks=(5,),
        window_pos_embed_bkg_spatial_size=(7, 7),
    )
    torch.nn.init.normal_(trunk.pos_embed)
    torch.nn.init.normal_(trunk.pos_embed_window)
    neck = FpnNeck(
        position_encoding=PositionEmbeddingSine(64, warmup_cache=False),
        d_model=64,
        backbone_channel_list=trunk.channel_list,
        fpn_interp_model="nearest",
        fpn_top_down_levels=list(top_down),
    )
    model = SAM2Base(
        image_encoder=ImageEncoder(trunk=trunk, neck=neck, scalp=1),
        memory_attention=None,
        memory_encoder=None,
        num_maskmem=1,
        image_size=image_size,
        directly_add_no_mem_embed=True,
        use_high_res_features_in_sam=True,
        iou_prediction_use_sigmoid=True,
    )
    return model.eval().requires_grad_(False)


def assert_equal_features(model: SAM2Base, pixels) -> None:
    with torch.inference_mode():
        plain, ours = model.forward_image(pixels)["backbone_fpn"], image_features(model, pixels)
    assert len(plain) == len(ours) == 3
    for one, other in zip(plain, ours, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() <= 1e-5 * one.abs().max()


@pytest.mark.parametrize(
    ("windows", "many", "least"),
    [((8, 4, 14, 7), 1, 2**17), ((8, 4, 14, 7), 2, products.WORTH_ONEDNN), ((8, 4, 6, 4), 1, 2**19)],
    ids=["padded windows", "two images", "windows of other sizes"],
)
def test_features_are_those_of_sam2(windows, many, least, monkeypatch):
    """Bands of one row of windows up to the whole map, and attention over the whole map."""
    model, pixels = narrow_model(windows), torch.randn(many, 3, 256, 256)
    assert is_released_kind(model)
    monkeypatch.setattr(products, "WORTH_ONEDNN", least)
    monkeypatch.setattr(hiera, "MANY_TOKENS", 200)
    monkeypatch.setattr(hiera, "QUERIES_AT_ONCE", 100)
    for tokens in (1, 600, 1 << 30):
        monkeypatch.setattr(hiera, "TOKENS_AT_ONCE", tokens)
        assert_equal_features(model, pixels)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["tiny", "small", "base-plus", "large"])
def test_features_of_the_released_architectures_are_those_of_sam2(size):
    torch.manual_seed(0)
    model = SEGMENTERS[f"sam2.1-{size}"].build().eval().requires_grad_(False)
    assert is_released_kind(model)
    assert_equal_features(model, torch.randn(1, 3, 1024, 1024))


def test_other_encoders_are_not_of_the_released_kind():
    assert not is_released_kind(build())
    assert not is_released_kind(build_mobile_sam())
    assert not is_released_kind(narrow_model((8, 4, 14, 7), top_down=(1, 2, 3)))


@pytest.mark.parametrize("there", [True, False], ids=["oneDNN", "no oneDNN"])
def test_a_segmenter_encodes_with_it_in_float32_where_there_is_onednn(there, monkeypatch):
    model, called = narrow_model((8, 4, 14, 7), image_size=128), []
    monkeypatch.setattr(
        model, "forward_image", lambda pixels: called.append(1) or type(model).forward_image(model, pixels)
    )
    with torch.backends.mkldnn.flags(enabled=there):
        image = torch.zeros((128, 128, 3), dtype=torch.uint8).numpy()
        Sam2Segmenter(model, "narrow", "none").encode(image)
        assert len(called) == int(not there)
        Sam2Segmenter(model, "narrow", "none", bfloat16=True).encode(image)
        assert len(called) == int(not there) + 1
