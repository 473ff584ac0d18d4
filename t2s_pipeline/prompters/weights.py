"""The files of a prompter: embedded in this repository, in a folder, or in the local Hub cache at a pinned commit."""

import hashlib
from pathlib import Path

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTER_FOLDER
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.hub_cache import cached_snapshot
from t2s_pipeline.prompters.families import published_model, published_models

FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")
"""What is taken of a published checkpoint. Weights in other formats and Python files are never fetched."""


def folder_of(name_or_path: str) -> Path:
    """The folder with a checkpoint.

    A published checkpoint is taken from the local Hub cache. It is downloaded only if HF_HUB_OFFLINE=0.

    Args:
        name_or_path: ``qwen2.5-vl-mini``, the name of a published model (``published_models``), its Hub id,
            ``owner/model@commit`` for any other model of the Hub, or a folder.

    Raises:
        InputError: if there is no such checkpoint on this machine.
    """
    if name_or_path == EMBEDDED_PROMPTER:
        return EMBEDDED_PROMPTER_FOLDER
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    model = published_model(name_or_path)
    if model is None:
        names = ", ".join([EMBEDDED_PROMPTER, *published_models()])
        raise InputError(
            f"There is no prompter {name_or_path!r}: use {names}, owner/model@commit for another model of the Hub, or "
            "a folder with a saved model."
        )
    return cached_snapshot(model.hub_id, model.revision, FILES)


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
