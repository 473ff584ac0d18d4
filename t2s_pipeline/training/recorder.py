"""The trainer's callback: it records each step in the tables and makes each saved checkpoint complete."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training import ranks
from t2s_pipeline.training.health import UnhealthyRun, symptoms
from t2s_pipeline.training.log import StepRecord, TrainingLog
from t2s_pipeline.training.prompts import Prompts
from t2s_pipeline.training.samples import SampleBook
from t2s_pipeline.training.trainer import MaskGRPOTrainer


class Recorder(TrainerCallback):
    """A callback that runs on every rank and writes on the first rank only.

    Set ``trainer`` before the training begins.

    Args:
        experiment: its health rules are checked.
        log: receives a row per step.
        book: receives the sample completions.
        prompts: of the run, for the names of samples.
        progress: receives the messages for people.
        valid_part: the part of the reward whose mean is the share of answers that parse.
        on_checkpoint: called with the folder of an unfinished checkpoint and its step.
    """

    def __init__(
        self,
        experiment: Experiment,
        log: TrainingLog,
        book: SampleBook,
        prompts: Prompts,
        progress: Progress,
        valid_part: str,
        on_checkpoint: Callable[[Path, int], None],
    ) -> None:
        self._experiment, self._log, self._book, self._prompts = experiment, log, book, prompts
        self._progress, self._valid_part, self._on_checkpoint = progress, valid_part, on_checkpoint
        self._began = 0.0
        self._broken_rules: set[str] = set()
        self.trainer: MaskGRPOTrainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Let the trainer measure the time of the update."""
        self.trainer.step_is_done()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Record a step: its row, its progress, and its sample completions.

        Raises:
            UnhealthyRun: if a health rule is broken and the experiment says that the run stops then.
        """
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        seconds = time.perf_counter() - self._began
        record = self._record(state.global_step, seconds, logs)
        self._check_health(record)
        self._progress.advance(state.global_step, _note(record.reward, record.reward_parts))
        # The time that recording takes counts for the next step.
        self._began += seconds
        if self.trainer.shown:
            self._add_samples(state.global_step)

    def _record(self, step: int, seconds: float, logs: dict[str, float]) -> StepRecord:
        """The row of a step, from the trainer's statistics and its logs."""
        stats = self.trainer.stats
        parts = stats.parts or {}
        tokens, completions = logs.get("completions/mean_length"), self._experiment.grpo.completions_per_step
        return StepRecord(
            step=step,
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
            completion_tokens=tokens,
            longest_completion=logs.get("completions/max_length"),
            clipped_share=logs.get("completions/clipped_ratio"),
            entropy=logs.get("entropy"),
            seconds=seconds,
            generate_seconds=stats.generate_seconds,
            reward_seconds=stats.reward_seconds,
            update_seconds=stats.update_seconds,
            tokens_per_second=None if tokens is None else tokens * completions / seconds,
            peak_mb=stats.peak_mb,
            samples=[self._prompts.sample_id(row) for row in stats.prompts],
            warnings=[],
        )

    def _check_health(self, record: StepRecord) -> None:
        """Append the row with the rules that are broken; warn of rules that were not broken one step before.

        Raises:
            UnhealthyRun: if a rule is broken and the experiment says that the run stops then.
        """
        watch = self._experiment.watch
        recent = [*self._log.rows[-max(watch.window, watch.falling_steps) :], asdict(record)]
        broken = symptoms(recent, watch, self._experiment.grpo.completions_per_step)
        self._log.append(replace(record, warnings=[symptom.rule for symptom in broken]))
        for symptom in broken:
            if symptom.rule not in self._broken_rules:
                self._progress.say(f"step {record.step}: {symptom.sentence} ({symptom.rule}).", warning=True)
        self._broken_rules = {symptom.rule for symptom in broken}
        if broken and watch.stop:
            reasons = "; ".join(symptom.sentence for symptom in broken)
            raise UnhealthyRun(
                f"{self._experiment.run} was stopped at step {record.step} by its health rules (watch.stop): {reasons}."
            )

    def _add_samples(self, step: int) -> None:
        shown, self.trainer.shown = self.trainer.shown, []
        named = [(item, self._prompts.sample_id(item.row), self._prompts.question(item.row)) for item in shown]
        self._progress.say(f"step {step}: sample completions in {self._book.add(step, named)}")

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Make a saved checkpoint complete."""
        # Every rank writes its own part of a checkpoint.
        ranks.wait()
        if state.is_world_process_zero:
            self._on_checkpoint(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}", state.global_step)
        # The time to write a checkpoint is not part of the next step.
        self._began = time.perf_counter()


def _note(reward: float | None, parts: dict[str, float]) -> str:
    if reward is None:
        return "no completion has a reward"
    return f"reward {reward:.3f} (" + ", ".join(f"{name} {value:.3f}" for name, value in parts.items()) + ")"
