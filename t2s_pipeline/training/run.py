"""One training run, from the samples in the lake to complete checkpoints and their tables."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PrinterCallback

from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.reward import REWARDS
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.rewards.functions import reward_functions
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.training import checkpoints, ranks
from t2s_pipeline.training.arguments import grpo_config, lora_config, require_package
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.continuation import changes, record_start, require_continuable
from t2s_pipeline.training.dataset import Squares, TrainingSample, prompt_order, read_samples
from t2s_pipeline.training.embedding_store import embedding_store
from t2s_pipeline.training.first_masks import first_masks
from t2s_pipeline.training.log import TrainingLog
from t2s_pipeline.training.mixture import mixed
from t2s_pipeline.training.prompts import Prompts
from t2s_pipeline.training.recorder import Recorder
from t2s_pipeline.training.run_folder import RunFolder
from t2s_pipeline.training.samples import SampleBook
from t2s_pipeline.training.trackers import trackers
from t2s_pipeline.training.trainer import MaskGRPOTrainer


def train(
    experiment: Experiment,
    home: Path,
    fingerprint: str,
    progress: Progress,
    device: str = "cpu",
    fresh: bool = False,
    code: str = "",
) -> Checkpoint:
    """Train an experiment and return its final checkpoint.

    A finished run is not repeated. An interrupted run continues from its last complete checkpoint, also if code, data
    or settings have changed; this is reported and recorded. Several ranks call this together: the first one decides
    and writes, and all share one file system.

    Args:
        experiment: the settings.
        home: T2S_HOME.
        fingerprint: of code, data and settings, as the caller computes it; "" for that of data and settings.
        progress: receives messages, progress and the figures of the run.
        device: ``cpu`` or ``cuda[:n]``, of this rank.
        fresh: True to start again even if this run is finished or was interrupted; it is moved out of the way and kept.
        code: fingerprint of the training code, to record it; "" if it is not known.

    Raises:
        NotMaterializedError: if the data or its labels are not in the lake.
        InputError: if a model is missing, another process is training the run, it is finished with other settings, or
            its checkpoint cannot be continued with these.
        UnhealthyRun: if a health rule is broken and the experiment says that the run stops then.
    """
    first = ranks.is_first()
    if experiment.compute.zero:
        require_package("deepspeed", f"compute.zero={experiment.compute.zero}")
    ranks.join(device, zero=experiment.compute.zero > 0)
    folder = RunFolder.of(experiment, home, fingerprint, code)
    checkpoint = ranks.from_first(None if fresh or not first else folder.latest())
    if checkpoint is not None:
        require_continuable(checkpoint, folder.origin)
        if checkpoint.final:
            if first:
                _report_finished(folder, checkpoint, progress)
            return checkpoint
    samples = read_samples(folder.settings.lake, experiment.dataset, experiment.recipe.labels)
    prompter = load_prompter(experiment.prompter, device, experiment.recipe.asking())
    segmenter = load_segmenter(experiment.segmenter, device)
    folder = folder.made_from(prompter.sha256, segmenter.sha256)
    if checkpoint is not None:
        require_continuable(checkpoint, folder.origin, experiment.grpo.total_steps(len(samples)))
    with folder.alone() if first else nullcontext():
        if first:
            _begin(folder, checkpoint, progress, fresh)
        with folder.staging() if first else nullcontext(checkpoints.staging(folder.path)) as staging:
            ranks.wait()
            _Run(folder, staging, samples, prompter, segmenter, checkpoint, progress, device).train()
            ranks.wait()
    final = ranks.from_first(folder.latest() if first else None)
    ranks.leave()
    assert final is not None and final.final, "the trainer saves at the last step"
    return final


def _report_finished(folder: RunFolder, checkpoint: Checkpoint, progress: Progress) -> None:
    """Say that a run is finished, and complete its tables if an earlier process was stopped before it did."""
    progress.say(f"{checkpoint.run} is finished: {checkpoint.path}")
    folder.update_settings()
    if not folder.is_recorded():
        folder.finish(folder.log(checkpoint.step))


def _begin(folder: RunFolder, checkpoint: Checkpoint | None, progress: Progress, fresh: bool) -> None:
    """Prepare the run's folder: move an earlier run away if ``fresh``; report and record what has changed otherwise."""
    if fresh and (moved := folder.set_aside()) is not None:
        progress.say(f"The earlier version of {folder.experiment.run} is now in {moved}.")
    sentences = [] if checkpoint is None else changes(checkpoint, folder.origin)
    if checkpoint is not None:
        progress.say(f"{folder.experiment.run} goes on from step {checkpoint.step}.")
    for sentence in sentences:
        progress.say(sentence, warning=True)
    record_start(folder.path, folder.origin, 0 if checkpoint is None else checkpoint.step, sentences)


