"""The embedding of an image, and a store of embeddings on disk with a size limit.

The segmenter is frozen, so the embedding of an image is the same in every epoch. Encoding it again takes seconds on a
CPU and tens of milliseconds on a GPU. Reading it means reading 16 MB (float32, the released sizes). This is worth it on
a slow device with a fast disk. So the store is off unless ``T2S_EMBEDDING_CACHE_GB`` gives it room; a training on a CPU
decides by itself (training/embedding_store.py).
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.geometry import Frame

ROOM_VARIABLE = "T2S_EMBEDDING_CACHE_GB"
"""The environment variable with the size limit of the store, in gigabytes (10⁹ bytes)."""

TENSORS = ("image", "fine", "middle")
"""The names of the tensors in a file."""


@dataclass(frozen=True)
class Embedding:
    """One encoded image, on the segmenter's device.

    Attributes:
        image: (1, C, S/16, S/16), S the side of the segmenter's square.
        high_res: (1, C/8, S/4, S/4) and (1, C/4, S/8, S/8).
        native: the frame of the image that was encoded.
    """

    image: Tensor
    high_res: tuple[Tensor, Tensor]
    native: Frame


class EmbeddingCache:
    """Embeddings in a folder, one safetensors file per embedding. The oldest are removed when the folder is full.

    Several processes may share it. A file appears whole, and a file that another process removed counts as absent.

    Args:
        folder: it is created when it is first needed.
        max_bytes: the limit for all files together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self.hits = self.misses = 0

    @classmethod
    def under(cls, home: Path) -> "EmbeddingCache | None":
        """The store in a T2S_HOME; None unless T2S_EMBEDDING_CACHE_GB gives it room.

        Raises:
            InputError: if T2S_EMBEDDING_CACHE_GB is not a number.
        """
        room = _room()
        return cls(home / "embeddings", room) if room > 0 else None

    @property
    def bytes_on_disk(self) -> int:
        """The size of all files together."""
        return sum(size for _, _, size in self._files())

    @staticmethod
    def key(image: NDArray[np.uint8], segmenter_sha256: str, precision: str) -> str:
        """The key of an image, uint8 (H, W, 3): its pixels and size, the segmenter's weights, and the precision."""
        digest = hashlib.sha256(f"{segmenter_sha256} {precision} {image.shape}".encode())
        digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def get(self, key: str, native: Frame, device: str) -> Embedding | None:
        """The embedding, or None. A damaged file is removed and counts as absent."""
        path = self._path(key)
        try:
            with safe_open(path, "pt", device=device) as file:
                image, fine, middle = (file.get_tensor(name) for name in TENSORS)
        except FileNotFoundError:
            self.misses += 1
            return None
        except SafetensorError:
            path.unlink(missing_ok=True)
            self.misses += 1
            return None
        self.hits += 1
        return Embedding(image, (fine, middle), native)

    def put(self, key: str, embedding: Embedding) -> None:
        """Store an embedding and remove the oldest ones that no longer fit.

        Raises:
            T2SError: if the disk is full.
        """
        tensors = (embedding.image, *embedding.high_res)
        with atomic_file(self._path(key)) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in zip(TENSORS, tensors, strict=True)}, temporary)
        files = sorted(self._files(), key=lambda file: file[1])
        total = sum(size for _, _, size in files)
        for path, _, size in files:
            if total <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _files(self) -> list[tuple[Path, int, int]]:
        """Path, time of writing in nanoseconds, and bytes of every file."""
        files = []
        for path in self.folder.glob("[0-9a-f]*.safetensors"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process removed it
                continue
            files.append((path, status.st_mtime_ns, status.st_size))
        return files


def room_given() -> bool:
    """Whether the environment says how much room there is, be it none."""
    return bool(os.environ.get(ROOM_VARIABLE))


def _room() -> int:
    """The size limit in bytes; 0 if the environment does not set it."""
    text = os.environ.get(ROOM_VARIABLE) or "0"
    try:
        return int(float(text) * 1e9)
    except (ValueError, OverflowError) as fault:
        raise InputError(f"{ROOM_VARIABLE} is {text!r}: set it to a number of gigabytes, or to 0 for none.") from fault
