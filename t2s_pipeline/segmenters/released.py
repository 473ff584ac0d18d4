"""The networks of the SAM 2.1 models that Meta released."""

from pathlib import Path

import sam2
from hydra.utils import instantiate
from omegaconf import OmegaConf
from sam2.modeling.sam2_base import SAM2Base

STABILITY_FALLBACK = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
"""What ``sam2.build_sam.build_sam2`` adds to every configuration by default: an unstable single mask is replaced by the
best-scored of the three other masks. Without it the published numbers would not be reached."""


def build_released(config: str) -> SAM2Base:
    """A released network with random weights, as ``sam2.build_sam.build_sam2`` builds it.

    Args:
        config: the name of a file in sam2's folder ``configs/sam2.1``, such as ``sam2.1_hiera_s.yaml``.
    """
    folder = Path(sam2.__path__[0]) / "configs" / "sam2.1"
    # sam2's own function uses hydra's global state, which allows one configuration per process. instantiate() does not.
    model: SAM2Base = instantiate(
        OmegaConf.load(folder / config).model, sam_mask_decoder_extra_args=STABILITY_FALLBACK, _recursive_=True
    )
    return model
