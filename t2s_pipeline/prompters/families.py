"""The families of LVLMs that can be prompters, and the published models of each.

A family says what differs between architectures: the square that the model sees, the coordinates that it was trained
to write, and the tokens that end its turn. Everything else (chat template, image tokens, tiles) is in the checkpoint's
own processor files.
"""

import re
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import OutsideFileError, outside_object, shown
from t2s_pipeline.core.registry import Registry
from t2s_pipeline.prompting.coordinates import Coordinates


@dataclass(frozen=True)
class PublishedModel:
    """A published checkpoint: its name here, its Hub id, and the commit that its files are taken from.

    ``licence`` is what its card on the Hub states. ``gated`` says whether its conditions must be accepted there first.
    """

    name: str
    hub_id: str
    revision: str
    licence: str = ""
    gated: bool = False


@dataclass(frozen=True)
class Family:
    """An architecture and its published models.

    Attributes:
        name: the name that the field uses.
        model_type: the entry ``model_type`` of a checkpoint's config.json.
        model: the name of the model's class in transformers.
        processor: the name of the processor's class in transformers.
        side: the side, in pixels, of the square that the full-size models see.
        native: the unit of coordinates that the models were trained to write.
        end_tokens: each of them ends an answer. Chat training ends turns with the first.
        tiles: how many of the processor's own squares fit side by side into the square; 0 if it takes any size.
        chat_settings: Jinja statements that are put before the chat template of a checkpoint.
        models: the published checkpoints.
    """

    name: str
    model_type: str
    model: str
    processor: str
    side: int
    native: Coordinates
    end_tokens: tuple[str, ...]
    tiles: int = 0
    chat_settings: str = ""
    models: tuple[PublishedModel, ...] = ()

    def coordinates(self, choice: str) -> Coordinates:
        """The unit to ask for; ``choice`` is the recipe's: ``pixels`` or ``native``."""
        return self.native if choice == "native" else Coordinates.PIXELS


QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")

