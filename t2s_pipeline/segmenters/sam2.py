"""A frozen SAM2 that decodes many prompt sets of one image together.

Three verbs: ``encode`` an image, ``decode`` prompt sets into masks, ``overlap`` prompt sets with a true mask.
The arithmetic is that of sam2's ``SAM2ImagePredictor`` called once per object; what differs is the
bookkeeping: the rollouts of a GRPO group ask for hundreds of objects on one image, many of them the same.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sam2.modeling.sam2_base import SAM2Base
from torch import Tensor

from t2s_pipeline.errors import InputError
from t2s_pipeline.geometry import Frame, PromptObject

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Per-channel RGB statistics of ``sam2.utils.transforms.SAM2Transforms``."""

POSITIVE, NEGATIVE, TOP_LEFT, BOTTOM_RIGHT = 1, 0, 2, 3
"""Point labels of sam2's prompt encoder; a box is its two corner points."""

PromptSets = Sequence[Sequence[PromptObject]]


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


@dataclass(frozen=True)
class Segmentation:
    """The mask of one prompt set.

    Attributes:
        mask: bool (height, width), the union over the set's objects.
        scores: the segmenter's own estimate of each object's IoU, in the order of the objects.
    """

    mask: np.ndarray
    scores: tuple[float, ...]


