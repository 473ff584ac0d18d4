"""What is put before a prompter: the square, the chat, and how its coordinates are to be read.  [torch]"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import transformers
from PIL import Image
from transformers import BatchFeature, ProcessorMixin

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompters.families import Family, family_of
from t2s_pipeline.prompters.weights import weights_sha256
from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.templates import instruction
from t2s_pipeline.vision.geometry import Frame


class Chat:
    """A checkpoint's processor and its family's ways; the weights are the subclasses' business.

    Attributes:
        name: what it was asked for by.
        family: which architecture it is.
        folder: where its files lie.
        processor: transformers' own; it is handed squares and never resizes them to another shape.
        frame: the square it sees.
        coordinates: what it is asked to write; ``answers`` is the frame of that.
        end_ids: tokens that end an answer.
    """

    def __init__(self, name: str, folder: Path, coordinates: str = "pixels"):
        """Read the processor from a local folder.

        Raises:
            InputError: if the folder lacks a model of a known family or its files, or its square cannot be split
                into patches.
        """
        self.name, self.folder = name, folder
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            raise InputError(f"{folder} holds no prompter: expected config.json and *.safetensors")
        self.family: Family = family_of(folder)
        # An explicit class of the library's own: what the folder's files name is never imported.
        kind: type[ProcessorMixin] = getattr(transformers, self.family.processor)
        self.processor = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        self.processor.tokenizer.padding_side = "left"
        self.frame = Frame.square(_side(self.family, self.processor))
        self.coordinates = self.family.coordinates(coordinates)
        self.answers = self.coordinates.frame(self.frame)
        known = self.processor.tokenizer.get_vocab()
        self.end_ids = [known[token] for token in self.family.end_tokens if token in known]
        if not self.end_ids:
            raise InputError(f"{folder} has no token that ends an answer ({', '.join(self.family.end_tokens)}).")
        self.sha256 = weights_sha256(folder)

    def square(self, image: np.ndarray) -> Image.Image:
        """The image (H, W, 3, uint8) resized to the square, bicubic; the aspect ratio is not kept."""
        return Image.fromarray(image).resize((self.frame.width, self.frame.height), Image.Resampling.BICUBIC)

    def messages(self, question: str, combination: PromptCombination) -> list[dict]:
        """The chat: one user turn, the image before the instruction."""
        text = instruction(question, combination, self.coordinates)
        return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]

    def render(self, question: str, combination: PromptCombination) -> str:
        """The chat as the family's template writes it, up to where the answer begins; one image placeholder."""
        return self.processor.apply_chat_template(
            self.messages(question, combination), tokenize=False, add_generation_prompt=True
        )

    def inputs(
        self, images: Sequence[np.ndarray], questions: Sequence[str], combination: PromptCombination
    ) -> BatchFeature:
        """What the model takes, left-padded; ``images`` are native (H, W, 3) uint8 arrays, one for each question."""
        return self.processor(
            text=[self.render(question, combination) for question in questions],
            images=[self.square(image) for image in images],
            padding=True,
            return_tensors="pt",
        )


def _side(family: Family, processor: ProcessorMixin) -> int:
    """The square's side: the full size, or what a smaller model's processor leaves of it."""
    image = processor.image_processor
    if family.tiles:
        own = dict(image.crop_size if getattr(image, "do_center_crop", False) else image.size)
        return family.tiles * own["height"]
    unit = image.patch_size * image.merge_size
    side = min(family.side, int(image.size["longest_edge"] ** 0.5)) // unit * unit
    if side < unit:
        raise InputError(f"the processor allows {image.size['longest_edge']} pixels, fewer than one {unit}-pixel cell")
    return side
