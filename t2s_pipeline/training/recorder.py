"""The trainer's callback: a step becomes a row and a line of progress, a save a complete checkpoint.  [torch]"""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from transformers import TrainerCallback

from t2s_pipeline.progress import Progress
from t2s_pipeline.training.log import StepRecord, TrainingLog
from t2s_pipeline.training.stats import peak_resident_megabytes
from t2s_pipeline.training.trainer import MaskGRPOTrainer


class Recorder(TrainerCallback):
    """Writes on the first rank only.

    Args:
        log: where rows go.
        progress: where a person looks.
        valid_part: the part of the reward whose mean is the share of answers that parse.
        on_checkpoint: called with the staged folder and its step.
        device: whose memory is reported.
    """

    def __init__(
        self,
        log: TrainingLog,
        progress: Progress,
        valid_part: str,
        on_checkpoint: Callable[[Path, int], None],
        device: str,
    ) -> None:
        self._log, self._progress, self._valid_part = log, progress, valid_part
        self._on_checkpoint, self._device = on_checkpoint, device
        self._began = 0.0
        self.trainer: MaskGRPOTrainer | None = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._began = time.perf_counter()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        now = time.perf_counter()
        stats = self.trainer.stats
        parts = stats.parts or {}
        self._log.append(
            StepRecord(
                step=state.global_step,
                reward=stats.reward,
                reward_std=stats.reward_std,
                reward_parts=parts,
                zero_variance_share=stats.zero_variance_share,
                valid_share=parts.get(self._valid_part),
                abstained=stats.abstained,
                kl=logs.get("kl"),
                loss=logs["loss"],
                grad_norm=logs.get("grad_norm"),
                learning_rate=logs.get("learning_rate"),
                completion_tokens=logs.get("completions/mean_length"),
                clipped_share=logs.get("completions/clipped_ratio"),
                seconds=now - self._began,
                generate_seconds=stats.generate_seconds,
                reward_seconds=stats.reward_seconds,
                peak_mb=self._peak_megabytes(),
            )
        )
        self._progress.advance(state.global_step, _note(stats.reward, parts))
        self._began = time.perf_counter()

    def _peak_megabytes(self) -> float:
        """The device's where there is one, else this process's."""
        if self._device == "cpu":
            return peak_resident_megabytes()
        return torch.cuda.max_memory_allocated() / 1e6

    def on_save(self, args, state, control, **kwargs) -> None:
        if state.is_world_process_zero:
            self._on_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step)
        # Writing a checkpoint is no part of the next step.
        self._began = time.perf_counter()


def _note(reward: float | None, parts: dict[str, float]) -> str:
    if reward is None:
        return "no reward: every completion abstained"
    return f"reward {reward:.3f} (" + ", ".join(f"{name} {value:.3f}" for name, value in parts.items()) + ")"
