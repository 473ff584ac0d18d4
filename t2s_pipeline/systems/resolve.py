"""From a name to a system."""

from pathlib import Path

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import ELSEWHERE, EXPERIMENTS, ZERO_SHOT, experiment
from t2s_pipeline.methods.system import System
from t2s_pipeline.systems import text_answers, watched_folder
from t2s_pipeline.training import checkpoints


def system(name: str, settings: Settings) -> System:
    """The system of that name: a base prompter, the final state of a run, ``<run>--<step>``, or one made elsewhere.

    A trained system answers as the settings say that are stored with its checkpoint.

    Raises:
        InputError: if there can be no such system.
        NotMaterializedError: if its run has no complete checkpoint yet.
    """
    if name in ZERO_SHOT:
        base = ZERO_SHOT[name]
        return System(name, base.prompter, base.segmenter, base.recipe, base.generation)
    run, _, step = name.partition("--")
    found = checkpoints.complete(settings.runs / run)
    chosen = _at_step(found, step) if step else max(found, key=lambda checkpoint: checkpoint.step, default=None)
    if chosen is None and (foreign := watched_folder.find(settings, name)):
        told = foreign.experiment
        plan = Experiment.from_json(told) if isinstance(told, dict) else experiment(told)
        return System(name, str(foreign.path), plan.segmenter, plan.recipe, plan.generation)
    if chosen is None and (answers_as := text_answers.answers_as(settings, name)):
        plan = experiment(answers_as)
        return System(name, ELSEWHERE, plan.segmenter, plan.recipe, plan.generation)
    if chosen is None:
        try:
            experiment(run)
        except InputError:
            known = ", ".join([*ZERO_SHOT, *EXPERIMENTS, *_runs(settings.runs)])
            raise InputError(f"There is no system {name!r}; there are {known}.") from None
        raise NotMaterializedError(f"{name} has no complete checkpoint in {settings.runs / run}: train it first.")
    trained = Experiment.from_json(chosen.experiment)
    return System(name, str(chosen.path), trained.segmenter, trained.recipe, trained.generation)


def _at_step(found: list[checkpoints.Checkpoint], step: str) -> checkpoints.Checkpoint | None:
    return next((checkpoint for checkpoint in found if str(checkpoint.step) == step), None)


def _runs(folder: Path) -> list[str]:
    """Runs with a complete checkpoint that are no named experiment's."""
    if not folder.is_dir():
        return []
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    return [name for name in names if name not in EXPERIMENTS and checkpoints.complete(folder / name)]
