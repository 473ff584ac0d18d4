"""A segmenter with its weights, by name."""

import hashlib
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.hub_cache import cached_file
from t2s_pipeline.core.model_slot import ModelSlot, file_states
from t2s_pipeline.segmenters.embedding import EmbeddingCache
from t2s_pipeline.segmenters.registry import MOBILE_SAM, PublishedFile, Segmenter, find_segmenter, stated_precision
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

UNREADABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, UnpicklingError, SafetensorError)
"""What the readers of torch and safetensors raise for a damaged file or one of another kind."""


def load_segmenter(name_or_path: str, device: str = "cpu", cache: EmbeddingCache | None = None) -> Sam2Segmenter:
    """The segmenter of that name, frozen, on a device.

    Args:
        name_or_path: what ``segmenters.registry.find_segmenter`` takes. Published weights come from the local Hub
            cache and are compared with their known SHA-256. They are downloaded only if HF_HUB_OFFLINE=0.
        device: a torch device.
        cache: where embeddings are stored on disk; None: nowhere.

    Raises:
        InputError: for an unknown name, a missing checkpoint, a checkpoint that does not fit the network, or an unknown
            precision in T2S_SEGMENTER_PRECISION.
    """
    loaded = _loaded(name_or_path, device, cache)
    precision = stated_precision()
    if precision:
        loaded.bfloat16 = precision == "bfloat16"
    return loaded


def _loaded(name_or_path: str, device: str, cache: EmbeddingCache | None) -> Sam2Segmenter:
    segmenter, file = find_segmenter(name_or_path)
    path = file or _default_weights(segmenter)
    if not path.is_file():
        raise InputError(f"The checkpoint of {segmenter.name} is not at {path}.")
    if segmenter.transformers:
        from t2s_pipeline.segmenters.transformers_sam import load_transformers_sam

        return load_transformers_sam(segmenter.name, segmenter.transformers, path, device, cache)
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if file is None and isinstance(segmenter.weights, PublishedFile) and sha256 != segmenter.weights.sha256:
        raise InputError(f"{path} is not the published checkpoint of {segmenter.name}: its SHA-256 is {sha256}.")
    weights = read_weights(path)
    model = segmenter.build()
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise InputError(
            f"{path} does not fit {segmenter.name}: it is of another model, or not in sam2's own layout."
        ) from error
    return Sam2Segmenter(model, segmenter.name, sha256, device, cache=cache)


_KEPT: ModelSlot[Sam2Segmenter] = ModelSlot()


def kept_segmenter(name_or_path: str, device: str = "cpu", cache: EmbeddingCache | None = None) -> Sam2Segmenter:
    """The segmenter of ``load_segmenter``: the one that this process loaded last, if it is the same and its file too.

    Who takes it changes nothing in it.
    """
    segmenter, file = find_segmenter(name_or_path)
    path = file or _default_weights(segmenter)
    store = None if cache is None else (cache.folder, cache.max_bytes)
    key = (segmenter.name, device, store, stated_precision(), file_states(path) if path.is_file() else path)
    return _KEPT.get(key, lambda: load_segmenter(name_or_path, device, cache))


def _default_weights(segmenter: Segmenter) -> Path:
    """The file of a segmenter's own weights.

    Raises:
        InputError: if it has none, or they are not on this machine.
    """
    if isinstance(segmenter.weights, Path):
        return segmenter.weights
    if segmenter.weights is None:
        raise InputError(f"{segmenter.name} has no weights of its own: write {segmenter.name}@FILE.")
    try:
        return cached_file(segmenter.weights.hub_id, segmenter.weights.file)
    except InputError as fault:
        fetch = " `t2s models fetch mobile-sam` gets it." if segmenter.weights == MOBILE_SAM else ""
        raise InputError(
            f"{segmenter.name} needs its checkpoint.{fetch} {fault} You can also write {segmenter.name}@/path/to/"
            f"{segmenter.weights.file}."
        ) from fault


def read_weights(path: Path) -> dict[str, Tensor]:
    """A state dict in float32, from ``.safetensors``, or from a ``.pt`` that holds nothing but tensors.

    Raises:
        InputError: for another kind of file, or one that is damaged or holds code.
    """
    if path.suffix not in (".safetensors", ".pt", ".pth"):
        raise InputError(f"{path} is neither .pt nor .safetensors.")
    try:
        if path.suffix == ".safetensors":
            weights = load_file(path)
        else:
            weights = torch.load(path, map_location="cpu", weights_only=True)
            weights = weights.get("model", weights)
    except UNREADABLE as error:
        raise InputError(f"{path} cannot be read as a checkpoint.") from error
    return {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
