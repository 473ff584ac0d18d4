"""The files with a model's weights, and the hash over their contents, which is what a model is known by."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.outside_files import open_outside
from t2s_pipeline.core.settings import Settings

REMEMBERED_FROM = 1 << 26
"""Bytes. The hash of larger files is remembered, because reading gigabytes takes many seconds."""


def weight_files(place: Path) -> list[Path]:
    """The weights of a model: the file itself, or the safetensors files of a folder in the order of their names."""
    return [place] if place.is_file() else sorted(place.glob("*.safetensors"))


def size_of(files: Sequence[Path]) -> int:
    """The size of files together, in bytes."""
    return sum(file.stat().st_size for file in files)


def sha256_of(files: Sequence[Path]) -> str:
    """SHA-256 over the contents of files, one after the other.

    It is remembered below ``T2S_HOME/tmp/sha256`` until a file changes: its place on the disk, its size or its times.

    Raises:
        OutsideFileError: if one is no regular file or cannot be read.
    """
    for path in files:
        open_outside(path).close()
    note = _note(files) if size_of(files) >= REMEMBERED_FROM else None
    if note is not None and note.is_file():
        return note.read_text("ascii")
    digest = hashlib.sha256()
    for path in files:
        with open_outside(path) as file:
            while block := file.read(1 << 20):
                digest.update(block)
    if note is not None and os.access(next(parent for parent in note.parents if parent.exists()), os.W_OK):
        with atomic_file(note) as temporary:
            temporary.write_text(digest.hexdigest(), "ascii")
    return digest.hexdigest()


def remembered_sha256(files: Sequence[Path]) -> str:
    """The hash of ``sha256_of`` if it takes no time: of small files, or remembered. Else empty."""
    if size_of(files) < REMEMBERED_FROM or _note(files).is_file():
        return sha256_of(files)
    return ""


def _note(files: Sequence[Path]) -> Path:
    """The file that remembers the hash of these files as they are now. Their names do not count."""
    stats = [file.stat() for file in files]
    key = [(stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for stat in stats]
    return Settings.from_env().home / "tmp" / "sha256" / hashlib.sha256(str(key).encode()).hexdigest()
