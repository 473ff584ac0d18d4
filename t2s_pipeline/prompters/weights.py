"""Where a prompter's files lie: embedded, a folder, or the local Hub cache at a pinned commit.  No torch."""

import hashlib
import os
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import EMBEDDED_WEIGHTS
from t2s_pipeline.prompters.families import RELEASES, Release, released

MINIATURE = "qwen2.5-vl-mini"
EMBEDDED = EMBEDDED_WEIGHTS / "prompter"

FILES = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
"""Of a published checkpoint; weights in other formats and Python files are never fetched."""


def folder_of(name_or_path: str) -> Path:
    """The folder with the checkpoint: by a name of ``RELEASES``, a Hub id, ``owner/model@commit``, or a path.

    A published checkpoint is taken from the local Hub cache. It is fetched into it only if HF_HUB_OFFLINE=0 says that
    downloads are wanted.

    Raises:
        InputError: if there is no such checkpoint on this machine.
    """
    if name_or_path == MINIATURE:
        return EMBEDDED
    folder = Path(name_or_path).expanduser()
    if folder.is_dir():
        return folder
    release = released(name_or_path)
    if release is None:
        known = ", ".join([MINIATURE, *RELEASES])
        raise InputError(
            f"No prompter {name_or_path!r}: give {known}, owner/model@commit of another one, or a folder with a "
            "saved model."
        )
    return _from_hub(release)


def _from_hub(release: Release) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        return Path(
            snapshot_download(
                release.hub_id,
                revision=release.revision,
                allow_patterns=FILES,
                local_files_only=os.environ.get("HF_HUB_OFFLINE", "1") != "0",
            )
        )
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, HfHubHTTPError, ConnectionError) as fault:
        raise InputError(
            f"{release.hub_id} is not in the local Hub cache at its pinned commit ({type(fault).__name__}): fetch it "
            f"with `hf download {release.hub_id} --revision {release.revision}`, or set HF_HUB_OFFLINE=0."
        ) from fault


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the safetensors files of a folder, in the order of their names."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
