"""A frozen SAM2 that decodes many prompt sets of one image together.

First ``encode`` an image. Then ``decode`` prompt sets into masks, ``segment`` them into run lengths, or take their
``overlap`` with a true mask. The results are those of sam2's ``SAM2ImagePredictor``, called once per object. Only the
bookkeeping differs: the completions of a GRPO group ask for hundreds of objects on one image, and many of them are
equal.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from t2s_pipeline.core.onednn import onednn_is_there
from t2s_pipeline.segmenters.decoder import DecoderImage, decode, prepare
from t2s_pipeline.segmenters.embedding import Embedding, EmbeddingCache
from t2s_pipeline.segmenters.hiera import image_features, is_released_kind
from t2s_pipeline.segmenters.points import point_tensors
from t2s_pipeline.segmenters.scored_masks import DecodedObjects, ScoredMask, ScoredRunLengths, run_lengths
from t2s_pipeline.vision.geometry import Frame, PromptObject

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""The RGB statistics of ``sam2.utils.transforms.SAM2Transforms``, per channel."""

PromptSets = Sequence[Sequence[PromptObject]]
"""One sequence of prompt objects per answer."""

CPU_BYTES_AT_ONCE = 60_000_000
"""Working memory of one call of the mask decoder on a CPU. With more objects per call each object takes longer, because
their feature maps no longer fit the CPU's caches (measured in docs/performance.md). This is enough for one object of
the released models, and for hundreds of the miniature, whose maps are 256 times smaller. On a GPU only the memory sets
a limit."""


@dataclass
class Counts:
    """How often the network was run: encoded images, calls of the mask decoder, and the objects in these calls."""

    encoder: int = 0
    decoder: int = 0
    objects: int = 0


