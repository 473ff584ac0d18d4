"""Qwen2.5-VL as a prompter: the resized square, the chat, batched generation.

Qwen2.5-VL answers in absolute pixels of the image it is shown, so the square is also the frame of its
coordinates. The square's side is a multiple of 28 (patches of 14, merged two by two).
"""

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from t2s_pipeline.errors import InputError
from t2s_pipeline.geometry import Frame
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompting.schemas import PromptSchema
from t2s_pipeline.prompting.templates import instruction

FULL_SIDE = 840
"""The square of the full-size models (the paper's 840 × 840)."""


class Prompter:
    """A Qwen2.5-VL with its processor and its square.

    Attributes:
        name: what it was asked for by.
        frame: the square it sees, and the frame of the coordinates it writes.
        sha256: of the weight files, in name order.
    """

    def __init__(self, name: str, folder: Path, device: str = "cpu"):
        """Load from a local folder: safetensors only, no remote code.

        Raises:
            InputError: if the folder lacks a model of this family, or its square cannot be split into patches.
        """
        self.name = name
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            raise InputError(f"{folder} holds no prompter: expected config.json and *.safetensors")
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self.model = Qwen2_5_VLForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        ).to(device)
        self.processor = Qwen2_5_VLProcessor.from_pretrained(folder, local_files_only=True)
        self.processor.tokenizer.padding_side = "left"
        self.frame = Frame.square(_side(self.processor))
        self.sha256 = weights_sha256(folder)
        self.model.eval()

    def square(self, image: np.ndarray) -> Image.Image:
        """The image (H, W, 3, uint8) resized to the square, bicubic; the aspect ratio is not kept."""
        return Image.fromarray(image).resize((self.frame.width, self.frame.height), Image.Resampling.BICUBIC)

    def messages(self, question: str, schema: PromptSchema) -> list[dict]:
        """The chat: one user turn, the image before the instruction."""
        return [
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction(question, schema)}]}
        ]

    @torch.inference_mode()
    def answer(
        self,
        images: Sequence[np.ndarray],
        questions: Sequence[str],
        schema: PromptSchema,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """One batch of answers; ``images`` are native (H, W, 3) uint8 arrays, one for each question."""
        begun = time.perf_counter()
        texts = [
            self.processor.apply_chat_template(
                self.messages(question, schema), tokenize=False, add_generation_prompt=True
            )
            for question in questions
        ]
        squares = [self.square(image) for image in images]
        inputs = self.processor(text=texts, images=squares, padding=True, return_tensors="pt").to(self.model.device)
        options = {"do_sample": settings.temperature > 0, "max_new_tokens": settings.max_new_tokens}
        if settings.temperature > 0:
            torch.manual_seed(settings.seed)
            options |= {"temperature": settings.temperature, "top_k": 0, "top_p": 1.0}
        made = self.model.generate(**inputs, **options)[:, inputs["input_ids"].shape[1] :]
        seconds = (time.perf_counter() - begun) / len(texts)
        return [self._completion(row, seconds) for row in made.tolist()]

    def _completion(self, row: list[int], seconds: float) -> Completion:
        tokenizer = self.processor.tokenizer
        ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
        length = next((at for at, token in enumerate(row) if token in ends), None)
        text = tokenizer.decode(row[:length], skip_special_tokens=True)
        if length is None:
            return Completion(text, len(row), "length", seconds)
        return Completion(text, length + 1, "stop", seconds)


def _side(processor: Qwen2_5_VLProcessor) -> int:
    """The square's side: what the processor's pixel budget leaves, at most the full size."""
    image = processor.image_processor
    unit = image.patch_size * image.merge_size
    side = min(FULL_SIDE, int(image.size["longest_edge"] ** 0.5)) // unit * unit
    if side < unit:
        raise InputError(f"the processor allows {image.size['longest_edge']} pixels, fewer than one {unit}-pixel cell")
    return side


def weights_sha256(folder: Path) -> str:
    """sha256 over the folder's safetensors files in name order."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as handle:
            while block := handle.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
