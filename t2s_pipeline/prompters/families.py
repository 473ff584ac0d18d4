"""The LVLM families that can be prompters, and the released models of each by name.  No torch.

A family says what differs between them: the square it is shown, the coordinates it was trained to write, the tokens
that end its turn, and which of its modules see. Everything else (chat template, image tokens, tiles) is in the
checkpoint's own processor files.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompting.coordinates import Coordinates


@dataclass(frozen=True)
class Family:
    """An architecture.

    Attributes:
        name: as the field calls it.
        model_type: what a checkpoint's config.json calls it.
        model, processor: transformers' classes.
        side: of the square that its full-size models are shown, in pixels.
        native: what it was trained to write coordinates in.
        end_tokens: each ends an answer; the first is what chat training ends turns with.
        vision_modules: parameters under these prefixes see or translate what was seen.
        tiles: the square is so many of the processor's own squares wide; 0 where the processor takes any size.
    """

    name: str
    model_type: str
    model: str
    processor: str
    side: int
    native: Coordinates
    end_tokens: tuple[str, ...]
    vision_modules: tuple[str, ...]
    tiles: int = 0

    def coordinates(self, choice: str) -> Coordinates:
        """``choice`` is a recipe's: ``pixels`` or ``native``."""
        return self.native if choice == "native" else Coordinates.PIXELS


QWEN_ENDS = ("<|im_end|>", "<|endoftext|>")

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        # 840 is a multiple of 28 (patches of 14, merged two by two): 900 image tokens.
        Family(
            "Qwen2.5-VL",
            "qwen2_5_vl",
            "Qwen2_5_VLForConditionalGeneration",
            "Qwen2_5_VLProcessor",
            840,
            Coordinates.PIXELS,
            QWEN_ENDS,
            ("model.visual.",),
        ),
        # 896 is a multiple of 32 (patches of 16, merged two by two): 784 image tokens.
        Family(
            "Qwen3-VL",
            "qwen3_vl",
            "Qwen3VLForConditionalGeneration",
            "Qwen3VLProcessor",
            896,
            Coordinates.THOUSANDTHS,
            QWEN_ENDS,
            ("model.visual.",),
        ),
        # 2 × 2 tiles of 448 and a thumbnail, 256 image tokens each.
        Family(
            "InternVL3",
            "internvl",
            "InternVLForConditionalGeneration",
            "InternVLProcessor",
            896,
            Coordinates.THOUSANDTHS,
            QWEN_ENDS,
            ("model.vision_tower.", "model.multi_modal_projector."),
            tiles=2,
        ),
        # Its processor halves the square to the 336 pixels of its CLIP: 576 image tokens. 672 is the authors' frame.
        # It was trained on boxes as fractions, which no combination here asks for.
        Family(
            "LLaVA-1.5",
            "llava",
            "LlavaForConditionalGeneration",
            "LlavaProcessor",
            672,
            Coordinates.PIXELS,
            ("</s>",),
            ("model.vision_tower.", "model.multi_modal_projector."),
            tiles=2,
        ),
    )
}


@dataclass(frozen=True)
class Release:
    """A published checkpoint: its Hub id and the commit that its files are taken from."""

    hub_id: str
    revision: str


RELEASES: dict[str, Release] = {
    "qwen2.5-vl-3b": Release("Qwen/Qwen2.5-VL-3B-Instruct", "66285546d2b821cf421d4f5eb2576359d3770cd3"),
    "qwen2.5-vl-7b": Release("Qwen/Qwen2.5-VL-7B-Instruct", "cc594898137f460bfe9f0759e9844b3ce807cfb5"),
    "internvl3-2b": Release("OpenGVLab/InternVL3-2B-hf", "cb57a075cb75a2e6d1b668b128d48bb00ae321d2"),
    "internvl3-8b": Release("OpenGVLab/InternVL3-8B-hf", "259a3b64a14623c0ec91a045cb43f7c5af5fa6af"),
    "llava-1.5-7b": Release("llava-hf/llava-1.5-7b-hf", "b234b804b114d9e37bb655e11cbbb5f5e971b7a9"),
    "qwen3-vl-2b": Release("Qwen/Qwen3-VL-2B-Instruct", "89644892e4d85e24eaac8bacfd4f463576704203"),
    "qwen3-vl-4b": Release("Qwen/Qwen3-VL-4B-Instruct", "ebb281ec70b05090aa6165b016eac8ec08e71b17"),
    "qwen3-vl-8b": Release("Qwen/Qwen3-VL-8B-Instruct", "0c351dd01ed87e9c1b53cbc748cba10e6187ff3b"),
}

_PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


def released(name: str) -> Release | None:
    """The published checkpoint of that name or Hub id; ``owner/model@<commit>`` names any other."""
    if name in RELEASES:
        return RELEASES[name]
    pinned = _PINNED.fullmatch(name)
    if pinned:
        return Release(*pinned.groups())
    return next((release for release in RELEASES.values() if release.hub_id == name), None)


def family_of(folder: Path) -> Family:
    """The family of the checkpoint in a folder, by its config.json.

    Raises:
        InputError: if there is no readable config, or it is of none of the families.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        model_type = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as fault:
        raise InputError(f"{folder} holds no prompter: its config.json cannot be read ({fault}).") from fault
    if model_type not in FAMILIES:
        hint = " (of InternVL, take the -hf port)" if "internvl" in str(model_type) else ""
        known = ", ".join(family.name for family in FAMILIES.values())
        raise InputError(f"{folder} holds a {model_type!r}, which is no prompter here: use one of {known}{hint}.")
    return FAMILIES[model_type]
