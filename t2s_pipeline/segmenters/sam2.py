"""A frozen SAM2 that decodes many prompt sets of one image together.  [torch]

``encode`` an image; ``decode`` prompt sets into masks, ``segment`` them into run lengths, or take their ``overlap``
with a true mask. What comes out is what sam2's ``SAM2ImagePredictor`` gives when it is called once per object; what
differs is the bookkeeping: the rollouts of a GRPO group ask for hundreds of objects on one image, many of them the
same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.segmenters.decoder import decode, prepare
from t2s_pipeline.segmenters.embedding import Embedding, EmbeddingCache
from t2s_pipeline.segmenters.upsampling import union
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Per-channel RGB statistics of ``sam2.utils.transforms.SAM2Transforms``."""

POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT, NO_POINT = 1, 0, 2, 3, -1
"""Point labels of sam2's prompt encoder; a box is its two corner points."""

PromptSets = Sequence[Sequence[PromptObject]]

CPU_BYTES_AT_ONCE = 60_000_000
"""On a CPU more objects in a call make each of them slower: their feature maps no longer fit its caches
(measured in docs/performance.md). This is one object of the released models, and hundreds of the miniature, whose
maps are 256 times smaller. On a GPU memory alone decides."""


@dataclass(frozen=True)
class ScoredMask:
    """The mask of one prompt set.

    Attributes:
        mask: bool (height, width), the union over the set's objects.
        scores: the segmenter's own estimate of each object's IoU, in the order of the objects.
    """

    mask: np.ndarray
    scores: tuple[float, ...]


@dataclass(frozen=True)
class ScoredRunLengths:
    """The masks of one prompt set as run lengths, one per requested size, and the scores of its objects."""

    masks: tuple[masks.Rle, ...]
    scores: tuple[float, ...]


@dataclass
class Counts:
    """How often the network was run: images encoded, calls of the mask decoder, objects in them."""

    encoder: int = 0
    decoder: int = 0
    objects: int = 0


@dataclass(frozen=True)
class _Decoded:
    """Distinct objects: where each is in the stack of mask logits (n, S/4, S/4), and its score."""

    place: dict[PromptObject, int]
    logits: Tensor
    scores: list[float]

    def of(self, items: Sequence[PromptObject]) -> Tensor:
        """The logits of a prompt set, each object once."""
        return self.logits[list(dict.fromkeys(self.place[item] for item in items))]

    def scores_of(self, items: Sequence[PromptObject]) -> tuple[float, ...]:
        return tuple(self.scores[self.place[item]] for item in items)


