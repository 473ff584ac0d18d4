"""A prompter run by vLLM (extra ``[vllm]``), for evaluation on a GPU; training keeps to transformers.  [torch]

It schedules by itself, so a whole window of questions is handed over at once. Written against vLLM 0.33's documented
interface; it needs a GPU and has not been run here (docs/performance.md has the command).
"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompting.combinations import PromptCombination

MAX_PROMPT_TOKENS = 2048
"""Image and instruction: Qwen2.5-VL's 900 image tokens or InternVL3's 1280, and some 150 of text."""


class VllmPrompter(Chat):
    """A released prompter behind vLLM's offline engine."""

    def __init__(
        self, name: str, folder: Path, settings: GenerationSettings, coordinates: str = "pixels", **engine: object
    ):
        """Load from a local folder: safetensors only, no remote code.

        Args:
            engine: further arguments of ``vllm.LLM``.

        Raises:
            InputError: if vLLM is not installed, or the folder lacks a model of a known family.
        """
        super().__init__(name, folder, coordinates)
        try:
            from vllm import LLM
        except ImportError as fault:
            raise InputError(
                "The backend vllm is not installed: `pip install 't2s-pipeline[vllm]'`, or use transformers."
            ) from fault
        options = {
            "dtype": "bfloat16",
            "load_format": "safetensors",
            "trust_remote_code": False,
            "max_model_len": MAX_PROMPT_TOKENS + settings.max_new_tokens,
            "limit_mm_per_prompt": {"image": 1},
            "seed": settings.seed,
            # A checkpoint's own defaults (a repetition penalty) must not creep in.
            "generation_config": "vllm",
        }
        self.engine = LLM(model=str(folder), **{**options, **engine})

    def answer(
        self,
        images: Sequence[np.ndarray],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """Answers as ``Prompter.answer`` gives them; vLLM batches by itself."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        begun = time.perf_counter()
        rules = {}
        if settings.constrained:
            from t2s_pipeline.prompting.grammar import grammar

            rules = {"structured_outputs": StructuredOutputsParams(grammar=grammar(combination, self.answers))}
        sampling = SamplingParams(
            temperature=settings.temperature,
            top_p=1.0,
            top_k=0,
            repetition_penalty=1.0,
            max_tokens=settings.max_new_tokens,
            stop_token_ids=self.end_ids,
            seed=settings.seed if settings.temperature > 0 else None,
            skip_special_tokens=True,
            **rules,
        )
        prompts = [
            {"prompt": self.render(question, combination), "multi_modal_data": {"image": self.square(image)}}
            for image, question in zip(images, questions, strict=True)
        ]
        outputs = self.engine.generate(prompts, sampling, use_tqdm=False)
        seconds = (time.perf_counter() - begun) / len(prompts)
        return [_completion(output.outputs[0], seconds) for output in outputs]


def _completion(found, seconds: float) -> Completion:
    """``found`` is a ``vllm.outputs.CompletionOutput``."""
    reason = "stop" if found.finish_reason == "stop" else "length"
    return Completion(found.text, len(found.token_ids), reason, seconds)
