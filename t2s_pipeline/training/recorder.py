"""The trainer's callback: a step becomes a row and a line of progress, a save a complete checkpoint.  [torch]"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from transformers import TrainerCallback

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training import ranks
from t2s_pipeline.training.health import UnhealthyRun, symptoms
from t2s_pipeline.training.log import StepRecord, TrainingLog
from t2s_pipeline.training.prompts import Prompts
from t2s_pipeline.training.samples import SampleBook
from t2s_pipeline.training.trainer import MaskGRPOTrainer


class Recorder(TrainerCallback):
    """Runs on every rank, writes on the first only.

    Args:
        experiment: whose health rules hold.
        log: where rows go.
        book: where sample completions go.
        prompts: the run's, for the names of samples.
        progress: where a person looks.
        valid_part: the part of the reward whose mean is the share of answers that parse.
        on_checkpoint: called with the staged folder and its step.
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
        self._unwell: set[str] = set()
        self.trainer: MaskGRPOTrainer | None = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        self._began = time.perf_counter()

    def on_optimizer_step(self, args, state, control, **kwargs) -> None:
        self.trainer.step_is_done()

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        seconds = time.perf_counter() - self._began
        stats = self.trainer.stats
        parts = stats.parts or {}
        tokens, completions = logs.get("completions/mean_length"), self._experiment.grpo.completions_per_step
        record = StepRecord(
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
        self._judge(record)
        self._progress.advance(state.global_step, _note(stats.reward, parts))
        # Telling of a step counts for the next one.
        self._began += seconds
        if self.trainer.shown:
            self._look(state.global_step)

    def _judge(self, record: StepRecord) -> None:
        """Append the row with the rules it breaks, and say so when one is broken anew.

        Raises:
            UnhealthyRun: if one is, and the experiment asks to stop then.
        """
        watch = self._experiment.watch
        recent = [*self._log.rows[-max(watch.window, watch.falling_steps) :], asdict(record)]
        found = symptoms(recent, watch, self._experiment.grpo.completions_per_step)
        self._log.append(replace(record, warnings=[symptom.rule for symptom in found]))
        for symptom in found:
            if symptom.rule not in self._unwell:
                self._progress.say(f"step {record.step}: {symptom.sentence} ({symptom.rule}).", warning=True)
        self._unwell = {symptom.rule for symptom in found}
        if found and watch.stop:
            why = "; ".join(symptom.sentence for symptom in found)
            raise UnhealthyRun(
                f"{self._experiment.run} was stopped at step {record.step} by its health rules (watch.stop): {why}."
            )

    def _look(self, step: int) -> None:
        found = self.trainer.shown
        self.trainer.shown = []
        named = [(look, self._prompts.sample_id(look.row), self._prompts.question(look.row)) for look in found]
        self._progress.say(f"step {step}: sample completions in {self._book.add(step, named)}")

    def on_save(self, args, state, control, **kwargs) -> None:
        # Every rank writes its own part of a checkpoint.
        ranks.wait()
        if state.is_world_process_zero:
            self._on_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}", state.global_step)
        # Writing a checkpoint is no part of the next step.
        self._began = time.perf_counter()


def _note(reward: float | None, parts: dict[str, float]) -> str:
    if reward is None:
        return "no reward: every completion abstained"
    return f"reward {reward:.3f} (" + ", ".join(f"{name} {value:.3f}" for name, value in parts.items()) + ")"