class Sam2Segmenter:
    """A SAM2 image model with its weights frozen.

    Args:
        model: the network; it is moved to ``device``, set to evaluation and frozen.
        name: what people call it, e.g. ``sam2.1-small``.
        sha256: of the file the weights came from.
        device: a torch device.
        memory_bytes: how much working memory one call of the mask decoder may take; by default 2 GiB, or a quarter
            of what is free on a GPU.
        at_once: objects in one call of the mask decoder, if memory allows; by default what ``CPU_BYTES_AT_ONCE``
            allows on a CPU, and no limit on a GPU.
        bfloat16: whether products are computed in bfloat16 (weights stay in float32); by default on a GPU only.
        cache: where embeddings are kept on disk, if anywhere.
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
        free = torch.cuda.mem_get_info(self.device)[0] // 4 if on_gpu else 2 * 1024**3
        self.memory_bytes = free if memory_bytes is None else memory_bytes
        self.bfloat16 = on_gpu if bfloat16 is None else bfloat16
        self.cache = cache
        self.counts = Counts()
        self.frame = Frame.square(model.image_size)
        self.at_once = at_once or (1 << 30 if on_gpu else max(1, CPU_BYTES_AT_ONCE // self._bytes_per_object()))
        self._mean = torch.tensor(MEAN, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(STD, device=self.device).view(3, 1, 1)

    def encode(self, image: np.ndarray) -> Embedding:
        """Encode one RGB image, uint8 (H, W, 3), or read its embedding back from the cache."""
        if self.cache is None:
            return self.encode_many([image])[0]
        key = self.cache.key(image, self.sha256, "bfloat16" if self.bfloat16 else "float32")
        found = self.cache.get(key, Frame(width=image.shape[1], height=image.shape[0]), str(self.device))
        if found is None:
            found = self.encode_many([image])[0]
            self.cache.put(key, found)
        return found

    @torch.inference_mode()
    def encode_many(self, images: Sequence[np.ndarray], batch_size: int = 8) -> list[Embedding]:
        """Encode RGB images, each uint8 (H, W, 3) of any size, ``batch_size`` at a time."""
        embeddings = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            pixels = torch.stack([self._to_square(image) for image in batch])
            self.counts.encoder += len(batch)
            with self._precision():
                fine, middle, coarse = self.model.forward_image(pixels)["backbone_fpn"]
                if self.model.directly_add_no_mem_embed:
                    coarse = coarse + self.model.no_mem_embed.view(1, -1, 1, 1)
            for i, image in enumerate(batch):
                one = slice(i, i + 1)
                native = Frame(width=image.shape[1], height=image.shape[0])
                embeddings.append(Embedding(coarse[one], (fine[one], middle[one]), native))
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
            embedding: the image.
            prompt_sets: one sequence of prompt objects per answer; an empty one gives an empty mask.
            source: the frame the prompts' coordinates are pixels of.
            out: the frame of the masks.
            multimask: take the best-scored of SAM2's three masks instead of its single-mask output.

        Raises:
            InputError: for an object with neither a box nor a point.
        """
        found = self._decoded(embedding, prompt_sets, source, multimask)
        return [ScoredMask(union(found.of(items), out).cpu().numpy(), found.scores_of(items)) for items in prompt_sets]

    @torch.inference_mode()
    def segment(
        self,
        embedding: Embedding,
        prompt_sets: PromptSets,
        source: Frame,
        outs: Sequence[Frame],
        multimask: bool = False,
    ) -> list[ScoredRunLengths]:
        """As ``decode``, at several sizes from one pass of the decoder; run lengths leave the device, not masks."""
        found = self._decoded(embedding, prompt_sets, source, multimask)
        return [
            ScoredRunLengths(tuple(_run_lengths(union(found.of(items), out)) for out in outs), found.scores_of(items))
            for items in prompt_sets
        ]

    @torch.inference_mode()
    def overlap(
        self,
        embedding: Embedding,
        prompt_sets: PromptSets,
        truth: np.ndarray,
        source: Frame,
        multimask: bool = False,
    ) -> list[tuple[int, int]]:
        """Intersection and union, in pixels, of every prompt set's mask with ``truth``, bool (h, w).

        The masks are made at the resolution of ``truth`` and counted on the device, so that a reward moves
        two numbers per answer off it and not a mask. Arguments are those of ``decode``.
        """
        out = Frame(width=truth.shape[1], height=truth.shape[0])
        target = torch.as_tensor(truth, dtype=torch.bool, device=self.device)
        whole = torch.count_nonzero(target)
        found = self._decoded(embedding, prompt_sets, source, multimask)
        counts = {}
        for items in map(tuple, prompt_sets):
            if items not in counts:  # equal answers are the rule late in training
                mask = union(found.of(items), out)
                shared = torch.count_nonzero(mask & target)
                counts[items] = torch.stack([shared, whole + torch.count_nonzero(mask) - shared])
        if not counts:
            return []
        numbers = dict(zip(counts, torch.stack(list(counts.values())).tolist(), strict=True))
        return [tuple(numbers[tuple(items)]) for items in prompt_sets]

    def _precision(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)

    def _to_square(self, image: np.ndarray) -> Tensor:
        """Normalized pixels (3, S, S) of a uint8 (H, W, 3) image: antialiased bilinear, as SAM2Transforms."""
        pixels = torch.tensor(image, device=self.device).permute(2, 0, 1).float() / 255
        size = (self.frame.height, self.frame.width)
        if pixels.shape[1:] != size:
            pixels = F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
        return (pixels - self._mean) / self._std

    def _decoded(self, embedding: Embedding, prompt_sets: PromptSets, source: Frame, multimask: bool) -> _Decoded:
        """Every distinct object of the prompt sets, decoded once."""
        place = {item: index for index, item in enumerate(dict.fromkeys(item for s in prompt_sets for item in s))}
        size = self.frame.width // 4
        if not place:
            return _Decoded(place, torch.zeros((0, size, size), device=self.device), [])
        encoder = self.model.sam_prompt_encoder
        logits, scores = [], []
        with self._precision():
            image = prepare(
                self.model.sam_mask_decoder,
                embedding.image,
                encoder.get_dense_pe(),
                encoder.no_mask_embed.weight,
                embedding.high_res,
            )
            for chunk in self._chunks(list(place)):
                prompts, real = self._embedded(chunk, source)
                self.counts.decoder += 1
                self.counts.objects += len(chunk)
                some, their_scores = decode(self.model.sam_mask_decoder, image, prompts, real, multimask)
                logits.append(some)
                scores.append(their_scores.float())
        return _Decoded(place, torch.cat(logits), torch.cat(scores).tolist())

    def _chunks(self, items: list[PromptObject]) -> Iterator[list[PromptObject]]:
        """Objects that go through the mask decoder together."""
        at_once = max(1, min(self.at_once, self.memory_bytes // self._bytes_per_object()))
        for start in range(0, len(items), at_once):
            yield items[start : start + at_once]

    def _bytes_per_object(self) -> int:
        """Working memory of one object in the mask decoder, a generous estimate for float32.

        About five copies of the (S/16)² × C tokens and three of the two upscaled maps live at once.
        """
        side, channels = self.frame.width, self.model.hidden_dim
        tokens = (side // 16) ** 2 * channels * 5
        upscaled = ((side // 8) ** 2 * (channels // 4) + (side // 4) ** 2 * (channels // 8)) * 3
        return 4 * (tokens + upscaled)

    def _embedded(self, items: Sequence[PromptObject], source: Frame) -> tuple[Tensor, Tensor | None]:
        """Embedded points (n, P, C), and which of them are real (n, P); None where no object is filled up."""
        points = [labelled_points(item) for item in items]
        if not all(points):
            raise InputError("a prompt object has neither a box nor a point; drop it before segmenting")
        lengths = [len(item) for item in points]
        longest = max(lengths)
        filled = [item + [((0.0, 0.0), NO_POINT)] * (longest - len(item)) for item in points]
        xy = torch.tensor([[at for at, _ in item] for item in filled], dtype=torch.float, device=self.device)
        labels = torch.tensor([[label for _, label in item] for item in filled], dtype=torch.int, device=self.device)
        # Divided first, multiplied second, in float32: the order of SAM2Transforms.transform_coords.
        xy = xy / xy.new_tensor([source.width, source.height]) * self.frame.width
        # It puts one more point of label NO_POINT at the end, which belongs to every object.
        prompts, _ = self.model.sam_prompt_encoder(points=(xy, labels), boxes=None, masks=None)
        if min(lengths) == longest:
            return prompts, None
        real = torch.arange(longest + 1, device=self.device) < torch.tensor(lengths, device=self.device)[:, None]
        real[:, -1] = True
        return prompts, real


def _run_lengths(mask: Tensor) -> masks.Rle:
    """COCO run lengths of a bool (height, width) mask; only the places where runs end leave the device."""
    height, width = mask.shape
    columns = mask.T.flatten()
    ends = (columns[1:] != columns[:-1]).nonzero()[:, 0] + 1
    return masks.from_run_ends(height, width, ends.cpu().numpy(), bool(columns[0]))


def labelled_points(item: PromptObject) -> list[tuple[tuple[float, float], int]]:
    """An object as labelled points: the box's corners first, as ``SAM2ImagePredictor._predict`` puts them."""
    points: list[tuple[tuple[float, float], int]] = []
    if item.bbox is not None:
        points += [(item.bbox[:2], TOP_LEFT), (item.bbox[2:], BOTTOM_RIGHT)]
    points += [(point, POSITIVE) for point in item.positive_points]
    points += [(point, NEGATIVE) for point in item.negative_points]
    return points
