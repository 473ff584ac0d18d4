"""The files of a prompter: embedded, named in models.toml, in a folder, or in the Hub cache at a pinned commit."""

import os
from pathlib import Path

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTERS
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.hub_cache import cached_snapshot
from t2s_pipeline.core.hub_layout import snapshot_folder
from t2s_pipeline.core.models import PROMPTER, ModelEntry, entries, find_entry, place_of
from t2s_pipeline.core.outside_files import home_expanded, shown
from t2s_pipeline.core.weight_files import sha256_of, weight_files
from t2s_pipeline.prompters.families import PublishedModel, published_model, published_models

FILES = ("*.json", "*.safetensors", "*.txt", "*.jinja", "*.model")
"""What is taken of a published checkpoint. Weights in other formats and Python files are never fetched."""


def folder_of(name_or_path: str) -> Path:
    """The folder with a checkpoint.

    A published checkpoint is taken from the local Hub cache. It is downloaded only if HF_HUB_OFFLINE=0.

    Args:
        name_or_path: an embedded prompter (``qwen2.5-vl-mini``), a name of ``models.toml``, the name of a published
            model (``published_models``), its Hub id, ``owner/model@commit`` for any other model of the Hub, or a
            folder.

    Raises:
        InputError: if there is no such checkpoint on this machine.
    """
    folder = _local_folder(name_or_path)
    if folder is not None:
        return folder
    model = _of_the_hub(name_or_path)
    if model is None:
        names = ", ".join(dict.fromkeys([*EMBEDDED_PROMPTERS, *_own_names(), *published_models()]))
        raise InputError(
            f"There is no prompter {shown(name_or_path)}: use {names}, owner/model@commit for another model of the "
            "Hub, or a folder with a saved model."
        )
    return cached_snapshot(model.hub_id, model.revision, FILES)


def folder_if_here(name_or_path: str) -> Path | None:
    """The folder with a checkpoint as ``folder_of`` finds it; None if it is not on this machine. Never downloads."""
    try:
        folder = _local_folder(name_or_path)
    except InputError:
        return None  # it was moved and cannot be found; who loads it gets the sentence
    model = _of_the_hub(name_or_path)
    return folder or (snapshot_folder(model.hub_id, model.revision) if model else None)


def entry_of(name: str) -> ModelEntry | None:
    """The entry of ``models.toml`` for a prompter's name; the names of one published model are equal."""
    published = published_model(name)
    return find_entry(PROMPTER, name, *([published.name, published.hub_id] if published else []))


def _local_folder(name_or_path: str) -> Path | None:
    """The folder of an embedded model, of an entry with a path, or the folder itself."""
    if name_or_path in EMBEDDED_PROMPTERS:
        return EMBEDDED_PROMPTERS[name_or_path]
    entry = entry_of(name_or_path)
    if entry is not None:
        return place_of(entry) if entry.path else None
    folder = home_expanded(name_or_path)
    return folder if name_or_path and os.path.isdir(folder) else None


def _of_the_hub(name: str) -> PublishedModel | None:
    entry = entry_of(name)
    if entry is not None and not entry.path:
        return PublishedModel(name, entry.hub_id, entry.revision)
    return published_model(name)


def _own_names() -> list[str]:
    return [entry.name for entry in entries() if entry.kind == PROMPTER]


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, in the order of their names."""
    return sha256_of(weight_files(folder))
