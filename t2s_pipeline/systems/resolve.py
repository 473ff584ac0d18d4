"""From a name to a system. A name is resolved once; from then on the ``System`` object is passed on."""

from collections.abc import Sequence
from dataclasses import replace

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.names import alternatives, is_name
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import EXPERIMENTS, READY, experiment
from t2s_pipeline.methods.system import System
from t2s_pipeline.systems import text_answers, watched_folder
from t2s_pipeline.systems.answering_settings import with_answering
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.model_names import segmenter_name, with_names

TEXTS_ONLY = "elsewhere"
"""The prompter of a system whose answers were taken in as texts: it cannot answer anything new."""

VARIANTS: dict[str, tuple[str, ...]] = {
    "negatives": ("recipe.inference.negatives=2",),
    "first": ("recipe.turns=1",),
}
"""What may be added to the name of a system after a +, and the settings that it then answers with."""


def resolve(name: str, settings: Settings, overrides: Sequence[str] = ()) -> System:
    """The system of that name.

    Possible names are an untrained base (``zero-shot-mini``), a released model (``released-seg-zero-7b``), a run (its
    latest checkpoint), ``<run>--<step>``, a checkpoint in the watched folder, and a system whose answers were taken in
    as texts. Any of them with ``+negatives`` or another of ``VARIANTS`` answers with that change under a name of its
    own. A trained system answers as the settings say that are stored with its checkpoint. Only folders of that
    name are read.

    Args:
        name: of the system.
        settings: names T2S_HOME.
        overrides: changed settings of answering, such as ``segmenter=/models/sam2.1_hiera_small.pt``. The answers have
            the same name.

    Raises:
        InputError: if there can be no such system.
        NotMaterializedError: if its run has no complete checkpoint yet.
    """
    base, _, variant = name.rpartition("+")
    if base and variant in VARIANTS:
        return replace(resolve(base, settings, (*VARIANTS[variant], *overrides)), name=name)
    if name in READY:
        return System.of(name, with_names(with_answering(READY[name], overrides)))
    run, _, step = name.partition("--")
    complete = checkpoints.complete(settings.runs / run) if is_name(run) else []
    matching = [checkpoint for checkpoint in complete if not step or str(checkpoint.step) == step]
    if matching:
        return of_checkpoint(name, matching[-1], overrides)
    foreign = watched_folder.find(settings, name)
    if foreign is not None:
        return of_foreign(foreign, overrides)
    answers_as = text_answers.answers_as(settings, name)
    if answers_as is not None:
        return System.of(name, _with_segmenter(with_answering(answers_as, overrides)), TEXTS_ONLY)
    _explain(name, settings, complete)
    raise NotMaterializedError(f"{name} has no complete checkpoint in {settings.runs / run}: train it first.")


def _explain(name: str, settings: Settings, complete: list[checkpoints.Checkpoint]) -> None:
    """Say why there is no system of that name. Returns if an experiment of that name can be trained.

    Raises:
        InputError: if there can be no such system, or a folder of that name is none.
        NotMaterializedError: if its run has checkpoints, but of other steps.
    """
    run, _, step = name.partition("--")
    if complete:
        steps = ", ".join(str(checkpoint.step) for checkpoint in complete)
        raise NotMaterializedError(
            f"{settings.runs / run} has complete checkpoints of the steps {steps}, not of {step}."
        )
    folders = [str(folder) for folder in watched_folder.reasons(settings, name)]
    if folders:
        raise InputError(f"There is no system {name!r}, although there is a folder of that name. {'; '.join(folders)}.")
    try:
        experiment(run)
    except InputError:
        if is_name(run) and (settings.runs / run).is_dir():
            raise InputError(
                f"There is no system {name!r}: {settings.runs / run} has no complete checkpoint."
            ) from None
        known = [*READY, *EXPERIMENTS, *_other_runs(settings)]
        raise InputError(f"There is no system {name!r}. {alternatives(name, known, 't2s experiments')}") from None


def of_checkpoint(name: str, checkpoint: checkpoints.Checkpoint, overrides: Sequence[str] = ()) -> System:
    """The system that a checkpoint of a run of ours makes.

    Raises:
        InputError: if the settings that are stored with it cannot be read, or there is no such segmenter.
    """
    stored = _trained(Experiment.from_json(checkpoint.experiment), overrides)
    return System.of(name, _with_segmenter(stored), str(checkpoint.path))


def of_foreign(checkpoint: watched_folder.ForeignCheckpoint, overrides: Sequence[str] = ()) -> System:
    """The system that a checkpoint of the watched folder makes.

    Raises:
        InputError: if there is no such segmenter.
    """
    stated = _with_segmenter(_trained(checkpoint.experiment, overrides))
    return System.of(checkpoint.system, stated, str(checkpoint.path)).asked_with(checkpoint.template)


def _trained(stored: Experiment, overrides: Sequence[str]) -> Experiment:
    """The settings of a system that answers with weights of its own."""
    if any(override.partition("=")[0].strip() == "prompter" for override in overrides):
        raise InputError(
            "A trained system answers with its own weights: prompter can be set for zero-shot systems only."
        )
    return with_answering(stored, overrides)


def _with_segmenter(stated: Experiment) -> Experiment:
    """The settings with the segmenter's name in tables in place of a path."""
    return replace(stated, segmenter=segmenter_name(stated.segmenter))


def _other_runs(settings: Settings) -> list[str]:
    """Runs with a complete checkpoint that have no named experiment's name."""
    if not settings.runs.is_dir():
        return []
    names = sorted(path.name for path in settings.runs.iterdir() if not path.name.startswith("."))
    return [name for name in names if name not in EXPERIMENTS and checkpoints.readable(settings.runs / name)[0]]
