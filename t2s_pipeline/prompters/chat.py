"""The input of a prompter: the square image, the chat, and the frame of the coordinates that it is asked to write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray
from PIL import Image
from transformers import BatchFeature, ProcessorMixin

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.families import Family, family_of
from t2s_pipeline.prompters.library_faults import faults_named
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.prompting.asking import AS_EMBEDDED, Asking
from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.templates import Template
from t2s_pipeline.vision.geometry import Frame

Message = dict[str, Any]
"""One turn of a chat, as the chat templates of transformers take it: ``role``, and ``content`` as a list of parts."""


class Chat:
    """The processor of a checkpoint and the rules of its family. Subclasses hold the weights.

    Attributes:
        name: the name that the checkpoint was loaded by.
        family: its architecture.
        folder: the folder with its files.
        processor: the processor of transformers. It gets squares and never changes their shape.
        frame: the square that the model sees.
        asking: how it is asked.
        coordinates: the unit of the coordinates that it is asked to write.
        answers: the frame of these coordinates.
        end_ids: the tokens that end an answer.
        sha256: of the weights.
    """

    def __init__(self, name: str, folder: Path, asking: Asking = AS_EMBEDDED) -> None:
        """Read the processor from a local folder.

        Args:
            name: the name of the prompter in tables.
            folder: the folder with the checkpoint.
            asking: how it is asked.

        Raises:
            InputError: if the folder lacks a model of a known family or its files, or its square cannot be split
                into patches.
        """
        self.name, self.folder, self.asking = name, folder, asking
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            raise InputError(f"{folder} holds no prompter: expected config.json and *.safetensors")
        self.family: Family = family_of(folder)
        # An explicit class of transformers: a class that the folder's files name is never imported.
        kind: type[ProcessorMixin] = getattr(transformers, self.family.processor)
        with faults_named(folder, "tokenizer and image processor", "Copy the files of its base model again."):
            self.processor = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.processor.tokenizer.padding_side = "left"
        _set_chat(self.processor, self.family)
        self.frame = Frame.square(_side(self.family, self.processor))
        self.coordinates = self.family.coordinates(asking.coordinates)
        self.answers = self.coordinates.frame(self.frame)
        vocabulary = self.processor.tokenizer.get_vocab()
        self.end_ids = [vocabulary[token] for token in self.family.end_tokens if token in vocabulary]
        if not self.end_ids:
            raise InputError(f"{folder} has no token that ends an answer ({', '.join(self.family.end_tokens)}).")
        self.sha256 = weights_sha256(folder)

    def answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """One completion per question; ``images`` are native (H, W, 3) uint8 arrays, one per question."""
        raise NotImplementedError

    def square(self, image: NDArray[np.uint8]) -> Image.Image:
        """The image (H, W, 3, uint8) resized to the square. The aspect ratio is not kept."""
        resampling = Image.Resampling[self.asking.resampling.upper()]
        return Image.fromarray(image).resize((self.frame.width, self.frame.height), resampling)

    def messages(self, question: str, combination: PromptCombination) -> list[Message]:
        """The chat: a system turn if the template has one, and a user turn with the image and the text."""
        words = self.words(combination)
        before, after = words.around_image(question)
        texts = [{"type": "text", "text": text} if text else None for text in (before, after)]
        content = [part for part in (texts[0], {"type": "image"}, texts[1]) if part]
        system = [{"role": "system", "content": [{"type": "text", "text": words.system}]}] if words.system else []
        return [*system, {"role": "user", "content": content}]

    def words(self, combination: PromptCombination) -> Template:
        """The text that it is asked with."""
        return self.asking.words(combination, self.coordinates)

    def render(self, question: str, combination: PromptCombination) -> str:
        """The chat as the family's template writes it, up to the start of the answer, with one image placeholder."""
        text: str = self.processor.apply_chat_template(
            self.messages(question, combination), tokenize=False, add_generation_prompt=True
        )
        return text

    def inputs(
        self, images: Sequence[NDArray[np.uint8]], questions: Sequence[str], combination: PromptCombination
    ) -> BatchFeature:
        """The model's inputs, padded on the left; ``images`` are native (H, W, 3) uint8 arrays, one per question."""
        batch: BatchFeature = self.processor(
            text=[self.render(question, combination) for question in questions],
            images=[self.square(image) for image in images],
            padding=True,
            return_tensors="pt",
        )
        return batch


def _set_chat(processor: Any, family: Family) -> None:
    """Put the family's settings before the chat template, once: a checkpoint of ours was saved with them."""
    template = processor.chat_template
    if family.chat_settings and isinstance(template, str) and not template.startswith(family.chat_settings):
        processor.chat_template = family.chat_settings + template


def _side(family: Family, processor: ProcessorMixin) -> int:
    """The side of the square: the family's, or a smaller one that the processor of a smaller model allows."""
    image = processor.image_processor
    if family.tiles:
        size = dict(image.crop_size if getattr(image, "do_center_crop", False) else image.size)
        return int(family.tiles * size["height"])
    unit = int(image.patch_size * image.merge_size)
    side = min(family.side, int(image.size["longest_edge"] ** 0.5)) // unit * unit
    if side < unit:
        raise InputError(f"the processor allows {image.size['longest_edge']} pixels, fewer than one {unit}-pixel cell")
    return side
