"""SAM2 and the tracker of SAM3 as transformers has them: segmenters that take boxes and points.

The network and its size come from the folder of the weights (``config.json`` beside ``model.safetensors``). SAM3 also
takes texts. They are not used here: published comparisons find text prompts worse on overhead imagery.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.segmenters.embedding import Embedding, EmbeddingCache
from t2s_pipeline.segmenters.points import NEGATIVE, POSITIVE
from t2s_pipeline.segmenters.sam2 import PromptSets, Sam2Segmenter
from t2s_pipeline.segmenters.scored_masks import DecodedObjects
from t2s_pipeline.vision.geometry import Frame, PromptObject

STATISTICS = {
    "Sam2Model": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "Sam3TrackerModel": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""The class in transformers → mean and standard deviation of its image processor, per channel."""


def load_transformers_sam(
    name: str, kind: str, weights: Path, device: str = "cpu", cache: EmbeddingCache | None = None
) -> Sam2Segmenter:
    """The segmenter whose weights lie beside their ``config.json``.

    Args:
        name: the name in tables.
        kind: the name of the class in transformers, a key of ``STATISTICS``.
        weights: ``model.safetensors``, as ``save_pretrained`` writes it.
        device: a torch device.
        cache: where embeddings are stored on disk; None: nowhere.

    Raises:
        InputError: if the files are missing, damaged, or of another model.
    """
    if weights.name != "model.safetensors" or not (weights.parent / "config.json").is_file():
        raise InputError(f"{weights}: {name} needs model.safetensors with its config.json beside it.")
    try:
        pair: Any = getattr(transformers, kind).from_pretrained(
            weights.parent, use_safetensors=True, local_files_only=True, output_loading_info=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError, KeyError, AttributeError) as fault:
        raise InputError(f"{weights.parent} cannot be read as a {kind} ({type(fault).__name__}).") from fault
    model, report = pair
    if report["missing_keys"] or report["mismatched_keys"]:
        raise InputError(f"{weights} lacks weights of a {kind}: it is of another model.")
    with weights.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return TransformersSam(model, name, sha256, device, cache=cache)


class TransformersSam(Sam2Segmenter):
    """A SAM2 or a SAM3 tracker of transformers. Arguments are those of ``Sam2Segmenter``."""

    def __init__(self, model: Any, name: str, sha256: str, device: str = "cpu", **options: Any) -> None:
        """Take over the network; its side is that of its prompt encoder's images."""
        model.image_size = int(model.config.prompt_encoder_config.image_size)
        super().__init__(model, name, sha256, device, **options)
        mean, std = STATISTICS[type(model).__name__]
        self._mean = torch.tensor(mean, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(std, device=self.device).view(3, 1, 1)

    @property
    def _network(self) -> Any:
        """The model; the type of the attribute is that of sam2's own."""
        return self.model

    @torch.inference_mode()
    def encode_many(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 8) -> list[Embedding]:
        """Encode RGB images, each uint8 (H, W, 3) of any size, ``batch_size`` at a time."""
        embeddings = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            pixels = torch.stack([self._to_square(image) for image in batch])
            self.counts.encoder += len(batch)
            with self._precision():
                fine, middle, coarse = self._network.get_image_embeddings(pixels)
            for i, image in enumerate(batch):
                row, native = slice(i, i + 1), Frame(width=image.shape[1], height=image.shape[0])
                embeddings.append(Embedding(coarse[row], (fine[row], middle[row]), native))
        return embeddings

    def _decoded(self, embedding: Embedding, prompt_sets: PromptSets, source: Frame, multimask: bool) -> DecodedObjects:
        """Every distinct object of the prompt sets, decoded once; objects with as many points go together."""
        items = list(dict.fromkeys(item for prompts in prompt_sets for item in prompts))
        groups: dict[tuple[bool, int], list[PromptObject]] = {}
        for item in items:
            points = len(item.positive_points) + len(item.negative_points)
            if item.bbox is None and not points:
                raise InputError("A prompt object has neither a box nor a point: drop it before segmenting.")
            groups.setdefault((item.bbox is not None, points), []).append(item)
        if not groups:
            side = self.frame.width // 4
            return DecodedObjects({}, torch.zeros((0, side, side), device=self.device), [])
        order: list[PromptObject] = []
        logits, scores = [], []
        for group in groups.values():
            for chunk in self._chunks(group):
                chunk_logits, chunk_scores = self._masks(embedding, chunk, source, multimask)
                order += chunk
                logits.append(chunk_logits)
                scores.append(chunk_scores)
        index = {item: number for number, item in enumerate(order)}
        return DecodedObjects(index, torch.cat(logits), torch.cat(scores).tolist())

    def _masks(
        self, embedding: Embedding, items: Sequence[PromptObject], source: Frame, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Mask logits (n, S/4, S/4) and scores (n) of objects with the same number of points."""
        moved = [item.moved(source, self.frame) for item in items]
        points = [[*item.positive_points, *item.negative_points] for item in moved]
        labels = [[POSITIVE] * len(i.positive_points) + [NEGATIVE] * len(i.negative_points) for i in moved]
        inputs: dict[str, Tensor] = {}
        if points[0]:
            inputs["input_points"] = torch.tensor([points], dtype=torch.float, device=self.device)
            inputs["input_labels"] = torch.tensor([labels], dtype=torch.int, device=self.device)
        if moved[0].bbox is not None:
            inputs["input_boxes"] = torch.tensor([[item.bbox for item in moved]], device=self.device).float()
        self.counts.decoder += 1
        self.counts.objects += len(items)
        features = [*embedding.high_res, embedding.image]
        with self._precision():
            result = self._network(image_embeddings=features, multimask_output=multimask, **inputs)
        scores, logits = result.iou_scores[0].float(), result.pred_masks[0].float()
        best = scores.argmax(dim=1)
        rows = torch.arange(len(items), device=self.device)
        return logits[rows, best], scores[rows, best]
