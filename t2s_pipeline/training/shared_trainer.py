"""TRL's GRPO trainer, with a prompt that goes through the model once for its group, not once per completion."""

from typing import Any, cast

import torch
from accelerate.utils import is_peft_model
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin, Trainer
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import pad, split_pixel_values_by_grid, split_tensor_dict, unsplit_pixel_values_by_grid

from t2s_pipeline.prompters.prefixes import PromptBatch, can_be_extended
from t2s_pipeline.training.once_per_prompt import OncePerPrompt
from t2s_pipeline.training.packed_prompts import packed
from t2s_pipeline.training.shared_prompts import distinct, log_probabilities, sample_completions

LogProbabilities = tuple[Tensor, Tensor | None, Tensor | None]
"""Log-probabilities (N, T), entropies (N, T) or None, and the auxiliary loss of a mixture of experts or None."""


class SharedPromptTrainer(GRPOTrainer):
    """``GRPOTrainer`` that computes a prompt once for all of its completions.

    It does so if the training set has a column ``row`` that numbers the prompts, the model places the tokens of an
    image as Qwen2.5-VL does, and all of its layers are attention. The completions of a group share the keys and values
    of their prompt (shared_prompts). With gradient checkpointing, adapters, several ranks or DeepSpeed, they are one
    packed sequence (packed_prompts). ZeRO-3 and vLLM sample completions in their own way.

    Args:
        *args: as for ``GRPOTrainer``.
        share_prompts: False to run each prompt once per completion in any case.
        **kwargs: as for ``GRPOTrainer``.
    """

    def __init__(self, *args: Any, share_prompts: bool = True, **kwargs: Any) -> None:
        self._groups: Tensor | None = None
        super().__init__(*args, **kwargs)
        is_planar = hasattr(self._policy.base_model, "rope_deltas")
        self._shares = share_prompts and is_planar and can_be_extended(self._policy)
        # The weights of ZeRO-3 are put together by TRL while it samples, and vLLM has its own.
        zero = self.args.deepspeed_plugin
        self._samples = not (self.use_vllm or (zero is not None and zero.zero_stage == 3))
        is_plain = self.accelerator.num_processes == 1 and not self.is_deepspeed_enabled
        self._packs = not is_plain or is_peft_model(self.model) or self.args.gradient_checkpointing

    @property
    def _policy(self) -> PreTrainedModel:
        """The model that is trained, with its adapters if it has any."""
        model: Any = self.model
        return cast(PreTrainedModel, model.get_base_model() if is_peft_model(model) else model)

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """The part of a batch that is next. Parts of a batch that is packed hold whole groups where they can.

        TRL mixes the completions of a batch before it is split, which would leave each part with every prompt.
        """
        trainer: Any = self  # TRL's annotations of these attributes are those of its parent
        if not (self._shares and self._packs and trainer.model.training):
            return super()._prepare_inputs(generation_batch)
        parts: int = trainer.args.steps_per_generation
        if self._step % (parts * self.num_iterations) == 0 or trainer._buffered_inputs is None:
            batch: Any = split_pixel_values_by_grid(self._generate_and_score_completions(generation_batch))
            pieces: Any = split_tensor_dict(batch, parts)
            trainer._buffered_inputs = [unsplit_pixel_values_by_grid(piece) for piece in pieces]
        return trainer._buffered_inputs[self._step % parts]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not (self._shares and "row" in inputs[0]):
            self._groups = None
            return super()._generate_and_score_completions(inputs)
        self._groups = torch.tensor([row["row"] for row in inputs], device=self.accelerator.device)
        processor = cast(ProcessorMixin, self.processing_class)
        if not self.use_vllm:
            # It is no ProcessorMixin, but it has the methods that TRL calls.
            self.processing_class = cast(ProcessorMixin, OncePerPrompt(processor, self._groups))
        try:
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self.processing_class = processor
        # The groups belong to the batch, which is shuffled and split before the loss.
        batch["groups"] = self._groups
        return batch

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], images: Any, multimodal_fields: dict[str, Any], *args: Any, **kwargs: Any
    ) -> tuple[list[list[int]], Any]:
        if self._groups is None or not self._samples:
            parent: Any = super()
            completions = parent._generate_single_turn(prompt_ids, images, multimodal_fields, *args, **kwargs)
            return cast(tuple[list[list[int]], Any], completions)
        return self._sample(prompt_ids, multimodal_fields, self._groups), None

    def _sample(self, prompt_ids: list[list[int]], fields: dict[str, Any], groups: Tensor) -> list[list[int]]:
        """Completions of the batch's prompts; ``fields`` are the processor's for all of them."""
        ids = pad([torch.tensor(row) for row in prompt_ids], self._tokenizer.pad_token_id, padding_side="left")
        mask = pad([torch.ones(len(row), dtype=torch.long) for row in prompt_ids], 0, padding_side="left")
        types = pad([torch.as_tensor(row) for row in fields["mm_token_type_ids"]], 0, padding_side="left")
        images = {name: torch.as_tensor(fields[name]) for name in ("pixel_values", "image_grid_thw")}
        inputs = Trainer._prepare_inputs(self, {"ids": ids, "mask": mask, "mm_token_type_ids": types, **images})
        prompts, owner = self._distinct(inputs.pop("ids"), inputs.pop("mask"), inputs, groups)
        # A model with gradient checkpointing keeps keys and values only while it does not train.
        policy: Any = self._policy
        policy.eval()
        try:
            with self.accelerator.autocast():
                return sample_completions(
                    policy,
                    prompts,
                    owner,
                    cast(int, self.max_completion_length),  # our arguments always set it
                    self.temperature,
                    self.eos_token_ids,
                    # There would be no image for a sampled image token.
                    never=[policy.config.image_token_id],
                )
        finally:
            policy.train()

    def _get_per_token_logps_and_entropies(
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
            result: LogProbabilities = super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy, **kwargs
            )
            return result
        length = input_ids.shape[1] - logits_to_keep
        chunks = []
        for rows in torch.split(torch.arange(len(input_ids), device=input_ids.device), batch_size or len(input_ids)):
            ids, mask = input_ids[rows], attention_mask[rows]
            prompts, owner = self._distinct(ids[:, :length], mask[:, :length], kwargs, self._groups[rows], rows)
            completions = (ids[:, length:], mask[:, length:])
            with self.accelerator.autocast():
                if self._packs:
                    chunks.append(self._of_packed(model, prompts, owner, *completions))
                else:
                    entropy = self._entropy_bonus_enabled
                    chunks.append(log_probabilities(model, prompts, owner, *completions, self.temperature, entropy))
        log_p, entropies = zip(*chunks, strict=True)
        return torch.cat(log_p), torch.cat(entropies) if compute_entropy else None, None

    def _of_packed(
        self, model: PreTrainedModel, prompts: PromptBatch, owner: Tensor, ids: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Log π of every completion token, and the entropy of every prediction if the model gives it, both (N, T)."""
        batch = packed(self._policy.base_model, prompts, owner, ids, mask)
        outputs: Any = model(**batch.inputs, labels=batch.labels, fused_lm_head=True)
        entropy = None if outputs.entropy is None else batch.of_completions(outputs.entropy)
        return batch.of_completions(outputs.log_probs), entropy

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
