"""TRL's GRPO trainer with our changes, and the statistics of each step.

The differences from TRL:

- A completion without any part of its reward (because of a failure of the pipeline) is left out completely. TRL would
  add up the other parts, and so rate it worse than its group.
- A prompt goes through the model once for its group of completions, not once per completion.
- The times of sampling the completions, of rewarding them and of the update are measured.
- At regular steps, some completions are kept to be shown.
"""

import time
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from accelerate.utils import is_peft_model
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin, Trainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import pad

from t2s_pipeline.prompters.prefixes import PromptBatch
from t2s_pipeline.rewards.completions import text_of
from t2s_pipeline.rewards.length import length_factors
from t2s_pipeline.training import ranks
from t2s_pipeline.training.once_per_prompt import OncePerPrompt
from t2s_pipeline.training.samples import ShownCompletion, best_and_worst
from t2s_pipeline.training.shared_prompts import distinct, log_probabilities, sample_completions
from t2s_pipeline.training.stats import BatchStats, peak_megabytes, summarize

LogProbabilities = tuple[Tensor, Tensor | None, Tensor | None]
"""Log-probabilities (N, T), entropies (N, T) or None, and the auxiliary loss of a mixture of experts or None."""


class MaskGRPOTrainer(GRPOTrainer):
    """``GRPOTrainer`` that leaves out completions without a reward, and keeps the ``stats`` of the last batch.

    ``shown`` are the completions of the last batch that are shown to people: some at the first step and at every
    ``show_every``-th step, on the first rank.

    A prompt goes through the model once for its whole group (shared_prompts) if the training set has a column
    ``row`` that numbers the prompts. There are exceptions: several ranks or DeepSpeed, whose wrappers must see each
    call; gradient checkpointing, which keeps no keys and values; adapters; and models that place the tokens of an
    image in another way than Qwen2.5-VL.

    Args:
        *args: as for ``GRPOTrainer``.
        share_prompts: False to run each prompt once per completion in any case.
        show_every: steps between shown completions; 0 for none.
        length_budget: tokens of an answer to an easy question (``rewards.length``); 0 for no budget.
        reward_maximum: the reward of a perfect answer.
        **kwargs: as for ``GRPOTrainer``.
    """

    def __init__(
        self,
        *args: Any,
        share_prompts: bool = True,
        show_every: int = 0,
        length_budget: int = 0,
        reward_maximum: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self.stats = BatchStats()
        self.shown: list[ShownCompletion] = []
        self._show_every = show_every
        self._length_budget, self._reward_maximum = length_budget, reward_maximum
        self._generating, self._prepared = False, 0.0
        self._groups: Tensor | None = None
        super().__init__(*args, **kwargs)
        plain = self.accelerator.num_processes == 1 and not self.is_deepspeed_enabled and not self.use_vllm
        supported = not is_peft_model(self.model) and hasattr(self._policy.base_model, "rope_deltas")
        self._shares = share_prompts and plain and supported and not self.args.gradient_checkpointing

    @property
    def _policy(self) -> PreTrainedModel:
        """The model that is trained. The type of the trainer's own attribute is wider than what we give it."""
        return cast(PreTrainedModel, self.model)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Load all weights of a resumed run, with the model's own loader.

        Qwen2.5-VL is saved under its published names, which the trainer's loader does not translate. That loader
        would recognize no weight, only log a warning, and continue from the base.
        """
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or is_peft_model(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        checkpoint = type(self._policy).from_pretrained(
            resume_from_checkpoint, dtype=self._policy.dtype, use_safetensors=True, local_files_only=True
        )
        self._policy.load_state_dict(checkpoint.state_dict())

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self.stats, self.shown, self._generating = BatchStats(), [], True
        try:
            batch = self._generate_and_score(inputs)
        finally:
            self._generating = False
        rows = tuple(dict.fromkeys(row["row"] for row in inputs if "row" in row))
        of_ranks = ranks.from_all((rows, peak_megabytes(self.accelerator.device)))
        self.stats.prompts = tuple(row for rows_of_rank, _ in of_ranks for row in rows_of_rank)
        self.stats.peak_mb = max(peak for _, peak in of_ranks)
        self._prepared = time.perf_counter()
        return batch

    def _generate_and_score(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not (self._shares and "row" in inputs[0]):
            self._groups = None
            return super()._generate_and_score_completions(inputs)
        self._groups = torch.tensor([row["row"] for row in inputs], device=self.accelerator.device)
        processor = cast(ProcessorMixin, self.processing_class)
        # It is no ProcessorMixin, but it has the methods that TRL calls.
        self.processing_class = cast(ProcessorMixin, OncePerPrompt(processor, self._groups))
        try:
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self.processing_class = processor
        # The groups belong to the batch, which is shuffled and split before the loss.
        batch["groups"] = self._groups
        return batch

    def step_is_done(self) -> None:
        """Note that the optimizer has stepped: the time since the batch was ready is the time of the update."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize(self.accelerator.device)
        self.stats.update_seconds += time.perf_counter() - self._prepared

    def _generate_single_turn(
        self,
        prompt_ids: list[list[int]],
        images: Any,
        multimodal_fields: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> tuple[list[list[int]], Any]:
        began = time.perf_counter()
        if self._groups is None:
            parent: Any = super()
            completions = parent._generate_single_turn(prompt_ids, images, multimodal_fields, *args, **kwargs)
        else:
            completions = self._sample(prompt_ids, multimodal_fields, self._groups), None
        self.stats.generate_seconds += time.perf_counter() - began
        return cast(tuple[list[list[int]], Any], completions)

    def _sample(self, prompt_ids: list[list[int]], fields: dict[str, Any], groups: Tensor) -> list[list[int]]:
        """Completions of the batch's prompts; ``fields`` are the processor's for all of them."""
        ids = pad([torch.tensor(row) for row in prompt_ids], self._tokenizer.pad_token_id, padding_side="left")
        mask = pad([torch.ones(len(row), dtype=torch.long) for row in prompt_ids], 0, padding_side="left")
        types = pad([torch.as_tensor(row) for row in fields["mm_token_type_ids"]], 0, padding_side="left")
        images = {name: torch.as_tensor(fields[name]) for name in ("pixel_values", "image_grid_thw")}
        inputs = Trainer._prepare_inputs(self, {"ids": ids, "mask": mask, "mm_token_type_ids": types, **images})
        prompts, owner = self._distinct(inputs.pop("ids"), inputs.pop("mask"), inputs, groups)
        with self.accelerator.autocast():
            return sample_completions(
                self._policy,
                prompts,
                owner,
                cast(int, self.max_completion_length),  # our arguments always set it
                self.temperature,
                self.eos_token_ids,
                # There would be no image for a sampled image token.
                never=[cast(Any, self._policy.config).image_token_id],
            )

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> LogProbabilities:
        began = time.perf_counter()
        result = self._log_probabilities(*args, **kwargs)
        if self._generating:  # those of the reference model; those of the loss are part of the update
            self.stats.update_seconds += time.perf_counter() - began
        return result

    def _log_probabilities(
        self,
        model: PreTrainedModel,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **kwargs: Any,
    ) -> LogProbabilities:
        if self._groups is None:
            parent: Any = super()
            result: LogProbabilities = parent._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
            return result
        length = input_ids.shape[1] - logits_to_keep
        chunks = []
        for rows in torch.split(torch.arange(len(input_ids), device=input_ids.device), batch_size or len(input_ids)):
            ids, mask = input_ids[rows], attention_mask[rows]
            prompts, owner = self._distinct(ids[:, :length], mask[:, :length], kwargs, self._groups[rows], rows)
            with self.accelerator.autocast():
                completions = (ids[:, length:], mask[:, length:])
                learn_entropy = self._entropy_bonus_enabled
                chunks.append(log_probabilities(model, prompts, owner, *completions, self.temperature, learn_entropy))
        log_p, entropy = (torch.cat(part) for part in zip(*chunks, strict=True))
        return log_p, entropy if compute_entropy else None, None

    def _distinct(
        self,
        ids: Tensor,
        mask: Tensor,
        images: dict[str, Any],
        groups: Tensor,
        rows: Tensor | None = None,
    ) -> tuple[PromptBatch, Tensor]:
        """The distinct prompts of some ``rows`` of a batch, and for each row the index of its prompt.

        ``images`` are those of the whole batch, one image per row.
        """
        first, owner = distinct(groups)
        of_batch = first if rows is None else rows[first]
        grids = images["image_grid_thw"]
        patches = torch.split(images["pixel_values"], grids.prod(dim=1).tolist())
        inputs = {
            "pixel_values": torch.cat([patches[row] for row in of_batch.tolist()]),
            "image_grid_thw": grids[of_batch],
            "mm_token_type_ids": images["mm_token_type_ids"][of_batch, : ids.shape[1]],
        }
        return PromptBatch(ids[first], mask[first], inputs), owner

    def _compute_loss(self, model: PreTrainedModel, inputs: dict[str, Any]) -> Tensor:
        self._groups = inputs.get("groups")
        parent: Any = super()
        loss: Tensor = parent._compute_loss(model, inputs)
        return loss

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: Any, completions: Any, completion_ids: list[list[int]]
    ) -> Tensor:
        """Rewards (completions of all ranks, parts). A row is all NaN if any part of it has no value."""
        began = time.perf_counter()
        parent: Any = super()
        rewards: Tensor = parent._calculate_rewards(inputs, prompts, completions, completion_ids)
        missing = rewards.isnan().any(dim=1)
        rewards[missing] = torch.nan
        if self._length_budget:
            rewards = rewards * self._length_factors(rewards, completion_ids)[:, None]
        weights, values = self.reward_weights.cpu().numpy(), rewards.cpu().numpy()
        summary = summarize(values, weights, self.reward_func_names, cast(int, self.num_generations))
        self.stats = replace(
            summary,
            generate_seconds=self.stats.generate_seconds,
            update_seconds=self.stats.update_seconds,
            reward_seconds=time.perf_counter() - began,
        )
        step = self.state.global_step + 1
        if self._show_every and (step == 1 or step % self._show_every == 0) and self.accelerator.is_main_process:
            # The completions of the first rank come first.
            texts = [text_of(completion) for completion in completions]
            self.shown = best_and_worst(inputs, texts, values[: len(texts)], weights)
        return rewards

    def _length_factors(self, rewards: Tensor, completion_ids: list[list[int]]) -> Tensor:
        """What the length of each completion of all ranks multiplies its reward with."""
        of_ranks = ranks.from_all([len(ids) for ids in completion_ids])
        tokens = np.array([length for lengths in of_ranks for length in lengths], float)
        totals = (rewards * self.reward_weights.to(rewards.device)).sum(dim=1).double().cpu().numpy()
        group_size = cast(int, self.num_generations)
        factors = length_factors(totals, tokens, group_size, self._reward_maximum, self._length_budget)
        return torch.as_tensor(factors, dtype=rewards.dtype, device=rewards.device)