@dataclass(frozen=True)
class _Run:
    """The training of one run on this rank."""

    folder: RunFolder
    staging: Path
    """The folder for unfinished files."""
    samples: list[TrainingSample]
    prompter: Prompter
    segmenter: Sam2Segmenter
    resumed: Checkpoint | None
    """The checkpoint to continue from."""
    progress: Progress
    device: str

    @property
    def experiment(self) -> Experiment:
        """The settings."""
        return self.folder.experiment

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.experiment.grpo.total_steps(len(self.samples))

    @property
    def done(self) -> int:
        """Optimizer steps that earlier processes have done."""
        return self.resumed.step if self.resumed else 0

    def train(self) -> None:
        """Train up to the last step; the checkpoints and both tables are written on the way."""
        experiment, grpo, first = self.experiment, self.experiment.grpo, ranks.is_first()
        prompts = self._prompts()
        if grpo.lora_rank == 0 and experiment.compute.zero == 0:
            # Weights that are trained stay in float32, whatever the precision of the arithmetic: at a rate of 1e-6,
            # an update of a bfloat16 weight is nearly always rounded away. DeepSpeed keeps such a copy itself.
            self.prompter.model.float()
        rewards = reward_functions(experiment.recipe, self.segmenter, self.prompter.answers, self._on_failure)
        log = self.folder.log(self.done)
        recorder = self._recorder(log, prompts)
        curves = trackers(experiment.watch, experiment.run, self.folder.path / "curves") if first else []
        weights = REWARDS[experiment.recipe.reward].weights
        trainer = MaskGRPOTrainer(
            model=self.prompter.model,
            processing_class=self.prompter.processor,
            reward_funcs=rewards,
            args=grpo_config(grpo, weights, self.steps, experiment.seed, self.staging, self.device, experiment.compute),
            train_dataset=prompts.dataset(),
            callbacks=[recorder, *curves],
            peft_config=lora_config(grpo),
            show_every=experiment.watch.sample_every,
            length_budget=grpo.length_budget,
            reward_maximum=REWARDS[experiment.recipe.reward].maximum,
        )
        trainer.remove_callback(PrinterCallback)
        recorder.trainer = trainer
        self.progress.start(f"{experiment.run}: steps", self.steps, self.done)
        try:
            trainer.train(resume_from_checkpoint=str(self.resumed.path) if self.resumed else None)
        except BaseException:
            # Also if the run is stopped: the finished steps stay readable.
            if first:
                log.flush()
            raise
        if first:
            self.folder.finish(log)
            self.progress.result(**_summary(log.rows))

    def _prompts(self) -> Prompts:
        """The prompts of the run in their order, with their images."""
        experiment = self.experiment
        counts = [len(sample.questions) for sample in self.samples]
        order = prompt_order(counts, self.steps * experiment.grpo.prompts_per_step, experiment.seed)
        lake, referring = self.folder.settings.lake, []
        if experiment.calibration:
            other = experiment.calibration_dataset
            referring = [replace(sample, box_dataset=other) for sample in read_samples(lake, other)]
        shares = (experiment.calibration, experiment.mine_empty)
        mixture = mixed(self.samples, order, referring, shares, experiment.seed)
        if any(shares) and ranks.is_first():
            self.progress.say(
                f"{mixture.referring} of {len(order)} prompts have a box label; {mixture.mined} questions are asked "
                f"about an image that lacks their target; for {mixture.unchanged} no such image was found."
            )
        used = [mixture.samples[choice.sample] for choice in mixture.order]
        squares = self._squares(used)
        distinct = len({sample.image_key for sample in used})
        home, progress = self.folder.settings.home, self.progress if ranks.is_first() else NoProgress()
        self.segmenter.cache = embedding_store(home, self.segmenter, distinct, len(used), progress)
        combination = PROMPT_COMBINATIONS[experiment.combination]
        models = (self.prompter, self.segmenter)
        looks = first_masks(experiment, mixture.samples, mixture.order, squares, models, self.progress)
        return Prompts(mixture.samples, mixture.order, squares, self.prompter, combination, looks)

    def _squares(self, samples: Sequence[TrainingSample]) -> Squares:
        """The images of the run at the prompter's size: the first rank makes them, all ranks read them."""
        distinct = list(dict.fromkeys(sample.image_key for sample in samples))
        path, side = self.staging / "squares.npy", self.prompter.frame.width
        if not ranks.is_first():
            ranks.wait()
            return Squares(path, side, distinct, write=False)
        squares = Squares(path, side, distinct)
        self.progress.start(f"{self.experiment.run}: images", len(distinct))
        before = 0
        for dataset in self.experiment.train_datasets:
            of_dataset = [
                one for one in samples if one.box_dataset == ("" if dataset == self.experiment.dataset else dataset)
            ]
            keys = {sample.image_id: sample.image_key for sample in of_dataset}
            for done in squares.fill(self.folder.settings.lake, dataset, self.prompter.square, keys):
                self.progress.advance(before + done)
            before += len(keys)
        ranks.wait()
        return squares

    def _recorder(self, log: TrainingLog, prompts: Prompts) -> Recorder:
        experiment, prompter = self.experiment, self.prompter
        reward = REWARDS[experiment.recipe.reward]
        book = SampleBook(
            self.folder.settings.home,
            experiment.run,
            self.folder.path / "samples",
            experiment.recipe,
            prompter.frame,
            prompter.answers,
            self.segmenter,
            tuple(reward.parts.items()),
        )
        book.resume(self.done)
        return Recorder(experiment, log, book, prompts, self.progress, reward.valid_part, self._on_checkpoint)

    def _on_failure(self, completions: int, reason: str) -> None:
        self.progress.say(
            f"The segmenter failed on {completions} completions, which get no reward: {reason}", warning=True
        )

    def _on_checkpoint(self, staged: Path, step: int) -> None:
        checkpoint = self.folder.publish(staged, step, self.steps)
        self.progress.say(f"{checkpoint.name} is complete at step {step}.")
        for removed in self.folder.prune():
            self.progress.say(f"{removed.name} was removed (watch.keep_last, watch.keep_best).")


def _summary(rows: list[dict[str, Any]]) -> dict[str, int | float]:
    """The main figures of a run: the reward at its beginning and its end, and how the time was spent."""
    tenth = max(1, len(rows) // 10)

    def mean(part: list[dict[str, Any]], column: str) -> float:
        values = [row[column] for row in part if row[column] is not None]
        return float(np.mean(values)) if values else float("nan")

    seconds = sum(row["seconds"] for row in rows)
    return {
        "steps": len(rows),
        "reward_first_tenth": mean(rows[:tenth], "reward"),
        "reward_last_tenth": mean(rows[-tenth:], "reward"),
        "valid_share_last_tenth": mean(rows[-tenth:], "valid_share"),
        "abstained": sum(row["abstained"] for row in rows),
        "seconds": seconds,
        "seconds_per_step": seconds / len(rows),
        "generate_share": sum(row["generate_seconds"] for row in rows) / seconds,
        "reward_share": sum(row["reward_seconds"] for row in rows) / seconds,
        "update_share": sum(row["update_seconds"] for row in rows) / seconds,
        "peak_mb": max(row["peak_mb"] for row in rows),
    }