class Sam2Segmenter:
    """A SAM2 image model with frozen weights.

    Args:
        model: the network. It is moved to ``device``, set to evaluation and frozen.
        name: its name for people, e.g. ``sam2.1-small``.
        sha256: of the file with the weights.
        device: a torch device.
        memory_bytes: the working memory of one call of the mask decoder. Default: 2 GiB on a CPU, a quarter of the
            free memory on a GPU.
        at_once: the objects in one call of the mask decoder, if memory allows. Default: as many as
            ``CPU_BYTES_AT_ONCE`` allows on a CPU, no limit on a GPU.
        bfloat16: whether products are computed in bfloat16. Weights stay in float32. Default: on a GPU only.
        cache: where embeddings are stored on disk; None: nowhere.
    """

    def __init__(
        self,
        model: SAM2Base,
        name: str,
        sha256: str,
        device: str | torch.device = "cpu",
        memory_bytes: int | None = None,
        at_once: int | None = None,
        bfloat16: bool | None = None,
        cache: EmbeddingCache | None = None,
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.name = name
        self.sha256 = sha256
        self.device = torch.device(device)
        on_gpu = self.device.type == "cuda"
        default_bytes = torch.cuda.mem_get_info(self.device)[0] // 4 if on_gpu else 2 * 1024**3
        self.memory_bytes = default_bytes if memory_bytes is None else memory_bytes
        self.bfloat16 = on_gpu if bfloat16 is None else bfloat16
        self.cache = cache
        self.counts = Counts()
        self.frame = Frame.square(model.image_size)
        self._released_kind = is_released_kind(model)
        # SAM's own encoder adds an empty point to objects without a box only, that of SAM2 to all.
        self.extra_point_beside_boxes = getattr(model, "extra_point_beside_boxes", True)
        self.at_once = at_once or (1 << 30 if on_gpu else max(1, CPU_BYTES_AT_ONCE // self._bytes_per_object()))
        self._prepared: tuple[Embedding, DecoderImage] | None = None
        self._mean = torch.tensor(MEAN, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(STD, device=self.device).view(3, 1, 1)

    def encode(self, image: NDArray[np.uint8]) -> Embedding:
        """Encode one RGB image, uint8 (H, W, 3), or read its embedding from the cache."""
        if self.cache is None:
            return self.encode_many([image])[0]
        key = self.cache.key(image, self.sha256, "bfloat16" if self.bfloat16 else "float32")
        embedding = self.cache.get(key, Frame(width=image.shape[1], height=image.shape[0]), str(self.device))
        if embedding is None:
            embedding = self.encode_many([image])[0]
            self.cache.put(key, embedding)
        return embedding

    @torch.inference_mode()
    def encode_many(self, images: Sequence[NDArray[np.uint8]], batch_size: int = 8) -> list[Embedding]:
        """Encode RGB images, each uint8 (H, W, 3) of any size, ``batch_size`` at a time."""
        embeddings = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            pixels = torch.stack([self._to_square(image) for image in batch])
            self.counts.encoder += len(batch)
            with self._precision():
                fine, middle, coarse = self._features(pixels)
                if self.model.directly_add_no_mem_embed:
                    coarse = coarse + self.model.no_mem_embed.view(1, -1, 1, 1)
            for i, image in enumerate(batch):
                row = slice(i, i + 1)
                native = Frame(width=image.shape[1], height=image.shape[0])
                embeddings.append(Embedding(coarse[row], (fine[row], middle[row]), native))
        return embeddings

    @torch.inference_mode()
    def decode(
        self,
        embedding: Embedding,
        prompt_sets: PromptSets,
        source: Frame,
        out: Frame,
        multimask: bool = False,
    ) -> list[ScoredMask]:
        """The mask of every prompt set.

        Args:
            embedding: the encoded image.
            prompt_sets: one sequence of prompt objects per answer. An empty sequence gives an empty mask.
            source: the frame of the prompts' coordinates.
            out: the frame of the masks.
            multimask: take the best-scored of SAM2's three masks instead of its single-mask output.

        Raises:
            InputError: for an object with neither a box nor a point.
        """
        decoded = self._decoded(embedding, prompt_sets, source, multimask)
        return [ScoredMask(decoded.mask(items, out).cpu().numpy(), decoded.scores_of(items)) for items in prompt_sets]

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        prompt_sets: PromptSets,
        source: Frame,
        outs: Sequence[Frame],
        multimask: bool = False,
    ) -> list[ScoredRunLengths]:
        """The masks of every prompt set at several sizes, from one pass of the decoder.

        Only the positions where runs end leave the device, and no masks.

        Args:
            embedding: the encoded image.
            prompt_sets: as in ``decode``.
            source: the frame of the prompts' coordinates.
            outs: the frames of the masks.
            multimask: as in ``decode``.

        Raises:
            InputError: for an object with neither a box nor a point.
        """
        decoded = self._decoded(embedding, prompt_sets, source, multimask)
        return [
            ScoredRunLengths(tuple(run_lengths(decoded.mask(items, out)) for out in outs), decoded.scores_of(items))
            for items in prompt_sets
        ]

    @torch.inference_mode()
    def overlap(
        self,
        embedding: Embedding,
        prompt_sets: PromptSets,
        truth: NDArray[np.bool_],
        source: Frame,
        multimask: bool = False,
    ) -> list[tuple[int, int]]:
        """Intersection and union, in pixels, of every prompt set's mask with a true mask.

        The masks are made at the size of ``truth`` and counted on the device. So a reward moves two numbers per answer
        off the device, and no mask.

        Args:
            embedding: the encoded image.
            prompt_sets: as in ``decode``.
            truth: bool (h, w).
            source: the frame of the prompts' coordinates.
            multimask: as in ``decode``.

        Raises:
            InputError: for an object with neither a box nor a point.
        """
        out = Frame(width=truth.shape[1], height=truth.shape[0])
        target = torch.as_tensor(truth, dtype=torch.bool, device=self.device)
        target_area = torch.count_nonzero(target)
        decoded = self._decoded(embedding, prompt_sets, source, multimask)
        counts: dict[tuple[PromptObject, ...], Tensor] = {}
        for items in map(tuple, prompt_sets):
            if items not in counts:  # late in training most answers are equal
                mask = decoded.mask(items, out)
                shared = torch.count_nonzero(mask & target)
                counts[items] = torch.stack([shared, target_area + torch.count_nonzero(mask) - shared])
        if not counts:
            return []
        numbers = dict(zip(counts, torch.stack(list(counts.values())).tolist(), strict=True))
        return [(numbers[items][0], numbers[items][1]) for items in map(tuple, prompt_sets)]

    def _features(self, pixels: Tensor) -> Sequence[Tensor]:
        """The features of normalized pixels (B, 3, S, S), the finest first."""
        if self.device.type == "cpu" and not self.bfloat16 and self._released_kind and onednn_is_there():
            return image_features(self.model, pixels)
        features: Sequence[Tensor] = self.model.forward_image(pixels)["backbone_fpn"]
        return features

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def _to_square(self, image: NDArray[np.uint8]) -> Tensor:
        """Normalized pixels (3, S, S) of a uint8 (H, W, 3) image: antialiased bilinear, as SAM2Transforms."""
        pixels = torch.tensor(image, device=self.device).permute(2, 0, 1).float() / 255
        size = (self.frame.height, self.frame.width)
        if pixels.shape[1:] != size:
            pixels = F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
        return (pixels - self._mean) / self._std

    def _decoded(self, embedding: Embedding, prompt_sets: PromptSets, source: Frame, multimask: bool) -> DecodedObjects:
        """Every distinct object of the prompt sets, decoded once."""
        items = list(dict.fromkeys(item for prompts in prompt_sets for item in prompts))
        index = {item: number for number, item in enumerate(items)}
        side = self.frame.width // 4
        if not items:
            return DecodedObjects(index, torch.zeros((0, side, side), device=self.device), [])
        encoder = self.model.sam_prompt_encoder
        logits, scores = [], []
        with self._precision():
            image = self._decoder_image(embedding)
            for chunk in self._chunks(items):
                xy, labels, real = point_tensors(
                    chunk, source, self.frame.width, self.device, self.extra_point_beside_boxes
                )
                # The encoder adds one more point of the label NO_POINT to every object.
                prompts, _ = encoder(points=(xy, labels), boxes=None, masks=None)
                self.counts.decoder += 1
                self.counts.objects += len(chunk)
                chunk_logits, chunk_scores = decode(self.model.sam_mask_decoder, image, prompts, real, multimask)
                logits.append(chunk_logits)
                scores.append(chunk_scores.float())
        return DecodedObjects(index, torch.cat(logits), torch.cat(scores).tolist())

    def _decoder_image(self, embedding: Embedding) -> DecoderImage:
        """What does not depend on prompts. It is kept for the next call, which is often about the same image."""
        if self._prepared is None or self._prepared[0] is not embedding:
            encoder = self.model.sam_prompt_encoder
            image = prepare(
                self.model.sam_mask_decoder,
                embedding.image,
                encoder.get_dense_pe(),
                encoder.no_mask_embed.weight,
                embedding.high_res,
            )
            self._prepared = embedding, image
        return self._prepared[1]

    def _chunks(self, items: Sequence[PromptObject]) -> Iterator[Sequence[PromptObject]]:
        """The objects of each call of the mask decoder."""
        at_once = max(1, min(self.at_once, self.memory_bytes // self._bytes_per_object()))
        for start in range(0, len(items), at_once):
            yield items[start : start + at_once]

    def _bytes_per_object(self) -> int:
        """Working memory of one object in the mask decoder, a generous estimate for float32.

        About five copies of the (S/16)² × C tokens and three of the two upscaled maps exist at once.
        """
        side, channels = self.frame.width, self.model.hidden_dim
        tokens = (side // 16) ** 2 * channels * 5
        upscaled = ((side // 8) ** 2 * (channels // 4) + (side // 4) ** 2 * (channels // 8)) * 3
        return int(4 * (tokens + upscaled))
