"""Segmenters by name: the embedded miniature, and the released SAM 2.1 models from a checkpoint on disk.

- ``sam2-mini``: the embedded weights; ``sam2-mini@/path/model.safetensors``: others of the same build.
- ``sam2.1-tiny@…``, ``sam2.1-small@…``, ``sam2.1-base-plus@…``, ``sam2.1-large@…``: sam2's own configuration
  with a checkpoint in sam2's own layout, ``.pt`` or ``.safetensors``.
- a bare path whose file is named as Meta releases it, e.g. ``/models/sam2.1_hiera_small.pt``.

Nothing is downloaded.
"""

import hashlib
from pathlib import Path
from pickle import UnpicklingError

import sam2
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from t2s_pipeline.errors import InputError
from t2s_pipeline.miniature import segmenter as miniature
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

MINIATURE = "sam2-mini"
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError, SafetensorError)
"""What torch's and safetensors' readers raise on a damaged or foreign file."""
RELEASED = {
    "sam2.1-tiny": ("sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny"),
    "sam2.1-small": ("sam2.1_hiera_s.yaml", "sam2.1_hiera_small"),
    "sam2.1-base-plus": ("sam2.1_hiera_b+.yaml", "sam2.1_hiera_base_plus"),
    "sam2.1-large": ("sam2.1_hiera_l.yaml", "sam2.1_hiera_large"),
}
"""Our name: sam2's configuration file, and how Meta names the checkpoint."""

STABILITY_FALLBACK = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
"""What ``sam2.build_sam.build_sam2`` adds to every configuration by default: an unstable single mask gives way
to the best-scored of the three others. Left out, published numbers would not be met."""


def load_segmenter(name_or_path: str, device: str = "cpu") -> Sam2Segmenter:
    """The segmenter of that name (see the module's text), frozen, on ``device``.

    Raises:
        InputError: for an unknown name, a missing checkpoint, or a checkpoint that does not fit the model.
    """
    name, _, given = name_or_path.partition("@")
    if not given and name not in RELEASED and name != MINIATURE:
        name, given = _named_by_file(name_or_path), name_or_path
    if name == MINIATURE:
        path = Path(given) if given else miniature.WEIGHTS
        model = miniature.build()
    elif name in RELEASED:
        if not given:
            raise InputError(
                f"{name} needs its checkpoint: write {name}@/path/to/{RELEASED[name][1]}.pt (from the SAM 2.1 release)"
            )
        path = Path(given)
        model = None
    else:
        known = ", ".join([MINIATURE, *(f"{released}@CHECKPOINT" for released in RELEASED)])
        raise InputError(f"{name_or_path!r} is no segmenter: use one of {known}")
    if not path.is_file():
        raise InputError(f"the checkpoint of {name} is not at {path}")
    weights = read_weights(path)
    model = model or build_released(name)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit {name}: it is another model, or not in sam2's own layout") from error
    return Sam2Segmenter(model, name, hashlib.sha256(path.read_bytes()).hexdigest(), device)


def build_released(name: str) -> SAM2Base:
    """A released SAM 2.1 architecture with random weights, as ``sam2.build_sam.build_sam2`` builds it."""
    folder = Path(sam2.__path__[0]) / "configs" / "sam2.1"
    config = OmegaConf.load(folder / RELEASED[name][0])
    # instantiate() alone: sam2's own way goes through hydra's global state, one configuration a process.
    return instantiate(config.model, sam_mask_decoder_extra_args=STABILITY_FALLBACK, _recursive_=True)


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict in float32, from ``.safetensors`` or from a ``.pt`` that may hold tensors and nothing else.

    Raises:
        InputError: for another kind of file, or one that is damaged or holds code.
    """
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        elif path.suffix in (".pt", ".pth"):
            weights = torch.load(path, map_location="cpu", weights_only=True)
            weights = weights.get("model", weights)
        else:
            raise InputError(f"{path} is neither .pt nor .safetensors")
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a checkpoint ({type(error).__name__})") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}


def _named_by_file(path: str) -> str:
    """The released model whose file name this is, or the path itself."""
    stem = Path(path).stem
    return next((name for name, (_, released) in RELEASED.items() if stem == released), path)
