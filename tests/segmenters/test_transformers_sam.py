"""SAM2 and SAM3's tracker of transformers, at tiny size with random weights: boxes and points become masks."""

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

import transformers  # noqa: E402

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.vision.geometry import Frame, PromptObject  # noqa: E402

SIDE = 128
FRAME = Frame.square(100)
BOX = PromptObject((10, 10, 50, 60))
POINTS = PromptObject(None, ((20.0, 20.0), (30.0, 40.0)), ((80.0, 80.0),))
BOTH = PromptObject((10, 10, 50, 60), ((20.0, 20.0), (30.0, 40.0)))
ENCODER = {"image_size": SIDE, "hidden_size": 32, "mask_input_channels": 8, "patch_size": 16}
DECODER = {
    "hidden_size": 32,
    "mlp_dim": 32,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 32,
    "num_hidden_layers": 2,
}


def sam2() -> "transformers.Sam2Model":
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[8, 4, 4, 4],
        window_positional_embedding_background_size=[4, 4],
        global_attention_blocks=[3],
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=32,
    )
    config = transformers.Sam2Config(
        vision_config=vision.to_dict(), prompt_encoder_config=ENCODER, mask_decoder_config=DECODER
    )
    return transformers.Sam2Model(config)


def sam3() -> "transformers.Sam3TrackerModel":
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 112,
        "pretrain_image_size": 56,
        "window_size": 4,
        "global_attn_indexes": [1],
    }
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }
    encoder = {**ENCODER, "image_size": 112, "patch_size": 14}
    config = transformers.Sam3TrackerConfig(
        vision_config=vision, prompt_encoder_config=encoder, mask_decoder_config=DECODER
    )
    return transformers.Sam3TrackerModel(config)


BUILDERS = {"sam2-transformers": sam2, "sam3-tracker": sam3}


@pytest.fixture(scope="module", params=BUILDERS)
def saved(request, tmp_path_factory) -> tuple[str, Path]:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp(request.param)
    BUILDERS[request.param]().save_pretrained(folder)
    return request.param, folder / "model.safetensors"


def test_boxes_and_points_become_masks_of_the_asked_size(saved):
    name, path = saved
    segmenter = load_segmenter(f"{name}@{path}")
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    embedding = segmenter.encode(image)
    native = Frame(width=120, height=90)
    masks = segmenter.decode(embedding, [[BOX], [POINTS], [BOTH, POINTS], []], FRAME, native)
    assert [mask.mask.shape for mask in masks] == [(90, 120)] * 4
    assert [len(mask.scores) for mask in masks] == [1, 1, 2, 0]
    assert not masks[3].mask.any()
    assert np.array_equal(masks[2].mask, segmenter.decode(embedding, [[BOTH]], FRAME, native)[0].mask | masks[1].mask)
    again = segmenter.segment(embedding, [[BOX]], FRAME, (native,))[0].masks[0]
    assert again.area == masks[0].mask.sum()
    [(intersection, union)] = segmenter.overlap(embedding, [[BOX]], masks[0].mask, FRAME)
    assert intersection == union == masks[0].mask.sum()


def test_the_masks_are_those_of_transformers_itself(saved):
    name, path = saved
    segmenter = load_segmenter(f"{name}@{path}")
    side = segmenter.frame.width
    image = np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)
    model = type(BUILDERS[name]()).from_pretrained(path.parent).eval()
    pixels = (torch.tensor(image).permute(2, 0, 1)[None] / 255 - segmenter._mean) / segmenter._std
    with torch.inference_mode():
        expected = model(pixel_values=pixels, input_boxes=torch.tensor([[[10.0, 10, 60, 70]]]), multimask_output=False)
    box = PromptObject((10, 10, 60, 70))
    decoded = segmenter._decoded(segmenter.encode(image), [[box]], segmenter.frame, multimask=False)
    assert torch.allclose(decoded.logits, expected.pred_masks[0, :, 0], atol=1e-4)


def test_weights_without_their_config_or_of_another_model_are_named(saved, tmp_path):
    name, path = saved
    (tmp_path / "model.safetensors").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"config\.json beside it"):
        load_segmenter(f"{name}@{tmp_path / 'model.safetensors'}")
    config = json.loads((path.parent / "config.json").read_text())
    config["mask_decoder_config"]["hidden_size"] = 64
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"of another model|cannot be read"):
        load_segmenter(f"{name}@{tmp_path / 'model.safetensors'}")