FAMILIES = Registry(
    "prompter family",
    (
        Family(
            name="Qwen2.5-VL",
            model_type="qwen2_5_vl",
            model="Qwen2_5_VLForConditionalGeneration",
            processor="Qwen2_5_VLProcessor",
            # A multiple of 28 (patches of 14, merged two by two): 900 image tokens.
            side=840,
            native=Coordinates.PIXELS,
            end_tokens=QWEN_ENDS,
            models=(
                PublishedModel(
                    "qwen2.5-vl-3b",
                    "Qwen/Qwen2.5-VL-3B-Instruct",
                    "66285546d2b821cf421d4f5eb2576359d3770cd3",
                    "qwen-research",
                ),
                PublishedModel(
                    "qwen2.5-vl-7b",
                    "Qwen/Qwen2.5-VL-7B-Instruct",
                    "cc594898137f460bfe9f0759e9844b3ce807cfb5",
                    "apache-2.0",
                ),
            ),
        ),
        Family(
            name="Qwen3-VL",
            model_type="qwen3_vl",
            model="Qwen3VLForConditionalGeneration",
            processor="Qwen3VLProcessor",
            # A multiple of 32 (patches of 16, merged two by two): 784 image tokens.
            side=896,
            native=Coordinates.THOUSANDTHS,
            end_tokens=QWEN_ENDS,
            models=(
                PublishedModel(
                    "qwen3-vl-2b", "Qwen/Qwen3-VL-2B-Instruct", "89644892e4d85e24eaac8bacfd4f463576704203", "apache-2.0"
                ),
                PublishedModel(
                    "qwen3-vl-4b", "Qwen/Qwen3-VL-4B-Instruct", "ebb281ec70b05090aa6165b016eac8ec08e71b17", "apache-2.0"
                ),
                PublishedModel(
                    "qwen3-vl-8b", "Qwen/Qwen3-VL-8B-Instruct", "0c351dd01ed87e9c1b53cbc748cba10e6187ff3b", "apache-2.0"
                ),
            ),
        ),
        Family(
            name="Qwen3.5",
            model_type="qwen3_5",
            model="Qwen3_5ForConditionalGeneration",
            processor="Qwen3VLProcessor",
            side=896,
            native=Coordinates.THOUSANDTHS,
            end_tokens=QWEN_ENDS,
            # Its template would begin the answer with a think block of its own, before the one that we ask for.
            chat_settings="{%- set enable_thinking = false %}",
        ),
        Family(
            name="InternVL3",
            model_type="internvl",
            model="InternVLForConditionalGeneration",
            processor="InternVLProcessor",
            # 2 × 2 tiles of 448 pixels and a thumbnail, 256 image tokens each.
            side=896,
            native=Coordinates.THOUSANDTHS,
            end_tokens=QWEN_ENDS,
            tiles=2,
            models=(
                PublishedModel("internvl3-2b", "OpenGVLab/InternVL3-2B-hf", "cb57a075cb75a2e6d1b668b128d48bb00ae321d2"),
                PublishedModel("internvl3-8b", "OpenGVLab/InternVL3-8B-hf", "259a3b64a14623c0ec91a045cb43f7c5af5fa6af"),
            ),
        ),
        Family(
            name="LLaVA-1.5",
            model_type="llava",
            model="LlavaForConditionalGeneration",
            processor="LlavaProcessor",
            # The processor halves the square to the 336 pixels of its CLIP: 576 image tokens. The authors use 672.
            side=672,
            # The model was trained on boxes as fractions of the image. No prompt combination here asks for fractions.
            native=Coordinates.PIXELS,
            end_tokens=("</s>",),
            tiles=2,
            models=(
                PublishedModel(
                    "llava-1.5-7b", "llava-hf/llava-1.5-7b-hf", "b234b804b114d9e37bb655e11cbbb5f5e971b7a9", "llama2"
                ),
            ),
        ),
    ),
    key=attrgetter("model_type"),
)

TRAINED_ELSEWHERE = (
    "RicardoString/Think2Seg-RS-3B",
    "RicardoString/Think2Seg-RS-7B",
    "Ricky06662/Seg-Zero-7B",
    "Ricky06662/VisionReasoner-7B",
    "1e12Leon/RemoteReasoner",
)
"""Hub ids of the weights that the authors of the methods published. Their commits are not pinned: the newest one in
the local Hub cache is used, and the SHA-256 of the weights is recorded with the completions."""

_PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


def published_models() -> dict[str, PublishedModel]:
    """The published models of all families, by name."""
    return {model.name: model for family in FAMILIES.values() for model in family.models}


def published_model(name: str) -> PublishedModel | None:
    """The published checkpoint of that name or Hub id; ``owner/model@<commit>`` names any other one."""
    pinned = _PINNED.fullmatch(name)
    if pinned:
        return PublishedModel(name, pinned[1], pinned[2])
    if name in TRAINED_ELSEWHERE:
        return PublishedModel(name, name, "main")
    return next((model for model in published_models().values() if name in (model.name, model.hub_id)), None)


def family_of(folder: Path) -> Family:
    """The family of the checkpoint in a folder, as its config.json names it.

    Raises:
        InputError: if config.json cannot be read, or names none of the families.
    """
    try:
        model_type = outside_object(folder / "config.json").get("model_type")
    except OutsideFileError as fault:
        raise InputError(f"{folder} holds no prompter: its config.json cannot be read ({fault.detail}).") from fault
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        hint = " For InternVL, use the port whose name ends in -hf." if "internvl" in shown(model_type) else ""
        names = ", ".join(family.name for family in FAMILIES.values())
        raise InputError(
            f"{folder} holds a model of the type {shown(model_type)}, which is not supported: use one of {names}, or "
            f"register its family.{hint}"
        )
    return FAMILIES[model_type]
