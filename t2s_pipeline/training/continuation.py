"""What happens to a run that already has checkpoints: it is never begun anew unless a person says so.

A finished run stays finished. An interrupted run goes on with the settings that are stored with its last checkpoint and
the changes that a person names now. Other code, other data and changed settings are reported and recorded. What a
checkpoint cannot take on (other base weights, another form of the weights) stops the run before anything is changed.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.overrides import flat
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.model_names import with_names

HISTORY = "history.jsonl"
"""A file in the run's folder: one line per start of the training, with the code and what had changed."""

FORM = ("grpo.lora_rank", "compute.zero")
"""Settings that decide how a checkpoint is stored. It cannot be continued with others."""


@dataclass(frozen=True)
class Origin:
    """What a training is made from, as it is now. An empty text is not known.

    Attributes:
        experiment: the settings.
        data: fingerprint of the training data.
        base: SHA-256 over the weights that it starts from.
        segmenter: SHA-256 of the segmenter's weights.
        code: fingerprint of the training code.
        revision: version and commit of the code.
    """

    experiment: Experiment
    data: str = ""
    base: str = ""
    segmenter: str = ""
    code: str = ""
    revision: str = ""


def settings_to_train(settings: Settings, name: str, overrides: Iterable[str] = (), fresh: bool = False) -> Experiment:
    """The settings of a run: as its experiment says, or as its last checkpoint stores them, with explicit changes.

    So a run goes on with the settings of its first start, even if they are not repeated or the experiment's definition
    was changed in the meantime.

    Args:
        settings: names T2S_HOME.
        name: of the experiment, perhaps with a seed.
        overrides: explicit changes, such as ``grpo.steps=20``.
        fresh: True to ignore what is stored.

    Raises:
        InputError: if there is no such experiment, an override does not fit, the stored settings cannot be read, or a
            path holds no model.
    """
    overrides = list(overrides)
    named = experiment(name, overrides)
    checkpoint = None if fresh else checkpoints.latest(settings.runs / named.run)
    if checkpoint is None:
        return with_names(named)
    stored = Experiment.from_json(checkpoint.experiment)
    # The folder decides which run it is: it may have been copied under another name.
    return with_names(replace(stored.with_overrides(overrides), name=named.name, seed=named.seed))


def changed_settings(checkpoint: Checkpoint, now: Experiment) -> dict[str, tuple[object, object]]:
    """The learned settings that differ from those of a checkpoint: key → before and now.

    Names of models and of the run do not count: weights count by their content, and the run is its folder.
    """
    before, after = flat(Experiment.from_json(checkpoint.experiment).learned), flat(now.learned)
    keys = [key for key in after if key not in ("name", "prompter", "segmenter")]
    return {key: (before[key], after[key]) for key in keys if before[key] != after[key]}


def other_settings(checkpoint: Checkpoint, now: Origin) -> list[str]:
    """How a checkpoint differs from what a person asks for now: in learned settings, or in the weights of a model."""
    changed = changed_settings(checkpoint, now.experiment)
    reasons = [f"{key} was {before}, and is now {after}" for key, (before, after) in changed.items()]
    if _differ(checkpoint.segmenter_sha256, now.segmenter):
        reasons.append(f"segmenter {now.experiment.segmenter} has other weights")
    if _differ(checkpoint.base_sha256, now.base):
        reasons.append(f"base {now.experiment.prompter} has other weights")
    return reasons


def changes(checkpoint: Checkpoint, now: Origin) -> list[str]:
    """What differs between a checkpoint and a training as it would be now, in one sentence each."""
    sentences = [f"{reason}." for reason in other_settings(checkpoint, now)]
    if _differ(checkpoint.data_fingerprint, now.data):
        sentences.append("The training data was read or labelled again since then.")
    if _differ(checkpoint.code, now.code):
        made_by = checkpoint.revision or "an earlier revision"
        sentences.append(f"The code has changed: made by {made_by}; now {now.revision or 'another revision'}.")
    return sentences


def _differ(before: str, now: str) -> bool:
    return bool(before and now and before != now)


def require_continuable(checkpoint: Checkpoint, now: Origin, steps: int | None = None) -> None:
    """Check that a run can go on from a checkpoint, or stays as it is if it is finished.

    Args:
        checkpoint: the last one of the run.
        now: what the training would be made from now.
        steps: of the whole run under the present settings, if they are known.

    Raises:
        InputError: if not. Nothing was changed. The message says how to begin anew.
    """
    reasons = other_settings(checkpoint, now) if checkpoint.final else [*_obstacles(checkpoint, now, steps)]
    if not reasons:
        return
    run = now.experiment.run
    state = "is finished" if checkpoint.final else f"cannot go on from step {checkpoint.step}"
    raise InputError(
        f"{run} {state} with other settings: {'; '.join(reasons)}. Nothing was changed. Add --fresh to begin anew: the "
        f"earlier run is then kept in {checkpoint.path.parent.parent / '.replaced'}."
    )


def _obstacles(checkpoint: Checkpoint, now: Origin, steps: int | None) -> Iterator[str]:
    """Why an interrupted run cannot go on."""
    changed = changed_settings(checkpoint, now.experiment)
    if _differ(checkpoint.base_sha256, now.base):
        yield f"{now.experiment.prompter} has other weights than the base that the run started from"
    ranks = ("compute.processes", "compute.nodes") if now.experiment.compute.zero else ()
    for key in (*FORM, *ranks):
        if key in changed:
            yield f"{key} was {changed[key][0]}, and is now {changed[key][1]}"
    if steps is not None and steps <= checkpoint.step:
        yield f"it has trained {checkpoint.step} of {checkpoint.steps} steps, and is to end at {steps} now"


def record_start(run_folder: Path, now: Origin, step: int, sentences: Iterable[str]) -> None:
    """Add a line to the run's history: when the training started, at which step, and what had changed."""
    line = {
        "started_at": datetime.now(UTC).isoformat(),
        "step": step,
        "revision": now.revision,
        "code": now.code,
        "changes": list(sentences),
        "settings": now.experiment.as_json(),
    }
    run_folder.mkdir(parents=True, exist_ok=True)
    with (run_folder / HISTORY).open("a") as file:
        file.write(json.dumps(line, sort_keys=True) + "\n")
