"""A prompter run by vLLM (extra ``[vllm]``), for evaluation on a GPU. Training uses transformers only.

vLLM schedules by itself, so it gets a whole window of questions at once. This module follows the documented interface
of vLLM 0.33. It needs a GPU and has not been run yet (docs/performance.md has the command).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompting.asking import AS_EMBEDDED, Asking
from t2s_pipeline.prompting.combinations import PromptCombination

if TYPE_CHECKING:
    from vllm.outputs import CompletionOutput

MAX_PROMPT_TOKENS = 2048
"""Image and instruction: 900 image tokens for Qwen2.5-VL or 1280 for InternVL3, and about 150 tokens of text."""


class VllmPrompter(Chat):
    """A published prompter in vLLM's offline engine."""

    def __init__(
        self, name: str, folder: Path, settings: GenerationSettings, asking: Asking = AS_EMBEDDED, **engine: object
    ) -> None:
        """Load from a local folder: only safetensors, no remote code.

        Args:
            name: the name of the prompter in tables.
            folder: the folder with the checkpoint.
            settings: how it will be asked.
            asking: how it is asked.
            **engine: more arguments of ``vllm.LLM``.

        Raises:
            InputError: if vLLM is not installed, or the folder lacks a model of a known family.
        """
        super().__init__(name, folder, asking)
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
            # A checkpoint's own defaults (a repetition penalty) must have no effect.
            "generation_config": "vllm",
        }
        self.engine = LLM(model=str(folder), **{**options, **engine})

    def answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """The same as ``Prompter.answer``, in batches that vLLM makes."""
        from vllm import SamplingParams
        from vllm.sampling_params import StructuredOutputsParams

        start = time.perf_counter()
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
        seconds = (time.perf_counter() - start) / len(prompts)
        return [_completion(output.outputs[0], seconds) for output in outputs]


def _completion(output: "CompletionOutput", seconds: float) -> Completion:
    reason = "stop" if output.finish_reason == "stop" else "length"
    return Completion(output.text, len(output.token_ids), reason, seconds)
