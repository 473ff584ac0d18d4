"""A processor that prepares each prompt once per group of completions, instead of once per completion."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from t2s_pipeline.training.shared_prompts import distinct


class OncePerPrompt:
    """Replaces TRL's processor while one batch is prepared, and gives the same results as the processor itself.

    TRL passes each prompt G times, twice per step: that is 128 images to cut into patches where there are four.

    Args:
        processor: the processor of the model; there is one image per prompt.
        groups: (N,), equal numbers where prompt and image are equal.
    """

    def __init__(self, processor: ProcessorMixin, groups: Tensor) -> None:
        self._processor = processor
        first, owner = distinct(groups)
        self._first, self._owner = first.tolist(), owner.tolist()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def apply_chat_template(self, conversation: Sequence[Any], tokenize: bool = False, **options: Any) -> Any:
        """As the processor's own method; with ``tokenize``, equal prompts are prepared once."""
        if not tokenize:
            return self._processor.apply_chat_template(list(conversation), tokenize=False, **options)
        conversations = [conversation[row] for row in self._first]
        features: Any = self._processor.apply_chat_template(conversations, tokenize=True, **options)
        return self._for_all(features)

    def __call__(self, images: Sequence[Any], text: Sequence[str], **options: Any) -> BatchFeature:
        """As the processor itself; equal prompts are prepared once."""
        rows = self._first
        features: Any = self._processor(
            images=[images[row] for row in rows], text=[text[row] for row in rows], **options
        )
        return self._for_all(features)

    def _for_all(self, features: BatchFeature) -> BatchFeature:
        """The features of the distinct prompts, repeated for every row of the batch."""
        grids = torch.as_tensor(features["image_grid_thw"])
        patches = torch.split(torch.as_tensor(features["pixel_values"]), grids.prod(dim=1).tolist())
        repeated = {name: self._repeat(value) for name, value in features.items() if name != "pixel_values"}
        return BatchFeature({**repeated, "pixel_values": torch.cat([patches[prompt] for prompt in self._owner])})

    def _repeat(self, value: Tensor | Sequence[Any]) -> Tensor | list[Any]:
        if isinstance(value, Tensor):
            return value[self._owner]
        return [value[prompt] for prompt in self._owner]
