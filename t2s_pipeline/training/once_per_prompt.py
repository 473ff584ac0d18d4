"""A processor that is asked for every completion's prompt and does the work once for each prompt.  [torch]"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BatchFeature, ProcessorMixin

from t2s_pipeline.training.shared_prompts import distinct


class OncePerPrompt:
    """Stands in for TRL's processor while one batch is made; gives what the processor itself would give.

    TRL hands every prompt over G times, twice a step: 128 images to cut into patches where there are four.

    Args:
        processor: the real one; one image a prompt.
        groups: (N,), equal where prompt and image are.
    """

    def __init__(self, processor: ProcessorMixin, groups: Tensor) -> None:
        self._processor = processor
        first, owner = distinct(groups)
        self._first, self._owner = first.tolist(), owner.tolist()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)

    def apply_chat_template(self, conversation: Sequence, tokenize: bool = False, **options) -> Any:
        if not tokenize:
            return self._processor.apply_chat_template(conversation, tokenize=False, **options)
        chosen = [conversation[row] for row in self._first]
        return self._for_all(self._processor.apply_chat_template(chosen, tokenize=True, **options))

    def __call__(self, images: Sequence, text: Sequence[str], **options) -> BatchFeature:
        rows = self._first
        made = self._processor(images=[images[row] for row in rows], text=[text[row] for row in rows], **options)
        return self._for_all(made)

    def _for_all(self, made: BatchFeature) -> BatchFeature:
        grids = torch.as_tensor(made["image_grid_thw"])
        patches = torch.as_tensor(made["pixel_values"]).split(grids.prod(dim=1).tolist())
        spread = {name: self._spread(value) for name, value in made.items() if name != "pixel_values"}
        return BatchFeature({**spread, "pixel_values": torch.cat([patches[prompt] for prompt in self._owner])})

    def _spread(self, value: Tensor | Sequence) -> Tensor | list:
        if isinstance(value, Tensor):
            return value[self._owner]
        return [value[prompt] for prompt in self._owner]
