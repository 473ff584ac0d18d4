"""The sizes of a prompter that decide its memory and time: by its name, or read from its config.json."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.outside_files import is_there, outside_object
from t2s_pipeline.prompters.families import FAMILIES
from t2s_pipeline.prompters.weights import folder_if_here


@dataclass(frozen=True)
class Architecture:
    """The sizes of a vision-language model."""

    layers: int
    hidden: int
    intermediate: int
    kv_width: int
    """Key heads × the width of a key head, in channels."""
    vocabulary: int
    tied: bool
    """True if the input and the output embeddings share their weights."""
    vision_layers: int
    vision_hidden: int
    vision_intermediate: int
    vision_matrices: int
    """Matrices per feed-forward layer of the vision tower: 3 if the layer is gated, else 2."""
    patches: int
    """Patches per square that the vision tower reads."""
    visual_tokens: int
    """Tokens per square that the language model reads."""
    query_width: int = 0
    """Query heads × the width of a head, in channels; 0 if it is ``hidden``."""
    mergers: int = 1
    """Modules that translate features of the vision tower for the language model; Qwen3-VL has several."""
    shares_prompts: bool = False
    """True for the families whose prompts a training computes once per group (training/shared_trainer.py)."""

    @property
    def parameters(self) -> int:
        """Number of weights of linear layers and embeddings, without norms and biases (less than 0.1 %)."""
        width, queries = self.hidden, self.query_width or self.hidden
        attention = width * (queries + 2 * self.kv_width) + queries * width
        language = self.layers * (attention + 3 * width * self.intermediate)
        embeddings = self.vocabulary * width * (1 if self.tied else 2)
        return language + embeddings + self.vision_parameters

    @property
    def vision_parameters(self) -> int:
        """Number of weights of the vision tower, with the layers that translate its features for the language model."""
        width = self.vision_hidden
        layer = 4 * width * width + self.vision_matrices * width * self.vision_intermediate
        merged: int = width * round((self.patches / self.visual_tokens) ** 0.5) ** 2
        return self.vision_layers * layer + self.mergers * (merged * merged + merged * self.hidden)

    def adapter_parameters(self, rank: int) -> int:
        """Number of weights of low-rank adapters on every linear layer of the language model."""
        width, kv, inner = self.hidden, self.kv_width, self.intermediate
        attention = 2 * (width + (self.query_width or width)) + 2 * (width + kv)
        return self.layers * rank * (attention + 3 * (width + inner))


def _qwen(layers: int, hidden: int, intermediate: int, kv_width: int, vocabulary: int, tied: bool) -> Architecture:
    return Architecture(
        *(layers, hidden, intermediate, kv_width, vocabulary, tied),
        *(32, 1280, 3420, 3),
        patches=3600,
        visual_tokens=900,
        shares_prompts=True,
    )


def _qwen3(
    layers: int, hidden: int, intermediate: int, query_width: int, tied: bool, vision: tuple[int, int, int]
) -> Architecture:
    """A dense Qwen3-VL; ``vision`` is layers, hidden and intermediate width of its vision tower."""
    return Architecture(
        *(layers, hidden, intermediate, 1024, 151_936, tied),
        *vision,
        2,
        patches=3136,
        visual_tokens=784,
        query_width=query_width,
        mergers=4,
        shares_prompts=True,
    )


def _vit_large(
    layers: int, hidden: int, intermediate: int, kv_width: int, vocabulary: int, patches: int, tokens: int
) -> Architecture:
    return Architecture(layers, hidden, intermediate, kv_width, vocabulary, False, 24, 1024, 4096, 2, patches, tokens)


# From the published config.json files. InternVL3 reads a square of 896 pixels as four tiles of 448 and a thumbnail.
_PUBLISHED = {
    "qwen2.5-vl-3b": _qwen(36, 2048, 11008, 256, 151_936, True),
    "qwen2.5-vl-7b": _qwen(28, 3584, 18944, 512, 152_064, False),
    "qwen3-vl-2b": _qwen3(28, 2048, 6144, 2048, True, (24, 1024, 4096)),
    "qwen3-vl-4b": _qwen3(36, 2560, 9728, 4096, True, (24, 1024, 4096)),
    "qwen3-vl-8b": _qwen3(36, 4096, 12288, 4096, False, (27, 1152, 4304)),
    "internvl3-2b": _vit_large(28, 1536, 8960, 256, 151_674, 5 * 1024, 5 * 256),
    "internvl3-8b": _vit_large(28, 3584, 18944, 512, 151_674, 5 * 1024, 5 * 256),
    "llava-1.5-7b": _vit_large(32, 4096, 11008, 4096, 32_064, 576, 576),
}


def architecture(prompter: str) -> Architecture | None:
    """The sizes of a prompter.

    Args:
        prompter: a name or a folder with a config.json.

    Returns:
        Those that its folder states, if it is on this machine; else the published ones. None if neither is known.

    Raises:
        InputError: if the folder's config.json is not that of a known kind of model.
    """
    folder = folder_if_here(prompter)
    if folder is not None and is_there(folder / "config.json"):
        return _read(folder)
    return published_architecture(prompter)


def published_architecture(name: str) -> Architecture | None:
    """The sizes of a published model; None for a name that contains no name of a known model."""
    lower = name.lower()
    return next((sizes for known, sizes in _PUBLISHED.items() if known in lower), None)


def _read(folder: Path) -> Architecture:
    config = outside_object(folder / "config.json")
    text, vision = config.get("text_config", config), config.get("vision_config", {})
    try:
        heads = text["num_attention_heads"]
        width = text.get("head_dim") or text["hidden_size"] // heads
        merge = vision.get("spatial_merge_size", 1)
        patches, tokens = _patches_and_tokens(folder, config, _first(vision["patch_size"]), merge)
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
            vision_matrices=3 if config["model_type"] == "qwen2_5_vl" else 2,
            patches=patches,
            visual_tokens=tokens,
            query_width=heads * width,
            mergers=1 + len(vision.get("deepstack_visual_indexes") or ()),
            shares_prompts=config["model_type"].startswith("qwen") and not _has_states(text),
        )
    except KeyError as missing:
        raise InputError(f"{folder / 'config.json'} has no {missing}: this is no known kind of prompter.") from None
    except (TypeError, AttributeError, IndexError, ArithmeticError, ValueError) as fault:
        raise InputError(f"{folder / 'config.json'} has sizes that no prompter has ({fault}).") from fault


def _has_states(text: dict[str, Any]) -> bool:
    """Whether some layers have a state in place of keys and values (Qwen3.5)."""
    return any(kind != "full_attention" for kind in text.get("layer_types") or ())


def _patches_and_tokens(folder: Path, config: dict[str, Any], patch: int, merge: int) -> tuple[int, int]:
    """How many patches of the square the vision tower reads, and how many tokens the language model."""
    if (size := config["vision_config"].get("image_size")) is None:
        side = _side(folder, config["model_type"], patch * merge) // patch
        return side**2, (side // merge) ** 2
    patches = (_first(size) // patch) ** 2
    # InternVL reads the square as 2 × 2 tiles and a thumbnail; LLaVA reads it once.
    images = 5 if config["model_type"] == "internvl" else 1
    return images * patches, images * (config.get("image_seq_length") or patches)


def _first(size: int | list[int]) -> int:
    """A size that some configurations write for height and width."""
    return size if isinstance(size, int) else size[0]


def _side(folder: Path, model_type: str, unit: int) -> int:
    """The side of the square within the processor's pixel budget and the full size, as the prompter computes it."""
    budget = (FAMILIES[model_type].side if model_type in FAMILIES else 840) ** 2
    for name in ("processor_config.json", "preprocessor_config.json"):
        if is_there(folder / name):
            config = outside_object(folder / name)
            config = config.get("image_processor", config)
            size = config.get("size", {})
            budget = min(budget, size.get("longest_edge") or config.get("max_pixels") or budget)
            break
    return int(budget**0.5) // unit * unit
