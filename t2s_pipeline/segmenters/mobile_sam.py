"""MobileSAM: SAM with a small image encoder, which segments real pixels on a CPU in about a second.

It is not SAM2, and its masks say nothing about Think2Seg-RS. It is for prompts that a person gives, and for seeing what
labels can reach on real scenes without a GPU.

SAM's prompt encoder and mask decoder are those of SAM2 without high-resolution features and without the object score.
So sam2's classes hold the weights. One thing differs from the authors' own code: an image that is no square is squeezed
into one, as for SAM2, instead of padded.
"""

from collections.abc import Mapping
from typing import Any

from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.modeling.sam.prompt_encoder import PromptEncoder
from sam2.modeling.sam.transformer import TwoWayTransformer
from torch import Tensor, nn

from t2s_pipeline.segmenters.tiny_vit import OUT_CHANNELS, TinyViT

SIDE = 1024
"""The side of the square that it sees, in pixels."""

_CLASSIFIER = ("image_encoder.norm_head.", "image_encoder.head.")
"""The start of names in the checkpoint that only the encoder's own training needed."""


class MobileSam(nn.Module):
    """MobileSAM with random weights, with the attributes of ``SAM2Base`` that segmentation uses.

    Attributes:
        image_size: the side of its square, in pixels.
        hidden_dim: channels of the features.
        directly_add_no_mem_embed: false; it has no memory.
        extra_point_beside_boxes: false; SAM adds an empty point to objects without a box only.
    """

    extra_point_beside_boxes = False

    def __init__(self) -> None:
        super().__init__()
        self.image_size, self.hidden_dim, self.directly_add_no_mem_embed = SIDE, OUT_CHANNELS, False
        side = SIDE // 16
        self.image_encoder = TinyViT()
        self.prompt_encoder = PromptEncoder(OUT_CHANNELS, (side, side), (SIDE, SIDE), mask_in_chans=16)
        self.mask_decoder = MaskDecoder(
            transformer_dim=OUT_CHANNELS,
            transformer=TwoWayTransformer(depth=2, embedding_dim=OUT_CHANNELS, num_heads=8, mlp_dim=2048),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=256,
        )
        self.register_load_state_dict_pre_hook(_rename)  # type: ignore[no-untyped-call]  # torch has no types here

    @property
    def sam_prompt_encoder(self) -> Any:
        """The prompt encoder, as ``SAM2Base`` names it."""
        return self.prompt_encoder

    @property
    def sam_mask_decoder(self) -> Any:
        """The mask decoder, as ``SAM2Base`` names it."""
        return self.mask_decoder

    def forward_image(self, pixels: Tensor) -> Mapping[str, list[Tensor]]:
        """The features of normalized pixels (B, 3, 1024, 1024), as ``SAM2Base`` returns them.

        There are no high-resolution features. Zeros in their place change nothing, because the decoder adds them.
        """
        features, side = self.image_encoder(pixels), SIDE // 16
        fine = features.new_zeros((len(pixels), OUT_CHANNELS // 8, 4 * side, 4 * side))
        middle = features.new_zeros((len(pixels), OUT_CHANNELS // 4, 2 * side, 2 * side))
        return {"backbone_fpn": [fine, middle, features]}


def _rename(module: nn.Module, weights: dict[str, Tensor], *_: Any) -> None:
    """Give the weights of a checkpoint the names of sam2's classes, and drop those of the classifier."""
    for name in list(weights):
        value = weights.pop(name)
        if not name.startswith(_CLASSIFIER):
            weights[name.replace(".mlp.lin1.", ".mlp.layers.0.").replace(".mlp.lin2.", ".mlp.layers.1.")] = value


def build() -> MobileSam:
    """MobileSAM with random weights, on the CPU."""
    return MobileSam()
