"""Files of published models, from the local cache of the Hugging Face Hub.

Nothing is downloaded unless the environment says ``HF_HUB_OFFLINE=0``.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from t2s_pipeline.core.errors import InputError


class NotInCacheError(InputError):
    """The local Hub cache lacks a file.

    Attributes:
        title: what it lacks, in words.
        command: the command that fetches it.
    """

    def __init__(self, title: str, command: str, offline: bool) -> None:
        next_step = f"fetch it with `{command}`, or set HF_HUB_OFFLINE=0"
        if not offline:
            next_step = f"it could not be downloaded either; on a machine with a connection, `{command}` fetches it"
        super().__init__(f"The local Hub cache lacks {title}: {next_step}.")
        self.title = title
        self.command = command


def cached_snapshot(hub_id: str, revision: str, patterns: Sequence[str]) -> Path:
    """The folder with a repository's files at one commit.

    Args:
        hub_id: ``owner/model``.
        revision: the commit, 40 hex digits.
        patterns: the files to take, as ``*.json``.

    Raises:
        NotInCacheError: if they are not in the cache and cannot be downloaded.
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
        NotInCacheError: if it is not in the cache and cannot be downloaded.
    """

    def download(local_files_only: bool) -> str:
        from huggingface_hub import hf_hub_download

        return hf_hub_download(hub_id, file, revision=revision, local_files_only=local_files_only)

    return _cached(download, f"{file} of {hub_id}", f"hf download {hub_id} {file}")


def _cached(download: Callable[[bool], str], title: str, command: str) -> Path:
    """What ``download`` returns; it takes whether it may only use local files."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    offline = os.environ.get("HF_HUB_OFFLINE", "1") != "0"
    try:
        return Path(download(offline))
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, ConnectionError) as fault:
        raise NotInCacheError(title, command, offline) from fault
