"""An encoded image, and a bounded store of them on disk.  [torch]

The segmenter is frozen, so an image's embedding is the same in every epoch. Encoding it again costs seconds on a
CPU and tens of milliseconds on a GPU; reading it back costs 16 MB (float32, the released sizes). That pays on a slow
device with a fast disk, so it is off unless ``T2S_EMBEDDING_CACHE_GB`` says how much room there is.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.settings import embedding_cache_bytes
from t2s_pipeline.vision.geometry import Frame

NAMES = ("image", "fine", "middle")


@dataclass(frozen=True)
class Embedding:
    """One encoded image, on the segmenter's device.

    Attributes:
        image: (1, C, S/16, S/16), S the side of the segmenter's input square.
        high_res: (1, C/8, S/4, S/4) and (1, C/4, S/8, S/8).
        native: the frame of the image that was encoded.
    """

    image: Tensor
    high_res: tuple[Tensor, Tensor]
    native: Frame


class EmbeddingCache:
    """Embeddings in a folder, one safetensors file each, the oldest given up when there are too many bytes.

    Several processes may share it: a file appears whole, and one that another process removed is a miss.

    Args:
        folder: made when it is first needed.
        max_bytes: of all files together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self.hits = self.misses = 0

    @classmethod
    def under(cls, home: Path) -> "EmbeddingCache | None":
        """The one in a T2S_HOME; None unless T2S_EMBEDDING_CACHE_GB gives it room."""
        room = embedding_cache_bytes()
        return cls(home / "embeddings", room) if room > 0 else None

    @staticmethod
    def key(image: np.ndarray, segmenter_sha256: str, precision: str) -> str:
        """Of an image, uint8 (H, W, 3): its pixels and size, who encodes it, and how precisely."""
        digest = hashlib.sha256(f"{segmenter_sha256} {precision} {image.shape}".encode())
        digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()

    def get(self, key: str, native: Frame, device: str) -> Embedding | None:
        """The embedding, or None; a damaged file is removed and counts as absent."""
        path = self._path(key)
        try:
            with safe_open(path, "pt", device=device) as file:
                image, fine, middle = (file.get_tensor(name) for name in NAMES)
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
        """Keep an embedding and give up the oldest ones that no longer fit.

        Raises:
            T2SError: if the disk is full.
        """
        tensors = (embedding.image, *embedding.high_res)
        with atomic_file(self._path(key)) as temporary:
            save_file({name: tensor.contiguous() for name, tensor in zip(NAMES, tensors, strict=True)}, temporary)
        kept = sorted(self._files(), key=lambda found: found[1])
        total = sum(size for _, _, size in kept)
        for path, _, size in kept:
            if total <= self.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _files(self) -> list[tuple[Path, int, int]]:
        """Path, time of writing in nanoseconds, bytes."""
        found = []
        for path in self.folder.glob("[0-9a-f]*.safetensors"):
            try:
                status = path.stat()
            except FileNotFoundError:  # another process gave it up
                continue
            found.append((path, status.st_mtime_ns, status.st_size))
        return found
