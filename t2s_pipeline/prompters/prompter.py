"""A prompter run by transformers: loading, batched generation, and the guard that the image reaches it.  [torch]"""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, PreTrainedModel

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS, PromptCombination


class Prompter(Chat):
    """An LVLM of one of the families, with its weights.

    Attributes:
        model: transformers' model, in evaluation; float32 on a CPU, bfloat16 on a GPU.
    """

    def __init__(self, name: str, folder: Path, device: str = "cpu", coordinates: str = "pixels"):
        """Load from a local folder: safetensors only, no remote code.

        Raises:
            InputError: if the folder lacks a model of a known family, or its weights do not fit its config.
        """
        super().__init__(name, folder, coordinates)
        kind: type[PreTrainedModel] = getattr(transformers, self.family.model)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        self.model, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        # transformers fills weights that it does not find with random numbers, and says so in a log line.
        if report["missing_keys"] or report["mismatched_keys"]:
            lost = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
            raise InputError(f"{folder} lacks {len(lost)} weights of a {self.family.name}, {lost[0]} among them.")
        self.model.to(device).eval()

    @torch.inference_mode()
    def answer(
        self,
        images: Sequence[np.ndarray],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """One batch of answers; ``images`` are native (H, W, 3) uint8 arrays, one for each question."""
        begun = time.perf_counter()
        inputs = self.inputs(images, questions, combination).to(self.model.device)
        if settings.temperature > 0:
            torch.manual_seed(settings.seed)
        made = self.model.generate(
            **inputs,
            generation_config=self.generation_config(settings),
            logits_processor=self._rules(combination, settings),
        )
        made = made[:, inputs["input_ids"].shape[1] :]
        seconds = (time.perf_counter() - begun) / len(questions)
        return [self._completion(row, seconds) for row in made.tolist()]

    def generation_config(self, settings: GenerationSettings) -> GenerationConfig:
        """Ours, whole: a checkpoint's own defaults (Qwen2.5-VL ships a repetition penalty) must not creep in."""
        drawn = {"temperature": settings.temperature, "top_k": 0, "top_p": 1.0} if settings.temperature > 0 else {}
        return GenerationConfig(
            do_sample=settings.temperature > 0,
            max_new_tokens=settings.max_new_tokens,
            repetition_penalty=1.0,
            eos_token_id=self.end_ids,
            pad_token_id=self._pad_id,
            **drawn,
        )

    @property
    def _pad_id(self) -> int:
        padding = self.processor.tokenizer.pad_token_id
        return self.end_ids[0] if padding is None else padding

    def _rules(self, combination: PromptCombination, settings: GenerationSettings) -> list[LogitsProcessor]:
        if not settings.constrained:
            return []
        from t2s_pipeline.prompters.constrained import logits_processor

        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        return [logits_processor(self.processor.tokenizer, vocabulary, self.end_ids, combination, self.answers)]

    def _completion(self, row: list[int], seconds: float) -> Completion:
        tokenizer = self.processor.tokenizer
        ends = {*self.end_ids, self._pad_id}
        length = next((at for at, token in enumerate(row) if token in ends), None)
        text = tokenizer.decode(row[:length], skip_special_tokens=True)
        if length is None:
            return Completion(text, len(row), "length", seconds)
        return Completion(text, length + 1, "stop", seconds)

    def vision_parameters(self) -> list[str]:
        """Names of the parameters that see, or that translate what was seen for the language model."""
        return [name for name, _ in self.model.named_parameters() if name.startswith(self.family.vision_modules)]

    @torch.inference_mode()
    def check_sees(self) -> None:
        """Make sure that what the model answers depends on the image: library changes have dropped images silently.

        Raises:
            T2SError: if a black image gives the logits of a noisy one, or image tokens and features differ in number.
        """
        rng = np.random.default_rng(0)
        noisy = rng.integers(0, 256, (self.frame.height, self.frame.width, 3), dtype=np.uint8)
        logits = []
        for image in (noisy, np.zeros_like(noisy)):
            inputs = self.inputs([image], ["Where?"], PROMPT_COMBINATIONS[DEFAULT_COMBINATION]).to(self.model.device)
            logits.append(self.model(**inputs).logits[0, -1].float())
        tokens = int((inputs["input_ids"] == self.model.config.image_token_id).sum())
        features = self.image_features(inputs)
        if tokens != features or not tokens:
            raise T2SError(f"{self.name}: {tokens} image tokens in the prompt for {features} image features.")
        if torch.allclose(*logits, atol=1e-6, rtol=0):
            raise T2SError(f"{self.name} does not see: a black image gives the same logits as a noisy one.")

    def image_features(self, inputs: dict[str, Tensor]) -> int:
        """How many image features the model makes of these inputs."""
        known = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
        found = self.model.get_image_features(**known, return_dict=True).pooler_output
        return sum(part.shape[:-1].numel() for part in found)
