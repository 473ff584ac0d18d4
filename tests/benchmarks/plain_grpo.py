"""The loop that the authors' code amounts to, to be measured against: nothing is shared within a group.

Per completion: the image is decoded and resized, its patches are made, SAM2 encodes it, objects are decoded one by
one; log-probabilities come from the logits of the whole sequence, prompt included.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.parsing import FormatError, parse
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.pictures import decode_image


@dataclass(frozen=True)
class Prompt:
    """``picture`` is the image file's bytes; ``truth`` bool at the prompter's square."""

    picture: bytes
    question: str
    truth: np.ndarray


class PlainLoop:
    """One GRPO step at a time on one device, in float32 or under bfloat16 autocast as the experiment says."""

    def __init__(self, plan: Experiment, policy: Prompter, reference: Prompter, segmenter: Sam2Segmenter) -> None:
        self._plan, self._policy, self._segmenter = plan, policy, segmenter
        self._reference = reference.model.eval().requires_grad_(False)
        self._model = policy.model.float()
        if plan.grpo.gradient_checkpointing:
            self._model.gradient_checkpointing_enable()
        self._optimizer = torch.optim.AdamW(self._model.parameters(), plan.grpo.learning_rate, weight_decay=0.0)
        self._combination = PROMPT_COMBINATIONS[plan.recipe.combination]

    def step(self, prompts: list[Prompt]) -> dict[str, float]:
        """Seconds by phase, and the mean reward."""
        grpo, began = self._plan.grpo, time.perf_counter()
        rows = [prompt for prompt in prompts for _ in range(grpo.group_size)]
        squares = [np.asarray(self._policy.square(decode_image(row.picture))) for row in rows]
        inputs = self._policy.inputs(squares, [row.question for row in rows], self._combination).to(self._model.device)
        with torch.no_grad(), self._autocast():
            # There would be no image for a sampled image token.
            drawn = self._model.eval().generate(
                **inputs,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=grpo.max_new_tokens,
                suppress_tokens=[self._model.config.image_token_id],
            )
        length = inputs["input_ids"].shape[1]
        texts = self._policy.processor.tokenizer.batch_decode(drawn[:, length:], skip_special_tokens=True)
        generated = time.perf_counter()
        rewards = torch.tensor([self._reward(*row) for row in zip(texts, rows, squares, strict=True)])
        rewarded = time.perf_counter()
        groups = rewards.view(-1, grpo.group_size)
        advantages = ((groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)).flatten()
        self._update(inputs, drawn, length, advantages.to(drawn.device))
        if drawn.device.type == "cuda":
            torch.cuda.synchronize()
        ended = time.perf_counter()
        return {
            "seconds": ended - began,
            "generate_seconds": generated - began,
            "reward_seconds": rewarded - generated,
            "update_seconds": ended - rewarded,
            "reward": float(rewards.mean()),
        }

    def _reward(self, text: str, prompt: Prompt, square: np.ndarray) -> float:
        frame = self._policy.frame
        answer = parse(text, self._combination, self._policy.answers, self._plan.recipe.repair)
        embedding = self._segmenter.encode(square)
        if isinstance(answer, FormatError):
            return 0.0
        if not prompt.truth.any():
            return 1.0 + 2.0 * (not answer.objects)
        union = np.zeros((frame.height, frame.width), bool)
        for item in answer.objects:
            union |= self._segmenter.decode(embedding, [(item,)], frame, frame)[0].mask
        either = (union | prompt.truth).sum()
        return 1.0 + 2.0 * float((union & prompt.truth).sum() / either)

    def _update(self, inputs: dict[str, Tensor], drawn: Tensor, length: int, advantages: Tensor) -> None:
        grpo = self._plan.grpo
        tokenizer = self._policy.processor.tokenizer
        answer = drawn[:, length:]
        ended = (answer == tokenizer.eos_token_id).cumsum(1)
        mask = ((ended - (answer == tokenizer.eos_token_id).long()) == 0).float()
        self._model.train()
        rows = len(drawn)
        size = min(grpo.completions_per_pass or rows, rows)
        patches = inputs["image_grid_thw"].prod(1).tolist()
        pixels = inputs["pixel_values"].split(patches)
        for start in range(0, rows, size):
            part = slice(start, start + size)
            fields = {
                "input_ids": drawn[part],
                "attention_mask": torch.cat([inputs["attention_mask"][part], mask[part].long()], 1),
                "pixel_values": torch.cat(pixels[part]),
                "image_grid_thw": inputs["image_grid_thw"][part],
                "mm_token_type_ids": torch.nn.functional.pad(inputs["mm_token_type_ids"][part], (0, answer.shape[1])),
            }
            with self._autocast():
                now = _log_probabilities(self._model, fields)[:, length - 1 :]
                with torch.no_grad():
                    base = _log_probabilities(self._reference, fields)[:, length - 1 :]
            ratio = (now - now.detach()).exp()
            gain = ratio * advantages[part, None]
            distance = (base - now).exp() - (base - now) - 1
            tokens = (gain - grpo.beta * distance) * mask[part]
            loss = -(tokens.sum(1) / mask[part].sum(1)).sum() / rows
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), grpo.max_grad_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def _autocast(self) -> torch.autocast:
        half = self._plan.grpo.precision == "bfloat16"
        return torch.autocast(self._model.device.type, torch.bfloat16, enabled=half)


def _log_probabilities(model: torch.nn.Module, fields: dict[str, Tensor]) -> Tensor:
    """log π of every token after the first, (N, T − 1), from the logits of the whole sequence."""
    logits = model(**fields).logits[:, :-1].float()
    return logits.log_softmax(-1).gather(2, fields["input_ids"][:, 1:, None])[..., 0]


def truth_on(square: int, rle: masks.Rle) -> np.ndarray:
    return masks.at_centres(masks.decode(rle), square, square)
