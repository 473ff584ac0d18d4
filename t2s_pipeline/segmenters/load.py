"""Segmenters by name: the embedded miniature, and the released SAM 2.1 models.  [torch]

- ``sam2-mini``: the embedded weights; ``sam2-mini@/path/model.safetensors``: others of the same build.
- ``sam2.1-tiny``, ``sam2.1-small``, ``sam2.1-base-plus``, ``sam2.1-large``, or their Hub ids
  (``facebook/sam2.1-hiera-small``): Meta's checkpoint from the local Hub cache, held against its known sha256. It is
  fetched only if HF_HUB_OFFLINE=0 says that downloads are wanted.
- ``sam2.1-small@/path/to/file``: other weights in sam2's own layout, ``.pt`` or ``.safetensors``.
- a bare path whose file is named as Meta releases it, e.g. ``/models/sam2.1_hiera_small.pt``.
"""

import hashlib
import os
from dataclasses import dataclass
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

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.segmenters import miniature
from t2s_pipeline.segmenters.embedding import EmbeddingCache
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

MINIATURE = "sam2-mini"
UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError, SafetensorError)
"""What torch's and safetensors' readers raise on a damaged or foreign file."""


@dataclass(frozen=True)
class ReleasedSegmenter:
    """sam2's configuration file, how Meta names the checkpoint, and the sha256 of its ``.pt``."""

    config: str
    checkpoint: str
    sha256: str

    @property
    def hub_id(self) -> str:
        return f"facebook/{self.checkpoint.replace('_', '-')}"


RELEASED = {
    "sam2.1-tiny": ReleasedSegmenter(
        "sam2.1_hiera_t.yaml", "sam2.1_hiera_tiny", "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"
    ),
    "sam2.1-small": ReleasedSegmenter(
        "sam2.1_hiera_s.yaml", "sam2.1_hiera_small", "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"
    ),
    "sam2.1-base-plus": ReleasedSegmenter(
        "sam2.1_hiera_b+.yaml",
        "sam2.1_hiera_base_plus",
        "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    ),
    "sam2.1-large": ReleasedSegmenter(
        "sam2.1_hiera_l.yaml", "sam2.1_hiera_large", "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"
    ),
}

STABILITY_FALLBACK = {
    "dynamic_multimask_via_stability": True,
    "dynamic_multimask_stability_delta": 0.05,
    "dynamic_multimask_stability_thresh": 0.98,
}
"""What ``sam2.build_sam.build_sam2`` adds to every configuration by default: an unstable single mask gives way
to the best-scored of the three others. Left out, published numbers would not be met."""


def load_segmenter(name_or_path: str, device: str = "cpu", cache: EmbeddingCache | None = None) -> Sam2Segmenter:
    """The segmenter of that name (see the module's text), frozen, on ``device``.

    Args:
        cache: where embeddings are kept on disk, if anywhere.

    Raises:
        InputError: for an unknown name, a missing checkpoint, or a checkpoint that does not fit the model.
    """
    name, _, given = name_or_path.partition("@")
    name = next((known for known, release in RELEASED.items() if release.hub_id == name), name)
    if not given and name not in RELEASED and name != MINIATURE:
        name, given = _named_by_file(name_or_path), name_or_path
    if name == MINIATURE:
        path = Path(given) if given else miniature.WEIGHTS
    elif name in RELEASED:
        path = Path(given) if given else _from_hub(name)
    else:
        known = ", ".join([MINIATURE, *RELEASED])
        raise InputError(f"{name_or_path!r} is no segmenter: use one of {known}, or NAME@CHECKPOINT")
    if not path.is_file():
        raise InputError(f"the checkpoint of {name} is not at {path}")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if not given and name in RELEASED and sha256 != RELEASED[name].sha256:
        raise InputError(f"{path} is not the checkpoint that Meta released as {name}: its sha256 is {sha256}")
    weights = read_weights(path)
    model = miniature.build() if name == MINIATURE else build_released(name)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(f"{path} does not fit {name}: it is another model, or not in sam2's own layout") from error
    return Sam2Segmenter(model, name, sha256, device, cache=cache)


def _from_hub(name: str) -> Path:
    """Meta's checkpoint in the local Hub cache."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    release = RELEASED[name]
    file = f"{release.checkpoint}.pt"
    offline = os.environ.get("HF_HUB_OFFLINE", "1") != "0"
    try:
        return Path(hf_hub_download(release.hub_id, file, local_files_only=offline))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, ConnectionError) as fault:
        raise InputError(
            f"{name} needs its checkpoint, which is not in the local Hub cache ({type(fault).__name__}): fetch it with "
            f"`hf download {release.hub_id} {file}`, or write {name}@/path/to/{file}"
        ) from fault


def build_released(name: str) -> SAM2Base:
    """A released SAM 2.1 architecture with random weights, as ``sam2.build_sam.build_sam2`` builds it."""
    folder = Path(sam2.__path__[0]) / "configs" / "sam2.1"
    config = OmegaConf.load(folder / RELEASED[name].config)
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
    return next((name for name, release in RELEASED.items() if stem == release.checkpoint), path)
