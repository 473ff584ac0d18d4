"""The miniature prompter: the Qwen2.5-VL classes of transformers with a few million parameters and its own tokenizer.

The square has 168 × 168 pixels: 12 × 12 patches of 14 pixels, merged two by two into 36 visual tokens, as in the
full-size model at 840 pixels. These settings differ from those of the full-size model:

- The text model has the rotary base 400 and the sections 1-3-12. The slowest rotations encode the columns of the
  image. With the usual base they cannot distinguish 6 neighbours. With a base near 10 they can, but then no rotation
  is slow enough to find a cell by its content from a hundred tokens away, and the model never learns to attend to the
  image.
- Every vision block has full attention: at this size, windows of 112 pixels cost more than they save.
- Each number up to the side of the square is one token, so that an object takes about 20 tokens.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Tokens are merged only within these pieces: JSON keys, tags, the instruction's placeholders, numbers and words.
PIECES = r'\[x0, y0, x1, y1\]|\[x, y\]|"[a-z_]+[0-9d_]*":|</?(?:think|answer)>|\d{1,3}| ?[A-Za-z]+|[^A-Za-z0-9"<]+|.'


@dataclass(frozen=True)
class PrompterShape:
    """Sizes of the miniature prompter, named as in transformers' configuration."""

    side: int = 168
    vocab_size: int = 1024
    hidden_size: int = 192
    intermediate_size: int = 384
    num_hidden_layers: int = 5
    num_attention_heads: int = 6
    num_key_value_heads: int = 2
    rope_theta: float = 400.0
    mrope_section: tuple[int, int, int] = (1, 3, 12)
    vision_depth: int = 4
    vision_hidden_size: int = 128
    vision_intermediate_size: int = 320
    vision_heads: int = 4
    patch_size: int = 14
    merge_size: int = 2

    @property
    def cells(self) -> int:
        """Visual tokens along one side."""
        return self.side // (self.patch_size * self.merge_size)


SHAPES = {
    "small": PrompterShape(hidden_size=128, intermediate_size=256, num_hidden_layers=4, num_attention_heads=4),
    "mini": PrompterShape(),
}
"""The sizes of Table 4 in miniature. ``mini`` is the embedded one."""


def train_tokenizer(corpus: Iterable[str], shape: PrompterShape) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer on ``corpus``; each number up to the side of the square becomes one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=shape.vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    # They are repeated so often that every number is merged before any word.
    numbers = [" ".join(str(number) for number in range(shape.side + 1))] * 2000
    tokenizer.train_from_iterator([*numbers, *corpus], trainer)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]  # transformers has no types here
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
    )


def build_processor(tokenizer: PreTrainedTokenizerFast, shape: PrompterShape) -> Qwen2_5_VLProcessor:
    """The processor that cuts a 168 × 168 image into patches. It does not resize, because callers pass the square."""
    pixels = {"shortest_edge": shape.side**2, "longest_edge": shape.side**2}
    sizes: dict[str, Any] = {"patch_size": shape.patch_size, "merge_size": shape.merge_size, "temporal_patch_size": 2}
    return Qwen2_5_VLProcessor(  # type: ignore[no-untyped-call]  # transformers has no types here
        image_processor=Qwen2VLImageProcessor(size=pixels, **sizes),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=pixels, **sizes),
        chat_template=CHAT_TEMPLATE,
    )


def build_model(
    tokenizer: PreTrainedTokenizerFast, shape: PrompterShape, seed: int = 0
) -> Qwen2_5_VLForConditionalGeneration:
    """The model with random weights from ``seed``."""

    def token(text: str) -> int:
        index = tokenizer.convert_tokens_to_ids(text)
        assert isinstance(index, int)
        return index

    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": shape.hidden_size,
            "intermediate_size": shape.intermediate_size,
            "num_hidden_layers": shape.num_hidden_layers,
            "num_attention_heads": shape.num_attention_heads,
            "num_key_value_heads": shape.num_key_value_heads,
            "max_position_embeddings": 4096,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": shape.rope_theta,
                "mrope_section": list(shape.mrope_section),
            },
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={
            "depth": shape.vision_depth,
            "hidden_size": shape.vision_hidden_size,
            "intermediate_size": shape.vision_intermediate_size,
            "num_heads": shape.vision_heads,
            "patch_size": shape.patch_size,
            "spatial_merge_size": shape.merge_size,
            "out_hidden_size": shape.hidden_size,
            "fullatt_block_indexes": list(range(shape.vision_depth)),
        },
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.bos_token_id = None
    return model
