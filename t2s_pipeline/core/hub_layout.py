"""Where the local Hub cache keeps a file, without the package that fills it: the orchestrator does not have it.

The layout is documented: https://huggingface.co/docs/huggingface_hub/guides/manage-cache
"""

import os
from pathlib import Path

from t2s_pipeline.core.outside_files import home_expanded


def snapshot_folder(hub_id: str, revision: str) -> Path | None:
    """The folder with a repository's files at a commit; None if the cache does not have it."""
    folder = _repository(hub_id) / "snapshots" / revision
    return folder if folder.is_dir() else None


def newest_file(hub_id: str, file: str) -> Path | None:
    """A file at the newest commit of the branch main that was fetched; None if the cache does not have it."""
    reference = _repository(hub_id) / "refs" / "main"
    if not reference.is_file():
        return None
    path = _repository(hub_id) / "snapshots" / reference.read_text("ascii").strip() / file
    return path if path.is_file() else None


def cache_folder() -> Path:
    """The folder of the local Hub cache, as HF_HUB_CACHE and HF_HOME say."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if value := os.environ.get(variable):
            return home_expanded(value) / below
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return home_expanded(base) / "huggingface" / "hub"


def _repository(hub_id: str) -> Path:
    return cache_folder() / f"models--{hub_id.replace('/', '--')}"
