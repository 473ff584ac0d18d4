"""TRL's GRPO trainer, and what it tells about each step.  [torch]

What differs from TRL as it comes:

- a completion with any part of its reward missing (a failure of ours) is left out altogether. TRL would add up
  the parts that are there and so call it worse than its group;
- a prompt goes through the model once for its group of completions, not once for each;
- the clock is read around drawing completions, around rewarding them and around the update;
- now and then some completions are kept to be looked at.
"""

import time
from dataclasses import replace

import torch
from accelerate.utils import is_peft_model
from transformers import Trainer
from trl import GRPOTrainer
from trl.trainer.utils import pad

from t2s_pipeline.rewards.completions import text_of
from t2s_pipeline.training import ranks
from t2s_pipeline.training.once_per_prompt import OncePerPrompt
from t2s_pipeline.training.samples import ShownCompletion, best_and_worst
from t2s_pipeline.training.shared_prompts import PromptBatch, distinct, log_probabilities, sample_completions
from t2s_pipeline.training.stats import BatchStats, peak_megabytes, summarize


class MaskGRPOTrainer(GRPOTrainer):
    """``GRPOTrainer`` that keeps the last batch's ``stats`` and leaves out completions it could not judge.

    ``looks`` are the completions of the last batch that a person should see: some at the first step and at every
    ``show_every``-th, on the first rank.

    Where the training set has a column ``row`` that numbers the prompts, a prompt goes through the model once
    for its whole group (shared_prompts). Not with several ranks or DeepSpeed, whose wrappers must see every
    call, nor with gradient checkpointing, which keeps no keys and values,
    nor for models that place an image's tokens in another way than Qwen2.5-VL.
    """

    def __init__(self, *args, share_prompts: bool = True, show_every: int = 0, **kwargs) -> None:
        self.stats = BatchStats()
        self.shown: list[ShownCompletion] = []
        self._show_every = show_every
        self._generating, self._prepared = False, 0.0
        self._groups: torch.Tensor | None = None
        super().__init__(*args, **kwargs)
        plain = self.accelerator.num_processes == 1 and not self.is_deepspeed_enabled and not self.use_vllm
        knows_how = not is_peft_model(self.model) and hasattr(self.model.base_model, "rope_deltas")
        self._shares = share_prompts and plain and knows_how and not self.args.gradient_checkpointing

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        """Weights of a resumed run, by the model's own loader, and every one of them.

        Qwen2.5-VL is saved under its published names, which the trainer's loader does not translate: it would
        find no weight that it knows, say so in a warning, and go on from the base.
        """
        if self.is_deepspeed_enabled or self.is_fsdp_enabled or is_peft_model(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        found = type(self.model).from_pretrained(
            resume_from_checkpoint, dtype=self.model.dtype, use_safetensors=True, local_files_only=True
        )
        self.model.load_state_dict(found.state_dict())

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict[str, torch.Tensor]:
        self.stats, self.shown, self._generating = BatchStats(), [], True
        try:
            batch = self._generate_and_score(inputs)
        finally:
            self._generating = False
        rows = tuple(dict.fromkeys(row["row"] for row in inputs if "row" in row))
        everyone = ranks.from_all((rows, peak_megabytes(self.accelerator.device)))
        self.stats.prompts = tuple(row for theirs, _ in everyone for row in theirs)
        self.stats.peak_mb = max(peak for _, peak in everyone)
        self._prepared = time.perf_counter()
        return batch

    def _generate_and_score(self, inputs: list[dict]) -> dict[str, torch.Tensor]:
        if not (self._shares and "row" in inputs[0]):
            self._groups = None
            return super()._generate_and_score_completions(inputs)
        self._groups = torch.tensor([row["row"] for row in inputs], device=self.accelerator.device)
        processor = self.processing_class
        self.processing_class = OncePerPrompt(processor, self._groups)
        try:
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self.processing_class = processor
        # Travels with the batch, which is shuffled and split before the loss.
        batch["groups"] = self._groups
        return batch

    def step_is_done(self) -> None:
        """The optimizer has stepped: what passed since the batch was ready was the update."""
        if self.accelerator.device.type == "cuda":
            torch.cuda.synchronize(self.accelerator.device)
        self.stats.update_seconds += time.perf_counter() - self._prepared

    def _generate_single_turn(self, prompt_ids: list[list[int]], images: list, fields: dict, *args, **kwargs):
        began = time.perf_counter()
        if self._groups is None:
            drawn = super()._generate_single_turn(prompt_ids, images, fields, *args, **kwargs)
        else:
            drawn = self._draw(prompt_ids, fields), None
        self.stats.generate_seconds += time.perf_counter() - began
        return drawn

    def _draw(self, prompt_ids: list[list[int]], fields: dict) -> list[list[int]]:
        """Completions of the batch's prompts; ``fields`` are the processor's, for all of them."""
        ids = pad([torch.tensor(row) for row in prompt_ids], self._tokenizer.pad_token_id, padding_side="left")
        mask = pad([torch.ones(len(row), dtype=torch.long) for row in prompt_ids], 0, padding_side="left")
        types = pad([torch.as_tensor(row) for row in fields["mm_token_type_ids"]], 0, padding_side="left")
        images = {name: torch.as_tensor(fields[name]) for name in ("pixel_values", "image_grid_thw")}
        inputs = Trainer._prepare_inputs(self, {"ids": ids, "mask": mask, "mm_token_type_ids": types, **images})
        prompts, owner = self._distinct(inputs.pop("ids"), inputs.pop("mask"), inputs, self._groups)
        with self.accelerator.autocast():
            return sample_completions(
                self.model,
                prompts,
                owner,
                self.max_completion_length,
                self.temperature,
                self.eos_token_ids,
                # A drawn image token would have no image behind it.
                never=[self.model.config.image_token_id],
            )

    def _get_per_token_logps_and_entropies(self, *args, **kwargs):
        began = time.perf_counter()
        found = self._log_probabilities(*args, **kwargs)
        if self._generating:  # the reference's; those of the loss fall within the update
            self.stats.update_seconds += time.perf_counter() - began
        return found

    def _log_probabilities(
        self, model, input_ids, attention_mask, logits_to_keep, batch_size=None, compute_entropy=False, **kwargs
    ):
        if self._groups is None:
            return super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
        length = input_ids.shape[1] - logits_to_keep
        found = []
        for rows in torch.arange(len(input_ids), device=input_ids.device).split(batch_size or len(input_ids)):
            ids, mask = input_ids[rows], attention_mask[rows]
            prompts, owner = self._distinct(ids[:, :length], mask[:, :length], kwargs, self._groups[rows], rows)
            with self.accelerator.autocast():
                drawn = (ids[:, length:], mask[:, length:])
                learn_entropy = self._entropy_bonus_enabled
                found.append(log_probabilities(model, prompts, owner, *drawn, self.temperature, learn_entropy))
        log_p, entropy = (torch.cat(part) for part in zip(*found, strict=True))
        return log_p, entropy if compute_entropy else None, None

    def _distinct(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        images: dict[str, torch.Tensor],
        groups: torch.Tensor,
        rows: torch.Tensor | None = None,
    ) -> tuple[PromptBatch, torch.Tensor]:
        """The prompts of some ``rows`` of a batch, each once, and which of them each row has.

        ``images`` are the whole batch's, one image a row.
        """
        first, owner = distinct(groups)
        chosen = first if rows is None else rows[first]
        grids = images["image_grid_thw"]
        patches = images["pixel_values"].split(grids.prod(dim=1).tolist())
        kept = {
            "pixel_values": torch.cat([patches[row] for row in chosen.tolist()]),
            "image_grid_thw": grids[chosen],
            "mm_token_type_ids": images["mm_token_type_ids"][chosen, : ids.shape[1]],
        }
        return PromptBatch(ids[first], mask[first], kept), owner

    def _compute_loss(self, model, inputs: dict) -> torch.Tensor:
        self._groups = inputs.get("groups")
        return super()._compute_loss(model, inputs)

    def _calculate_rewards(self, inputs: list[dict], prompts, completions, *args, **kwargs) -> torch.Tensor:
        """Rewards (completions of all ranks, parts); a row is NaN throughout if any part of it abstained."""
        began = time.perf_counter()
        rewards = super()._calculate_rewards(inputs, prompts, completions, *args, **kwargs)
        missing = rewards.isnan().any(dim=1)
        rewards[missing] = torch.nan
        weights, judged = self.reward_weights.cpu().numpy(), rewards.cpu().numpy()
        summary = summarize(judged, weights, self.reward_func_names, self.num_generations)
        self.stats = replace(
            summary,
            generate_seconds=self.stats.generate_seconds,
            update_seconds=self.stats.update_seconds,
            reward_seconds=time.perf_counter() - began,
        )
        step = self.state.global_step + 1
        if self._show_every and (step == 1 or step % self._show_every == 0) and self.accelerator.is_main_process:
            # The first rank's completions come first.
            texts = [text_of(completion) for completion in completions]
            self.shown = best_and_worst(inputs, texts, judged[: len(texts)], weights)
        return rewards
