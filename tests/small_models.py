"""The real architectures with random weights at a size that a test can afford."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from t2s_pipeline.miniature.prompter import PrompterShape, build_model, build_processor, train_tokenizer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.templates import instruction
from t2s_pipeline.segmenters.miniature import build

SMALL = PrompterShape(
    side=56,
    vocab_size=420,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    vision_depth=2,
    vision_hidden_size=32,
    vision_intermediate_size=48,
    vision_heads=2,
)


def save_prompter(folder: Path, seed: int = 0) -> Path:
    """A prompter with random weights, in a folder that ``load_prompter`` takes."""
    tokenizer = train_tokenizer([instruction("Where are the roofs?", PROMPT_COMBINATIONS["bbox"])], SMALL)
    build_processor(tokenizer, SMALL).save_pretrained(folder)
    build_model(tokenizer, SMALL, seed).save_pretrained(folder)
    return folder


def save_segmenter(path: Path, seed: int = 0) -> str:
    """A segmenter with random weights; returns the name that ``load_segmenter`` takes."""
    torch.manual_seed(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.half().contiguous() for name, weight in build().state_dict().items()}, path)
    return f"sam2-mini@{path}"
