"""The sizes of a prompter that its memory and time come from, by name or out of its config.json. No torch."""

import json
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTER_FOLDER
from t2s_pipeline.core.errors import InputError


@dataclass(frozen=True)
class Architecture:
    """A vision-language model in numbers. ``kv_width`` is key heads × their width, in channels."""

    layers: int
    hidden: int
    intermediate: int
    kv_width: int
    vocabulary: int
    tied: bool
    vision_layers: int
    vision_hidden: int
    vision_intermediate: int
    vision_matrices: int
    """Of its feed-forward layers: 3 where they are gated, else 2."""
    patches: int
    """That the vision tower sees of one square."""
    visual_tokens: int
    """That the language model sees of them."""

    @property
    def parameters(self) -> int:
        """Weights of the linear layers and the embeddings; norms and biases are under a thousandth of them."""
        width = self.hidden
        attention = width * (width + 2 * self.kv_width) + width * width
        language = self.layers * (attention + 3 * width * self.intermediate)
        embeddings = self.vocabulary * width * (1 if self.tied else 2)
        return language + embeddings + self.vision_parameters

    @property
    def vision_parameters(self) -> int:
        width = self.vision_hidden
        layer = 4 * width * width + self.vision_matrices * width * self.vision_intermediate
        merged = width * round((self.patches / self.visual_tokens) ** 0.5) ** 2
        return self.vision_layers * layer + merged * merged + merged * self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """Of low-rank adapters on every linear layer of the language model."""
        width, kv, inner = self.hidden, self.kv_width, self.intermediate
        attention = 2 * (width + width) + 2 * (width + kv)
        return self.layers * rank * (attention + 3 * (width + inner))


def _qwen(layers: int, hidden: int, intermediate: int, kv_width: int, vocabulary: int, tied: bool) -> Architecture:
    return Architecture(
        layers, hidden, intermediate, kv_width, vocabulary, tied, 32, 1280, 3420, 3, patches=3600, visual_tokens=900
    )


def _vit_large(
    layers: int, hidden: int, intermediate: int, kv_width: int, vocabulary: int, patches: int, tokens: int
) -> Architecture:
    return Architecture(layers, hidden, intermediate, kv_width, vocabulary, False, 24, 1024, 4096, 2, patches, tokens)


# From the published config.json files; an InternVL3 square of 896 is four tiles of 448 and a thumbnail.
_PUBLISHED = {
    "qwen2.5-vl-3b": _qwen(36, 2048, 11008, 256, 151_936, True),
    "qwen2.5-vl-7b": _qwen(28, 3584, 18944, 512, 152_064, False),
    "internvl3-2b": _vit_large(28, 1536, 8960, 256, 151_674, 5 * 1024, 5 * 256),
    "internvl3-8b": _vit_large(28, 3584, 18944, 512, 151_674, 5 * 1024, 5 * 256),
    "llava-1.5-7b": _vit_large(32, 4096, 11008, 4096, 32_064, 576, 576),
}


def architecture(prompter: str) -> Architecture | None:
    """Of a prompter by its name or folder; None for a name that says nothing.

    Raises:
        InputError: if the folder's config.json is not that of a known kind of model.
    """
    folder = EMBEDDED_PROMPTER_FOLDER if prompter == EMBEDDED_PROMPTER else Path(prompter).expanduser()
    if (folder / "config.json").is_file():
        return _read(folder)
    small = prompter.lower()
    return next((sizes for name, sizes in _PUBLISHED.items() if name in small), None)


def _read(folder: Path) -> Architecture:
    config = json.loads((folder / "config.json").read_text())
    text, vision = config.get("text_config", config), config.get("vision_config", {})
    try:
        heads = text["num_attention_heads"]
        width = text.get("head_dim") or text["hidden_size"] // heads
        gated = "qwen" in config["model_type"]
        merge = vision.get("spatial_merge_size", 1)
        patches = _side(folder, vision["patch_size"] * merge) // vision["patch_size"]
        return Architecture(
            layers=text["num_hidden_layers"],
            hidden=text["hidden_size"],
            intermediate=text["intermediate_size"],
            kv_width=text.get("num_key_value_heads", heads) * width,
            vocabulary=text["vocab_size"],
            tied=bool(config.get("tie_word_embeddings", text.get("tie_word_embeddings", False))),
            vision_layers=vision.get("depth") or vision["num_hidden_layers"],
            vision_hidden=vision["hidden_size"],
            vision_intermediate=vision.get("intermediate_size", 4 * vision["hidden_size"]),
            vision_matrices=3 if gated else 2,
            patches=patches**2,
            visual_tokens=(patches // merge) ** 2,
        )
    except KeyError as missing:
        raise InputError(f"{folder / 'config.json'} says nothing of {missing}: no known kind of prompter.") from None


def _side(folder: Path, unit: int) -> int:
    """The square that the processor's pixel budget leaves, at most the full size, as the prompter chooses it."""
    budget = 840 * 840
    for name in ("processor_config.json", "preprocessor_config.json"):
        if (folder / name).is_file():
            told = json.loads((folder / name).read_text())
            told = told.get("image_processor", told)
            size = told.get("size", {})
            budget = min(budget, size.get("longest_edge") or told.get("max_pixels") or budget)
            break
    return int(budget**0.5) // unit * unit
