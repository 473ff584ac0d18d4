"""The system that answers if nobody names one: the best one whose models are on this machine."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from t2s_pipeline.core.embedded import EMBEDDED_SEGMENTERS
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.models import SEGMENTER
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.registry import EMBEDDED
from t2s_pipeline.datasets.synthetic.studies import STUDY_DATASETS
from t2s_pipeline.methods.experiments import BASELINE, RELEASED, ZERO_SHOT
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.weights import folder_if_here
from t2s_pipeline.reporting.leaderboard import best_giou, checkpoint_choices
from t2s_pipeline.systems.candidates import candidates
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.training.model_list import known_models

ORDER = ("sam2.1-large", "sam2.1-base-plus", "sam2.1-small", "sam2.1-tiny")
"""Segmenters, the best first. Others that have a name on this machine come next, the embedded ones last."""


@dataclass(frozen=True)
class SystemChoice:
    """A system, and why it was chosen, as the end of a sentence."""

    system: System
    reason: str


def best_system(settings: Settings) -> SystemChoice:
    """The best system whose models are on this machine.

    Systems of full size come before those that know the embedded scenes only. Among the others, the order is: the best
    checkpoint on val, a checkpoint that was not evaluated, a released model, an untrained base.
    """
    return available_systems(settings)[0]


def available_systems(settings: Settings) -> list[SystemChoice]:
    """Every system whose models are on this machine, the best first."""
    by_name: dict[str, SystemChoice] = {}
    for choice in _available(settings):
        by_name.setdefault(choice.system.name, choice)
    choices = list(by_name.values())
    full_size = [choice for choice in choices if not knows_drawn_scenes_only(choice.system)]
    return [*full_size, *(choice for choice in choices if choice not in full_size)]


def knows_drawn_scenes_only(system: System) -> bool:
    """Whether a system was taught on the embedded scenes, or those of the studies, and on nothing else."""
    return system.dataset in (EMBEDDED, *STUDY_DATASETS)


def available_segmenters() -> list[str]:
    """The segmenters on this machine, for prompts that a person gives; the best one first."""
    names = [model.name for model in known_models() if model.kind == SEGMENTER and model.here]
    others = [name for name in names if name not in ORDER and name not in EMBEDDED_SEGMENTERS]
    return [name for name in (*ORDER, *others, *EMBEDDED_SEGMENTERS) if name in names]


def segments_prompts(settings: Settings, segmenter: str = "") -> System:
    """A system that only segments what a person prompts; by default with the best segmenter of this machine."""
    name = segmenter or available_segmenters()[0]
    return replace(resolve(BASELINE, settings), name=name, segmenter=name)


def _available(settings: Settings) -> Iterator[SystemChoice]:
    scores = best_giou(settings)
    for choice in sorted(checkpoint_choices(settings), key=lambda choice: -scores[choice.run]):
        try:
            system = resolve(choice.system, settings)
        except T2SError:
            continue  # a checkpoint of the tables that was removed from the disk
        yield SystemChoice(system, f"the best checkpoint here, gIoU {scores[choice.run]:.1f} on val")
    for candidate in reversed(candidates(settings)[0]):
        yield SystemChoice(candidate.system, "a checkpoint here that was not evaluated yet")
    segmenters = {model.name for model in known_models() if model.kind == SEGMENTER and model.here}
    for experiments, what in ((RELEASED, "a released model"), (ZERO_SHOT, "an untrained base")):
        for name, experiment in experiments.items():
            if folder_if_here(experiment.prompter) is not None and experiment.segmenter in segmenters:
                yield SystemChoice(resolve(name, settings), f"{what} whose weights are here")
