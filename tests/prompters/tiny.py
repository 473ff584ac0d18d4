"""Every family at a size that a test can afford: own config class, random weights, released chat template.

The templates and special tokens are those of the released checkpoints, so that what is rendered here is what they see.
"""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.coordinates import Coordinates
from t2s_pipeline.prompting.templates import answer_text, instruction

TEXT = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
}
QWEN_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_PARTS = (
    "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
    "{% if part.type == 'image' %}IMAGE{% elif 'text' in part %}{{ part.text }}{% endif %}{% endfor %}{% endif %}"
)
QWEN3_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    + CHAT_PARTS.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>")
    + "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN25_CHAT = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
    + QWEN3_CHAT
)
QWEN35_CHAT = QWEN3_CHAT.replace(
    "<|im_start|>assistant\n{% endif %}",
    "<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% else %}{{ '<think>\n' }}{% endif %}{% endif %}",
)
INTERNVL_CHAT = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    + CHAT_PARTS.replace("IMAGE", "{{ '<IMG_CONTEXT>\n' }}")
    + "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAVA_CHAT = (
    "{% for message in messages %}{{ message.role.upper() + ': ' }}"
    "{% for part in message.content | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message.content | selectattr('type', 'equalto', 'text') %}{{ part.text + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tokenizer(special: tuple[str, ...], end: str, pad: str, begin: str | None = None, **named: str):
    """A byte-level BPE with these special tokens; ``begin`` is put before every text, as Llama's does."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    corpus = [
        instruction("Where is it?", combination, unit)
        for combination in PROMPT_COMBINATIONS.values()
        for unit in Coordinates
    ]
    corpus.append(answer_text("It is there.", "[]"))
    made.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if begin:
        made.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, made.token_to_id(begin))]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=end,
        pad_token=pad,
        bos_token=begin,
        additional_special_tokens=[token for token in special if token not in named.values()],
        extra_special_tokens=named,
        clean_up_tokenization_spaces=False,
    )


def qwen2_5_vl(side: int = 112, text: dict | None = None, vision: dict | None = None):
    words = tokenizer(QWEN_TOKENS, "<|im_end|>", "<|endoftext|>")
    config = transformers.Qwen2_5_VLConfig(
        text_config=text
        or {
            **TEXT,
            "vocab_size": len(words),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        vision_config=vision
        or {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 14,
            "window_size": 56,
            "fullatt_block_indexes": [1],
            "out_hidden_size": 64,
        },
        **_qwen_ids(words),
        tie_word_embeddings=True,
    )
    size = {"shortest_edge": side**2, "longest_edge": side**2}
    processor = transformers.Qwen2_5_VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size, patch_size=14, merge_size=2),
        tokenizer=words,
        video_processor=transformers.Qwen2VLVideoProcessor(size=size, patch_size=14, merge_size=2),
        chat_template=QWEN25_CHAT,
    )
    return config, processor


def qwen2_vl():
    """An architecture that is none of our families: tests register it as a person would."""
    words = tokenizer(QWEN_TOKENS, "<|im_end|>", "<|endoftext|>")
    config = transformers.Qwen2VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(words),
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": 64,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": 14,
        },
        **_qwen_ids(words),
        tie_word_embeddings=True,
    )
    size = {"shortest_edge": 112**2, "longest_edge": 112**2}
    processor = transformers.Qwen2VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size, patch_size=14, merge_size=2),
        tokenizer=words,
        video_processor=transformers.Qwen2VLVideoProcessor(size=size, patch_size=14, merge_size=2),
        chat_template=QWEN25_CHAT,
    )
    return config, processor


def qwen3_vl():
    words = tokenizer(QWEN_TOKENS, "<|im_end|>", "<|endoftext|>")
    config = transformers.Qwen3VLConfig(
        text_config={
            **TEXT,
            "head_dim": 16,
            "vocab_size": len(words),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [4, 2, 2],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        **_qwen_ids(words),
        tie_word_embeddings=True,
    )
    return config, _qwen3_processor(words, QWEN3_CHAT)


def qwen3_5():
    """Three layers with a state, then one of attention, as in the released models."""
    words = tokenizer(QWEN_TOKENS, "<|im_end|>", "<|endoftext|>")
    config = transformers.Qwen3_5Config(
        text_config={
            **TEXT,
            "num_hidden_layers": 4,
            "head_dim": 16,
            "linear_key_head_dim": 16,
            "linear_value_head_dim": 16,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "vocab_size": len(words),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e4,
                "mrope_section": [2, 1, 1],
                "mrope_interleaved": True,
                "partial_rotary_factor": 0.5,
            },
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "patch_size": 16,
            "out_hidden_size": 64,
            "num_position_embeddings": 64,
        },
        **_qwen_ids(words),
        tie_word_embeddings=True,
    )
    return config, _qwen3_processor(words, QWEN35_CHAT)


def _qwen3_processor(words, chat: str):
    size = {"shortest_edge": 128**2, "longest_edge": 128**2}
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(size=size, patch_size=16, merge_size=2),
        tokenizer=words,
        video_processor=transformers.Qwen3VLVideoProcessor(size=size, patch_size=16, merge_size=2),
        chat_template=chat,
    )


def _qwen_ids(words) -> dict[str, int]:
    token = words.convert_tokens_to_ids
    return {
        "image_token_id": token("<|image_pad|>"),
        "video_token_id": token("<|video_pad|>"),
        "vision_start_token_id": token("<|vision_start|>"),
        "vision_end_token_id": token("<|vision_end|>"),
    }


def internvl():
    words = tokenizer(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<img>", "</img>", "<IMG_CONTEXT>", "<video>"),
        "<|im_end|>",
        "<|endoftext|>",
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    config = transformers.InternVLConfig(
        text_config={"model_type": "qwen2", **TEXT, "vocab_size": len(words)},
        vision_config={
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 48,
            "image_size": [56, 56],
            "patch_size": [14, 14],
        },
        image_token_id=words.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=True,
    )
    size = {"height": 56, "width": 56}
    processor = transformers.InternVLProcessor(
        image_processor=transformers.GotOcr2ImageProcessor(size=size, crop_to_patches=True),
        tokenizer=words,
        video_processor=transformers.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=INTERNVL_CHAT,
    )
    return config, processor


def llava():
    words = tokenizer(("<unk>", "<s>", "</s>", "<image>", "<pad>"), "</s>", "<pad>", begin="<s>", image_token="<image>")
    config = transformers.LlavaConfig(
        text_config={"model_type": "llama", **TEXT, "vocab_size": len(words)},
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
            "projection_dim": 32,
        },
        image_token_index=words.convert_tokens_to_ids("<image>"),
        image_seq_length=16,
    )
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56}
        ),
        tokenizer=words,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_CHAT,
    )
    return config, processor


BUILDERS = {
    "qwen2_vl": qwen2_vl,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "qwen3_5": qwen3_5,
    "internvl": internvl,
    "llava": llava,
}
MODELS = {
    "qwen2_vl": transformers.Qwen2VLForConditionalGeneration,
    "qwen2_5_vl": transformers.Qwen2_5_VLForConditionalGeneration,
    "qwen3_vl": transformers.Qwen3VLForConditionalGeneration,
    "qwen3_5": transformers.Qwen3_5ForConditionalGeneration,
    "internvl": transformers.InternVLForConditionalGeneration,
    "llava": transformers.LlavaForConditionalGeneration,
}


def save(model_type: str, folder: Path) -> Path:
    """Build a family's tiny model and save it as a checkpoint is published."""
    config, processor = BUILDERS[model_type]()
    torch.manual_seed(3)
    MODELS[model_type](config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
