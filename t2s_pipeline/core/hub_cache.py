"""Files of published models, from the local cache of the Hugging Face Hub.

Nothing is downloaded unless the environment says ``HF_HUB_OFFLINE=0``.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from t2s_pipeline.core.errors import InputError


def cached_snapshot(hub_id: str, revision: str, patterns: Sequence[str]) -> Path:
    """The folder with a repository's files at one commit.

    Args:
        hub_id: ``owner/model``.
        revision: the commit, 40 hex digits.
        patterns: the files to take, as ``*.json``.

    Raises:
        InputError: if they are not in the cache and cannot be downloaded.
    """

    def download(local_files_only: bool) -> str:
        from huggingface_hub import snapshot_download

        return snapshot_download(
            hub_id, revision=revision, allow_patterns=list(patterns), local_files_only=local_files_only
        )

    return _cached(download, f"{hub_id} at its pinned commit", f"hf download {hub_id} --revision {revision}")


def cached_file(hub_id: str, file: str, revision: str | None = None) -> Path:
    """One file of a repository.

    Args:
        hub_id: ``owner/model``.
        file: its path in the repository.
        revision: the commit, 40 hex digits; None for the newest one that was fetched.

    Raises:
        InputError: if it is not in the cache and cannot be downloaded.
    """

    def download(local_files_only: bool) -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(hub_id, file, revision=revision, local_files_only=local_files_only)

    return _cached(download, f"{file} of {hub_id}", f"hf download {hub_id} {file}")


def _cached(download: Callable[[bool], str], title: str, command: str) -> Path:
    """What ``download`` returns; it takes whether it may only use local files."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(download(os.environ.get("HF_HUB_OFFLINE", "1") != "0"))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, ConnectionError) as fault:
        raise InputError(
            f"The local Hub cache lacks {title} ({type(fault).__name__}): fetch it with `{command}`, "
            "or set HF_HUB_OFFLINE=0."
        ) from fault
