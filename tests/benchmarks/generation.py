"""Tokens a second of answering: ours against transformers' own generation in the same batches, and against vLLM.

    python -m tests.benchmarks.generation                 # the embedded prompter on scenes that it can answer
    python -m tests.benchmarks.generation --model 3b --device cuda --questions 256 --batch 64 --new-tokens 256
    python -m tests.benchmarks.generation --model 3b --device cuda --backends transformers vllm \
        --questions 256 --batch 64 --new-tokens 256       # both backends; needs the extra [vllm]

Each picture has four questions. The embedded prompter gets drawn scenes, and its answers end at different lengths.
``--model 3b`` has the sizes of Qwen2.5-VL-3B and random weights, built from its config class, saved and loaded
as any other; nearly every answer is as long as it may be. ``ratio`` is ours over the plain way, which reads the whole
prompt of each question and keeps finished answers in the batch. Both must give the same tokens. ``alone_ratio`` is ours
over one question at a time, and ``vllm_ratio`` vLLM over ours.
"""

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers

from t2s_pipeline.datasets.synthetic.layout import scene_of
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.load import load_answerer
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination
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


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["embedded", "tiny", "3b"], default="embedded")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--backends", nargs="+", choices=["transformers", "vllm"], default=["transformers"])
    parser.add_argument("--questions", type=int, default=128)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--new-tokens", type=int, default=160)
    options = parser.parse_args(arguments)
    result: dict = {"device": options.device, "torch": torch.__version__, "transformers": transformers.__version__}
    result |= {"machine": platform.machine(), "model": options.model, "threads": torch.get_num_threads()}
    with tempfile.TemporaryDirectory() as folder:
        name = "qwen2.5-vl-mini" if options.model == "embedded" else folder
        if options.model != "embedded":
            build(options.model, options.device, Path(folder))
        for backend in options.backends:
            settings = GenerationSettings(max_new_tokens=options.new_tokens, batch_size=options.batch, backend=backend)
            prompter = load_answerer(name, settings, options.device)
            images, questions = scenes(prompter, options.questions)
            ours = Run(prompter.answer, images, questions, settings)
            ours.answer(2, 2)  # warm up
            # It makes its own batches.
            result[f"{backend}_tokens_per_second"], completions = ours.answer(options.questions)
            print(f"{backend}: {result[f'{backend}_tokens_per_second']:.0f} tokens a second")
            if isinstance(prompter, Prompter):
                result |= compared(prompter, ours, options.batch, completions)
            del prompter
            if options.device == "cuda":
                result[f"{backend}_peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
                torch.cuda.empty_cache()
    result["per_second"] = result.get("transformers_tokens_per_second", result.get("vllm_tokens_per_second"))
    if {"transformers", "vllm"} <= set(options.backends):
        result["vllm_ratio"] = result["vllm_tokens_per_second"] / result["transformers_tokens_per_second"]
    print(json.dumps(result))
    return result


def scenes(prompter: Chat, count: int) -> tuple[list[np.ndarray], list[str]]:
    """Pictures and questions, four about each picture, the longest questions first as in an evaluation."""
    pairs = []
    for index in range((count + 3) // 4):
        scene = scene_of(0, "test", index)
        square = np.asarray(prompter.square(scene.image))
        asked = [scene.questions[number % len(scene.questions)] for number in range(4)]
        pairs += [(square, question) for question in asked]
    pairs = sorted(pairs[:count], key=lambda pair: -len(pair[1]))
    return [square for square, _ in pairs], [question for _, question in pairs]


def compared(prompter: Prompter, ours: "Run", size: int, completions: list[Completion]) -> dict[str, float]:
    """The plain way beside ours, with the same tokens, and ours with one question at a time."""
    plain = Run(partial(plainly, prompter), ours.images, ours.questions, ours.settings)
    plain.answer(2, 2)
    plain_per_second, expected = plain.answer(size)
    different = sum(one.text != other.text for one, other in zip(completions, expected, strict=True))
    per_second = sum(completion.tokens for completion in completions) / ours.seconds
    alone_per_second, _ = ours.answer(1, 8)
    print(f"plain: {plain_per_second:.0f} tokens a second, {different} of {len(completions)} answers differ")
    return {
        "plain_tokens_per_second": plain_per_second,
        "ratio": per_second / plain_per_second,
        "alone_tokens_per_second": alone_per_second,
        "alone_ratio": per_second / alone_per_second,
        "different_answers": different,
    }


def plainly(
    prompter: Prompter,
    images: list[np.ndarray],
    questions: list[str],
    combination: PromptCombination,
    settings: GenerationSettings,
) -> list[Completion]:
    """Answers by transformers' own generation."""
    return [prompter.completion(row, 0.0) for row in prompter.generated(images, questions, combination, settings)]


@dataclass
class Run:
    """One way to answer questions."""

    way: Callable[..., list[Completion]]
    images: list[np.ndarray]
    questions: list[str]
    settings: GenerationSettings
    seconds: float = 0.0

    def answer(self, size: int, count: int | None = None) -> tuple[float, list[Completion]]:
        """The first ``count`` questions in batches of ``size``: tokens a second, pictures included, and the answers."""
        completions: list[Completion] = []
        begun = time.perf_counter()
        for start in range(0, count or len(self.questions), size):
            part = slice(start, start + size)
            completions += self.way(
                self.images[part], self.questions[part], PROMPT_COMBINATIONS["bbox+pos2"], self.settings
            )
        self.seconds = time.perf_counter() - begun
        return sum(completion.tokens for completion in completions) / self.seconds, completions


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


if __name__ == "__main__":
    main()
