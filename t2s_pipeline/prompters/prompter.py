"""A prompter run by transformers: loading, batched generation, and the check that its output depends on the image."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, PreTrainedModel

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.prompters.answering import ImageReader, answer_tokens
from t2s_pipeline.prompters.base import Completion, GenerationSettings
from t2s_pipeline.prompters.chat import Chat
from t2s_pipeline.prompters.library_faults import faults_named
from t2s_pipeline.prompters.prefixes import can_be_extended
from t2s_pipeline.prompting.asking import AS_EMBEDDED, Asking
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS, PromptCombination


class Prompter(Chat):
    """An LVLM of one of the families, with its weights.

    Attributes:
        model: the model of transformers, in evaluation mode; float32 on a CPU, bfloat16 on a GPU.
    """

    def __init__(self, name: str, folder: Path, device: str = "cpu", asking: Asking = AS_EMBEDDED) -> None:
        """Load from a local folder: only safetensors, no remote code.

        Args:
            name: the name of the prompter in tables.
            folder: the folder with the checkpoint.
            device: a torch device.
            asking: how it is asked.

        Raises:
            InputError: if the folder lacks a model of a known family, or its weights do not fit its config.
        """
        super().__init__(name, folder, asking)
        if device != "cpu":
            # cuDNN's attention makes a plan for each new length, and each token of an answer is a new length. On an
            # H200, more than half of the time of answering was spent there, while the GPU waited.
            torch.backends.cuda.enable_cudnn_sdp(False)
        kind: type[PreTrainedModel] = getattr(transformers, self.family.model)
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        # With output_loading_info the result is a pair, which the annotation in transformers does not say.
        with faults_named(folder, "model", "Compare its config.json with its weights, or copy the folder again."):
            pair: Any = kind.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        model, report = pair
        # transformers fills missing weights with random numbers and only writes a log line about it.
        if report["missing_keys"] or report["mismatched_keys"]:
            missing = sorted(map(str, [*report["missing_keys"], *report["mismatched_keys"]]))
            raise InputError(f"{folder} lacks {len(missing)} weights of a {self.family.name}, {missing[0]} among them.")
        # Any: the models' classes in transformers have no common base that annotates generate().
        self.model: Any = model.to(device).eval()

    @torch.inference_mode()
    def answer(
        self,
        images: Sequence[NDArray[np.uint8]],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[Completion]:
        """One completion per question, in batches of ``settings.batch_size``. Each image is read once for all of them.

        Args:
            images: native images, uint8 (H, W, 3), one per question; the same object for the same image.
            questions: the questions.
            combination: the prompts that the answer holds.
            settings: how the completions are sampled. The random numbers of each batch begin anew with the seed.
        """
        can_share = can_be_extended(self.model) and not settings.constrained
        reader = ImageReader(self, self.model, combination) if can_share else None
        completions = []
        for begin in range(0, len(questions), settings.batch_size):
            start, end = time.perf_counter(), begin + settings.batch_size
            batch = images[begin:end], questions[begin:end]
            if settings.temperature > 0:
                torch.manual_seed(settings.seed)
            read = reader.read(*batch, images[end:]) if reader else None
            if read is not None:
                limit = settings.max_new_tokens
                rows = answer_tokens(self.model, read, limit, self.end_ids, settings.temperature)
            else:
                rows = self.generated(*batch, combination, settings)
            seconds = (time.perf_counter() - start) / len(rows)
            completions += [self.completion(row, seconds) for row in rows]
        return completions

    def generated(
        self,
        images: Sequence[NDArray[np.uint8]],
        questions: Sequence[str],
        combination: PromptCombination,
        settings: GenerationSettings,
    ) -> list[list[int]]:
        """The tokens of the answers by transformers' own generation, which can be constrained."""
        inputs = self.inputs(images, questions, combination).to(self.model.device)
        if settings.temperature > 0:
            torch.manual_seed(settings.seed)
        tokens = self.model.generate(
            **inputs,
            generation_config=self.generation_config(settings),
            logits_processor=self._logits_processors(combination, settings),
        )
        rows: list[list[int]] = tokens[:, inputs["input_ids"].shape[1] :].tolist()
        return rows

    def generation_config(self, settings: GenerationSettings) -> GenerationConfig:
        """The whole configuration: a checkpoint's own defaults (Qwen2.5-VL: a repetition penalty) have no effect."""
        sampling = {"temperature": settings.temperature, "top_k": 0, "top_p": 1.0} if settings.temperature > 0 else {}
        return GenerationConfig(  # type: ignore[no-untyped-call]  # transformers does not annotate it
            do_sample=settings.temperature > 0,
            max_new_tokens=settings.max_new_tokens,
            repetition_penalty=1.0,
            eos_token_id=self.end_ids,
            pad_token_id=self._pad_id,
            **sampling,
        )

    @property
    def _pad_id(self) -> int:
        padding: int | None = self.processor.tokenizer.pad_token_id
        return self.end_ids[0] if padding is None else padding

    def _logits_processors(self, combination: PromptCombination, settings: GenerationSettings) -> list[LogitsProcessor]:
        if not settings.constrained:
            return []
        from t2s_pipeline.prompters.constrained import logits_processor

        vocabulary = self.model.get_output_embeddings().weight.shape[0]
        return [logits_processor(self.processor.tokenizer, vocabulary, self.end_ids, combination, self.answers)]

    def completion(self, row: list[int], seconds: float) -> Completion:
        """The completion of these tokens, up to the one that ends it; what follows is padding."""
        tokenizer = self.processor.tokenizer
        ends = {*self.end_ids, self._pad_id}
        length = next((index for index, token in enumerate(row) if token in ends), None)
        text = tokenizer.decode(row[:length], skip_special_tokens=True)
        if length is None:
            return Completion(text, len(row), "length", seconds)
        return Completion(text, length + 1, "stop", seconds)

    @torch.inference_mode()
    def check_depends_on_image(self) -> None:
        """Check that the output depends on the image. Changes in libraries have dropped images without a warning.

        Raises:
            T2SError: if a black image gives the logits of a noisy one, or the prompt has another number of image tokens
                than the model makes image features.
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
        if torch.allclose(logits[0], logits[1], atol=1e-6, rtol=0):
            raise T2SError(
                f"The output of {self.name} does not depend on the image: a black image gives the same logits as a "
                "noisy one."
            )

    def image_features(self, inputs: Mapping[str, Tensor]) -> int:
        """The number of image features that the model makes of these inputs."""
        images = {name: inputs[name] for name in ("pixel_values", "image_grid_thw") if name in inputs}
        features = self.model.get_image_features(**images, return_dict=True).pooler_output
        return sum(part.shape[:-1].numel() for part in features)
