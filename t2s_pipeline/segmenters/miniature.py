"""The network of the embedded segmenter: sam2's own classes at a size that trains on a laptop.

It is a SAM2 image model: Hiera trunk, feature pyramid, prompt encoder and mask decoder. The video parts (memory
attention, memory encoder, object pointers) are left out, because no image prompt reaches them. The weights are in
``miniature/weights/segmenter``. ``miniature/train_segmenter.py`` makes them.
"""

from dataclasses import dataclass

from sam2.modeling.backbones.hieradet import Hiera
from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
from sam2.modeling.position_encoding import PositionEmbeddingSine
from sam2.modeling.sam2_base import SAM2Base


@dataclass(frozen=True)
class MiniatureSam2Config:
    """The size of the miniature. The strides are SAM2's: a token covers 16 pixels, a mask logit 4 pixels."""

    image_size: int = 128
    """The side of the input square in pixels, a multiple of 32."""
    embed_dim: int = 24
    """Channels of the first stage; they double at each stage."""
    stages: tuple[int, int, int, int] = (1, 2, 3, 1)
    """Transformer blocks per stage, at strides 4, 8, 16 and 32."""
    windows: tuple[int, int, int, int] = (8, 4, 8, 4)
    """The side of the attention window per stage, in tokens. Each divides the feature map, so nothing is padded."""
    global_blocks: tuple[int, ...] = (4,)
    """The blocks whose attention covers the whole map."""
    hidden_dim: int = 128
    """Channels of the neck, the prompt embeddings and the mask decoder. Masks use an eighth of them."""


SIZES = {
    "small": MiniatureSam2Config(embed_dim=16, stages=(1, 1, 2, 1), global_blocks=(3,), hidden_dim=64),
    "mini": MiniatureSam2Config(),
    "large": MiniatureSam2Config(embed_dim=32, stages=(1, 2, 5, 1), global_blocks=(6,)),
}
"""The sizes of Table 5 in miniature. ``mini`` is the embedded one."""


def build(config: MiniatureSam2Config | None = None) -> SAM2Base:
    """A miniature SAM2 with random weights, on the CPU, in training mode.

    Besides the size, two things differ from the released models. Every level of the pyramid receives features of the
    coarser levels (released: only strides 16 and 32), because a stride-4 stage of one block recognizes edges but not
    objects. And the single-mask output is always that of the single-mask token: the released models' fallback to the
    three-mask tokens, for unstable masks, is off.
    """
    config = config or MiniatureSam2Config()
    trunk = Hiera(
        embed_dim=config.embed_dim,
        num_heads=1,
        stages=config.stages,
        window_spec=config.windows,
        global_att_blocks=config.global_blocks,
        window_pos_embed_bkg_spatial_size=(8, 8),
    )
    neck = FpnNeck(
        # By default sam2 fills a cache for inputs of 1024 pixels on CUDA.
        position_encoding=PositionEmbeddingSine(config.hidden_dim, warmup_cache=False),
        d_model=config.hidden_dim,
        backbone_channel_list=trunk.channel_list,
        fpn_interp_model="nearest",
    )
    return SAM2Base(
        image_encoder=ImageEncoder(trunk=trunk, neck=neck, scalp=1),
        memory_attention=None,
        memory_encoder=None,
        num_maskmem=1,
        image_size=config.image_size,
        directly_add_no_mem_embed=True,
        use_high_res_features_in_sam=True,
        iou_prediction_use_sigmoid=True,
    )
