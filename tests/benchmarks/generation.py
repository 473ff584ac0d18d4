"""Tokens a second of answering: in batches against one question at a time, and vLLM against transformers.

    python -m tests.benchmarks.generation                            # a tiny random Qwen2.5-VL on the CPU
    python -m tests.benchmarks.generation --model 3b --device cuda --questions 256 --batch 64 --new-tokens 256
    python -m tests.benchmarks.generation --model 3b --device cuda --backends transformers vllm \
        --questions 256 --batch 64 --new-tokens 256                  # both backends; needs the extra [vllm]

The model has the sizes of Qwen2.5-VL-3B (or tiny ones) and random weights, built from its config class, saved and
loaded as any other; every answer is as long as it may be, nearly. ``ratio`` is batches over single questions in
transformers, ``vllm_ratio`` vLLM over transformers' batches.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import transformers

from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.load import load_answerer
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from tests.prompters import tiny

TEXT_3B = {
    "hidden_size": 2048,
    "intermediate_size": 11008,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
    "vocab_size": 151936,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
}
VISION_3B = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "patch_size": 14,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
    "out_hidden_size": 2048,
}
WORDS = "where would ships unload their cargo near the long straight quay beside the tanks".split()


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["tiny", "3b"], default="tiny")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--backends", nargs="+", choices=["transformers", "vllm"], default=["transformers"])
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--new-tokens", type=int, default=32)
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(0)
    questions = [" ".join(rng.choice(WORDS, rng.integers(4, 30))) + "?" for _ in range(options.questions)]
    questions.sort(key=lambda question: -len(question))
    result: dict = {"device": options.device, "torch": torch.__version__, "transformers": transformers.__version__}
    result |= {"machine": platform.machine(), "model": options.model}
    with tempfile.TemporaryDirectory() as folder:
        build(options.model, options.device, Path(folder))
        for backend in options.backends:
            settings = GenerationSettings(max_new_tokens=options.new_tokens, batch_size=options.batch, backend=backend)
            prompter = load_answerer(folder, settings, options.device)
            squares = rng.integers(
                0, 256, (options.questions, prompter.frame.height, prompter.frame.width, 3), np.uint8
            )
            size = options.questions if backend == "vllm" else options.batch
            tokens_per_second(prompter, squares[:2], questions[:2], 2, settings)  # warm up
            result[f"{backend}_tokens_per_second"] = tokens_per_second(prompter, squares, questions, size, settings)
            if backend == "transformers":
                few = min(8, options.questions)
                alone = tokens_per_second(prompter, squares[:few], questions[:few], 1, settings)
                result["alone_tokens_per_second"] = alone
                result["ratio"] = result["transformers_tokens_per_second"] / alone
            print(f"{backend}: {result[f'{backend}_tokens_per_second']:.0f} tokens a second")
            del prompter
            if options.device == "cuda":
                result[f"{backend}_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
                torch.cuda.empty_cache()
    result["per_second"] = result.get("transformers_tokens_per_second", result.get("vllm_tokens_per_second"))
    if {"transformers", "vllm"} <= set(options.backends):
        result["vllm_ratio"] = result["vllm_tokens_per_second"] / result["transformers_tokens_per_second"]
    print(json.dumps(result))
    return result


def build(model: str, device: str, folder: Path) -> None:
    """Save the random model with a processor; bfloat16 on a GPU, where 3B would not fit twice otherwise."""
    config, processor = tiny.qwen2_5_vl()
    if model == "3b":
        config, processor = tiny.qwen2_5_vl(side=840, text=TEXT_3B, vision=VISION_3B)
        # So that whatever the random weights say has a text.
        words = processor.tokenizer
        words.add_tokens([f"<{number}>" for number in range(TEXT_3B["vocab_size"] - len(words))])
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device == "cuda" else torch.float32)
    try:
        with torch.device(device):
            made = tiny.MODELS["qwen2_5_vl"](config)
    finally:
        torch.set_default_dtype(before)
    made.save_pretrained(folder)
    processor.save_pretrained(folder)


def tokens_per_second(
    prompter: Chat, squares: np.ndarray, questions: list[str], size: int, settings: GenerationSettings
) -> float:
    """Questions in batches of ``size``, the pictures' preparation included."""
    tokens, begun = 0, time.perf_counter()
    for start in range(0, len(questions), size):
        part = slice(start, start + size)
        made = prompter.answer(list(squares[part]), questions[part], PROMPT_COMBINATIONS["bbox+pos2"], settings)
        tokens += sum(completion.tokens for completion in made)
    return tokens / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