class Sam2Segmenter:
    """A SAM2 image model with its weights frozen.

    Args:
        model: the network; it is moved to ``device``, set to evaluation and frozen.
        name: what people call it, e.g. ``sam2.1-small``.
        sha256: of the file the weights came from.
        device: a torch device.
        memory_bytes: how much working memory one call of the mask decoder may take.
    """

    def __init__(
        self,
        model: SAM2Base,
        name: str,
        sha256: str,
        device: str | torch.device = "cpu",
        memory_bytes: int = 2 * 1024**3,
    ) -> None:
        self.model = model.to(device).eval().requires_grad_(False)
        self.name = name
        self.sha256 = sha256
        self.device = torch.device(device)
        self.memory_bytes = memory_bytes
        self.frame = Frame.square(model.image_size)
        self._mean = torch.tensor(MEAN, device=self.device).view(3, 1, 1)
        self._std = torch.tensor(STD, device=self.device).view(3, 1, 1)

    def encode(self, image: np.ndarray) -> Embedding:
        """Encode one RGB image, uint8 (H, W, 3)."""
        return self.encode_many([image])[0]

    @torch.inference_mode()
    def encode_many(self, images: Sequence[np.ndarray], batch_size: int = 8) -> list[Embedding]:
        """Encode RGB images, each uint8 (H, W, 3) of any size, ``batch_size`` at a time."""
        embeddings = []
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            pixels = torch.stack([self._to_square(image) for image in batch])
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
    ) -> list[Segmentation]:
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
        union, scores = self._union(embedding, prompt_sets, source, out, multimask)
        masks = union.cpu().numpy()
        return [
            Segmentation(mask, tuple(scores[item] for item in items))
            for mask, items in zip(masks, prompt_sets, strict=True)
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
        masks, _ = self._union(embedding, prompt_sets, source, out, multimask)
        target = torch.as_tensor(truth, dtype=torch.bool, device=self.device)
        shared = (masks & target).sum(dim=(1, 2))
        either = (masks | target).sum(dim=(1, 2))
        return [(int(i), int(u)) for i, u in torch.stack([shared, either], dim=1).tolist()]

    def _to_square(self, image: np.ndarray) -> Tensor:
        """Normalized pixels (3, S, S) of a uint8 (H, W, 3) image: antialiased bilinear, as SAM2Transforms."""
        pixels = torch.tensor(image, device=self.device).permute(2, 0, 1).float() / 255
        size = (self.frame.height, self.frame.width)
        if pixels.shape[1:] != size:
            pixels = F.interpolate(pixels[None], size, mode="bilinear", antialias=True)[0]
        return (pixels - self._mean) / self._std

    def _union(
        self, embedding: Embedding, prompt_sets: PromptSets, source: Frame, out: Frame, multimask: bool
    ) -> tuple[Tensor, dict[PromptObject, float]]:
        """Union masks, bool (prompt sets, height, width) on the device, and every object's score."""
        wanted_by: dict[PromptObject, set[int]] = defaultdict(set)
        for index, items in enumerate(prompt_sets):
            for item in items:
                wanted_by[item].add(index)
        size = (len(prompt_sets), out.height, out.width)
        union = torch.zeros(size, dtype=torch.bool, device=self.device)
        scores: dict[PromptObject, float] = {}
        for chunk in self._chunks(list(wanted_by), out):
            masks, chunk_scores = self._decode_objects(embedding, chunk, source, out, multimask)
            for item, mask, score in zip(chunk, masks, chunk_scores.tolist(), strict=True):
                scores[item] = score
                for index in wanted_by[item]:
                    union[index] |= mask
        return union, scores

    def _chunks(self, items: list[PromptObject], out: Frame) -> Iterator[list[PromptObject]]:
        """Objects that go through the mask decoder together.

        They have the same number of points. Filling a shorter object up with label −1 would be one call
        fewer, but sam2 means that label as one "no more points" token which every token attends to: a second
        one changes the mask, and so would make an answer's reward depend on the other answers of its group.
        """
        by_length: dict[int, list[PromptObject]] = defaultdict(list)
        for item in items:
            by_length[len(labelled_points(item))].append(item)
        if 0 in by_length:
            raise InputError("a prompt object has neither a box nor a point; drop it before segmenting")
        at_once = max(1, self.memory_bytes // self._bytes_per_object(out))
        for same_length in by_length.values():
            for start in range(0, len(same_length), at_once):
                yield same_length[start : start + at_once]

    def _bytes_per_object(self, out: Frame) -> int:
        """Working memory of one object in the mask decoder, a generous estimate for float32.

        About a dozen copies of the (S/16)² × C tokens and four of the two upscaled maps live at once, then
        the logits at ``out`` and their mask.
        """
        side, channels = self.frame.width, self.model.hidden_dim
        tokens = (side // 16) ** 2 * channels * 12
        upscaled = ((side // 8) ** 2 * (channels // 4) + (side // 4) ** 2 * (channels // 8)) * 4
        return 4 * (tokens + upscaled + out.width * out.height * 2)

    def _decode_objects(
        self,
        embedding: Embedding,
        items: Sequence[PromptObject],
        source: Frame,
        out: Frame,
        multimask: bool,
    ) -> tuple[Tensor, Tensor]:
        """Masks bool (n, height, width) and scores (n,) of objects with equally many points."""
        model = self.model
        xy = torch.tensor(
            [[point for point, _ in labelled_points(item)] for item in items], dtype=torch.float, device=self.device
        )
        labels = torch.tensor(
            [[label for _, label in labelled_points(item)] for item in items], dtype=torch.int, device=self.device
        )
        # Divided first, multiplied second, in float32: the order of SAM2Transforms.transform_coords.
        xy = xy / xy.new_tensor([source.width, source.height]) * self.frame.width
        sparse, dense = model.sam_prompt_encoder(points=(xy, labels), boxes=None, masks=None)
        logits, scores, _, _ = model.sam_mask_decoder(
            image_embeddings=embedding.image,
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask,
            repeat_image=True,
            high_res_features=list(embedding.high_res),
        )
        best = scores.argmax(dim=1, keepdim=True)
        scores = scores.gather(1, best)[:, 0]
        logits = logits[torch.arange(len(items), device=self.device), best[:, 0]]
        logits = F.interpolate(logits[:, None].float(), (out.height, out.width), mode="bilinear", align_corners=False)
        return logits[:, 0] > 0, scores.float()


def labelled_points(item: PromptObject) -> list[tuple[tuple[float, float], int]]:
    """An object as labelled points: the box's corners first, as ``SAM2ImagePredictor._predict`` puts them."""
    points: list[tuple[tuple[float, float], int]] = []
    if item.bbox is not None:
        points += [(item.bbox[:2], TOP_LEFT), (item.bbox[2:], BOTTOM_RIGHT)]
    points += [(point, POSITIVE) for point in item.positive_points]
    points += [(point, NEGATIVE) for point in item.negative_points]
    return points
