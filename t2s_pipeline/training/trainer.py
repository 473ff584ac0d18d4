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

from t2s_pipeline.rewards.completions import text_of
from t2s_pipeline.rewards.length import length_factors
from t2s_pipeline.training import ranks
from t2s_pipeline.training.samples import ShownCompletion, best_and_worst
from t2s_pipeline.training.shared_trainer import LogProbabilities, SharedPromptTrainer
from t2s_pipeline.training.stats import BatchStats, peak_megabytes, summarize


class MaskGRPOTrainer(SharedPromptTrainer):
    """``GRPOTrainer`` that leaves out completions without a reward, and keeps the ``stats`` of the last batch.

    ``shown`` are the completions of the last batch that are shown to people: some at the first step and at every
    ``show_every``-th step, on the first rank.

    Args:
        *args: as for ``SharedPromptTrainer``.
        show_every: steps between shown completions; 0 for none.
        length_budget: tokens of an answer to an easy question (``rewards.length``); 0 for no budget.
        reward_maximum: the reward of a perfect answer.
        **kwargs: as for ``SharedPromptTrainer``.
    """

    def __init__(
        self,
        *args: Any,
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
        super().__init__(*args, **kwargs)

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
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self._generating = False
        rows = tuple(dict.fromkeys(row["row"] for row in inputs if "row" in row))
        of_ranks = ranks.from_all((rows, peak_megabytes(self.accelerator.device)))
        self.stats.prompts = tuple(row for rows_of_rank, _ in of_ranks for row in rows_of_rank)
        self.stats.peak_mb = max(peak for _, peak in of_ranks)
        self._prepared = time.perf_counter()
        return batch

    def step_is_done(self) -> None:
        """Note that the optimizer has stepped: the time since the batch was ready is the time of the update."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize(self.accelerator.device)
        self.stats.update_seconds += time.perf_counter() - self._prepared

    def _generate_single_turn(self, *args: Any, **kwargs: Any) -> tuple[list[list[int]], Any]:
        began = time.perf_counter()
        completions = super()._generate_single_turn(*args, **kwargs)
        self.stats.generate_seconds += time.perf_counter() - began
        return completions

    def _get_per_token_logps_and_entropies(self, *args: Any, **kwargs: Any) -> LogProbabilities:
        began = time.perf_counter()
        result = super()._get_per_token_logps_and_entropies(*args, **kwargs)
        if self._generating:  # those of the reference model; those of the loss are part of the update
            self.stats.update_seconds += time.perf_counter() - began
        return result

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
