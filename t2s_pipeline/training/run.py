"""One training run, from the lake's samples to complete checkpoints and their tables.  [torch]"""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
from transformers import PrinterCallback

from t2s_pipeline.core.progress import Progress
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.reward import REWARDS
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.prompters.prompter import Prompter
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.rewards.functions import reward_functions
from t2s_pipeline.segmenters.embedding import EmbeddingCache
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.training import checkpoints, ranks
from t2s_pipeline.training.arguments import grpo_config, lora_config, require_package
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.dataset import Squares, TrainingSample, prompt_order, read_samples
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
) -> Checkpoint:
    """Train an experiment and return its final checkpoint.

    A run that is finished under this fingerprint is not repeated; an interrupted one goes on from its last
    complete checkpoint; one of another fingerprint is set aside (the last such is kept) and begun anew.
    Several ranks call this together: the first decides and writes, all of them see the same file system.

    Args:
        home: T2S_HOME.
        fingerprint: of code, data and settings, as the caller counts them; "" takes data and settings.
        device: ``cpu`` or ``cuda[:n]``, of this rank.
        fresh: begin anew even if this run is finished or was interrupted; it is set aside.

    Raises:
        NotMaterializedError, InputError: if data or models are not there, or the run is being trained already.
        UnhealthyRun: if a health rule is broken and the experiment asks to stop then.
    """
    first = ranks.is_first()
    if experiment.compute.zero:
        require_package("deepspeed", f"compute.zero={experiment.compute.zero}")
    ranks.join(device, zero=experiment.compute.zero > 0)
    folder = RunFolder.of(experiment, home, fingerprint)
    found = ranks.from_first(None if fresh or not first else folder.latest())
    if found is not None and found.final:
        if first:
            progress.say(f"{experiment.run} is finished: {found.path}")
            folder.restate()
            if not folder.is_recorded():
                folder.finish(folder.log(found.step))
        return found
    samples = read_samples(folder.settings.lake, experiment.dataset, experiment.recipe.labels)
    prompter = load_prompter(experiment.prompter, device, experiment.recipe.coordinates)
    with folder.alone() if first else nullcontext():
        if first and (kept := folder.set_aside(everything=fresh)) is not None:
            progress.say(f"The former {experiment.run} is now in {kept}.")
        with folder.staging() if first else nullcontext(checkpoints.staging(folder.path)) as staging:
            ranks.wait()
            _train(folder, staging, samples, prompter, found, progress, device)
            ranks.wait()
    final = ranks.from_first(folder.latest() if first else None)
    ranks.leave()
    assert final is not None and final.final, "the trainer saves at its last step"
    return final


def _train(
    folder: RunFolder,
    staging: Path,
    samples: list[TrainingSample],
    prompter: Prompter,
    resumed: Checkpoint | None,
    progress: Progress,
    device: str,
) -> None:
    experiment, grpo, first = folder.experiment, folder.experiment.grpo, ranks.is_first()
    combination, reward = PROMPT_COMBINATIONS[experiment.combination], REWARDS[experiment.recipe.reward]
    steps = grpo.total_steps(len(samples))
    done = resumed.step if resumed else 0
    order = prompt_order([len(s.questions) for s in samples], steps * grpo.prompts_per_step, experiment.seed)
    squares = _squares(folder, staging, [samples[draw.sample].image_id for draw in order], prompter, progress)
    prompts = Prompts(samples, order, squares, prompter, combination)

    def on_failure(completions: int, why: str) -> None:
        progress.say(f"The segmenter failed on {completions} completions, which get no reward: {why}", warning=True)

    if grpo.lora_rank == 0 and experiment.compute.zero == 0:
        # Weights that are trained stay in float32 whatever the precision of the arithmetic: at a rate of 1e-6, an
        # update of a bfloat16 weight is nearly always rounded away. DeepSpeed keeps such a copy itself.
        prompter.model.float()

    def on_checkpoint(staged: Path, step: int) -> None:
        progress.say(f"{folder.publish(staged, step, steps).name} is complete at step {step}.")
        for gone in folder.prune():
            progress.say(f"{gone.name} was removed (watch.keep_last, watch.keep_best).")

    segmenter = load_segmenter(experiment.segmenter, device, EmbeddingCache.under(folder.settings.home))
    rewards = reward_functions(experiment.recipe, segmenter, prompter.answers, on_failure)
    log = folder.log(done)
    book = SampleBook(
        folder.settings.home,
        experiment.run,
        folder.path / "samples",
        experiment.recipe,
        prompter.frame,
        prompter.answers,
        segmenter,
        tuple(reward.parts.items()),
    )
    book.resume(done)
    recorder = Recorder(experiment, log, book, prompts, progress, reward.valid_part, on_checkpoint)
    followers = trackers(experiment.watch, experiment.run, folder.path / "curves") if first else []
    trainer = MaskGRPOTrainer(
        model=prompter.model,
        processing_class=prompter.processor,
        reward_funcs=rewards,
        args=grpo_config(grpo, reward.weights, steps, experiment.seed, staging, device, experiment.compute),
        train_dataset=prompts.dataset(),
        callbacks=[recorder, *followers],
        peft_config=lora_config(grpo),
        show_every=experiment.watch.sample_every,
    )
    trainer.remove_callback(PrinterCallback)
    recorder.trainer = trainer
    progress.start(f"{experiment.run}: steps", steps, done)
    try:
        trainer.train(resume_from_checkpoint=str(resumed.path) if resumed else None)
    except BaseException:
        # Also for a stop: the steps that are finished stay to be read.
        if first:
            log.flush()
        raise
    if first:
        folder.finish(log)
        progress.result(**_summary(log.rows))


def _squares(folder: RunFolder, staging: Path, image_ids: list[str], prompter: Prompter, progress: Progress) -> Squares:
    """The run's images at the prompter's size, each once: the first rank makes them, all read them."""
    needed, path, side = list(dict.fromkeys(image_ids)), staging / "squares.npy", prompter.frame.width
    if ranks.is_first():
        squares = Squares(path, side, needed)
        progress.start(f"{folder.experiment.run}: images", len(needed))
        for done in squares.fill(folder.settings.lake, folder.experiment.dataset, prompter.square):
            progress.advance(done)
        ranks.wait()
        return squares
    ranks.wait()
    return Squares(path, side, needed, write=False)


def _summary(rows: list[dict]) -> dict[str, int | float]:
    """What a run is judged by at a glance: the reward at its two ends, and where the time went."""
    tenth = max(1, len(rows) // 10)

    def mean(part: list[dict], column: str) -> float:
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
        "seconds_a_step": seconds / len(rows),
        "generate_share": sum(row["generate_seconds"] for row in rows) / seconds,
        "reward_share": sum(row["reward_seconds"] for row in rows) / seconds,
        "update_share": sum(row["update_seconds"] for row in rows) / seconds,
        "peak_mb": max(row["peak_mb"] for row in rows),
    }
