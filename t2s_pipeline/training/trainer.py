"""TRL's GRPO trainer, and what it tells about each step.  [torch]

What differs from TRL as it comes:

- a completion with any part of its reward missing (a failure of ours) is left out altogether. TRL would add up
  the parts that are there and so call it worse than its group;
- a prompt goes through the model once for its group of completions, not once for each;
- the clock is read around drawing completions and around rewarding them.
"""

import time

import torch
from transformers import Trainer
from trl import GRPOTrainer
from trl.trainer.utils import pad

from t2s_pipeline.training.once_per_prompt import OncePerPrompt
from t2s_pipeline.training.shared_prompts import PromptBatch, distinct, draw, log_probabilities
from t2s_pipeline.training.stats import BatchStats, summarize


class MaskGRPOTrainer(GRPOTrainer):
    """``GRPOTrainer`` that keeps the last batch's ``stats`` and leaves out completions it could not judge.

    Where the training set has a column ``row`` that numbers the prompts, a prompt goes through the model once
    for its whole group (shared_prompts). Not with several ranks or DeepSpeed, whose wrappers must see every
    call, nor with gradient checkpointing, which keeps no keys and values,
    nor for models that place an image's tokens in another way than Qwen2.5-VL.
    """

    def __init__(self, *args, share_prompts: bool = True, **kwargs) -> None:
        self.stats = BatchStats()
        self._groups: torch.Tensor | None = None
        super().__init__(*args, **kwargs)
        plain = self.accelerator.num_processes == 1 and not self.is_deepspeed_enabled
        knows_how = hasattr(self.model.base_model, "rope_deltas")
        self._shares = share_prompts and plain and knows_how and not self.args.gradient_checkpointing

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        """Weights of a resumed run, by the model's own loader, and every one of them.

        Qwen2.5-VL is saved under its published names, which the trainer's loader does not translate: it would
        find no weight that it knows, say so in a warning, and go on from the base.
        """
        if self.is_deepspeed_enabled or self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        found = type(self.model).from_pretrained(
            resume_from_checkpoint, dtype=self.model.dtype, use_safetensors=True, local_files_only=True
        )
        self.model.load_state_dict(found.state_dict())

    def _generate_and_score_completions(self, inputs: list[dict]) -> dict[str, torch.Tensor]:
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

    def _generate_single_turn(self, prompt_ids: list[list[int]], images: list, fields: dict, *args, **kwargs):
        began = time.perf_counter()
        if self._groups is None:
            drawn = super()._generate_single_turn(prompt_ids, images, fields, *args, **kwargs)
        else:
            drawn = self._draw(prompt_ids, fields), None
        self.stats = BatchStats(generate_seconds=time.perf_counter() - began)
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
            return draw(
                self.model,
                prompts,
                owner,
                self.max_completion_length,
                self.temperature,
                self.eos_token_ids,
                # A drawn image token would have no image behind it.
                never=[self.model.config.image_token_id],
            )

    def _get_per_token_logps_and_entropies(
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
                found.append(
                    log_probabilities(model, prompts, owner, ids[:, length:], mask[:, length:], self.temperature)
                )
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

    def _calculate_rewards(self, *args, **kwargs) -> torch.Tensor:
        """Rewards (completions of all ranks, parts); a row is NaN throughout if any part of it abstained."""
        began = time.perf_counter()
        rewards = super()._calculate_rewards(*args, **kwargs)
        missing = rewards.isnan().any(dim=1)
        rewards[missing] = torch.nan
        weights = self.reward_weights.cpu().numpy()
        summary = summarize(rewards.cpu().numpy(), weights, self.reward_func_names, self.num_generations)
        summary.generate_seconds = self.stats.generate_seconds
        summary.reward_seconds = time.perf_counter() - began
        self.stats = summary
        return rewards
