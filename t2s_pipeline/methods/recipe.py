"""A recipe: all settings in which one method differs from another.

It says which answer a prompter is asked for (prompt combination, coordinates), what the answer earns (reward), which
labels the reward compares it with, and how the segmenter is prompted at inference. There is one trainer and one
evaluator for all methods; both read the recipe.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.reward import REWARDS
from t2s_pipeline.prompting.asking import RESAMPLINGS, Asking
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS
from t2s_pipeline.prompting.coordinates import CHOICES
from t2s_pipeline.prompting.templates import LENGTHS, Template
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS

AS_BEFORE = {"instruction": "short", "resampling": "bicubic"}
"""How every prompter was asked in 0.2 and before, and the embedded one still is."""


@dataclass(frozen=True)
class Recipe:
    """Labels, prompt combination, reward and inference.

    Raises:
        InputError: for a prompt combination, reward or labelling that does not exist, or a reward without the labels
            that it needs.
    """

    combination: str = DEFAULT_COMBINATION
    """One of ``PROMPT_COMBINATIONS``: what an answer looks like."""
    reward: str = "paper"
    """One of ``REWARDS``: what an answer earns."""
    labels: str = ""
    """One of ``LABELLINGS``: what the reward compares an answer with; empty for the mask itself."""
    coordinates: str = "pixels"
    """``pixels`` of the square that the prompter sees, or ``native``: what its family was trained to write."""
    instruction: str = "full"
    """Our instruction in ``full``, with the counts of points and where they lie, or ``short``, as the embedded prompter
    was taught."""
    resampling: str = "lanczos"
    """How the image becomes the square, one of ``RESAMPLINGS``. The authors use ``lanczos``."""
    repair: bool = True
    """Whether the reward accepts JSON that had to be repaired, as the authors' does."""
    inference: Inference = field(default_factory=Inference)
    turns: int = 1
    """2: the prompter sees its first mask drawn into the picture, and answers a second time. That answer counts. In
    training, every second prompt is such a second look, with the first answer of the untrained base."""

    def __post_init__(self) -> None:
        _require_known("Prompt combination", self.combination, PROMPT_COMBINATIONS)
        _require_known("Reward", self.reward, REWARDS)
        _require_known("Coordinates", self.coordinates, CHOICES)
        _require_known("Instruction", self.instruction, LENGTHS)
        _require_known("Resampling", self.resampling, RESAMPLINGS)
        if self.turns not in (1, 2):
            raise InputError(f"recipe.turns must be 1 or 2, not {self.turns}.")
        if self.labels:
            _require_known("Labelling", self.labels, LABELLINGS)
        reward = REWARDS[self.reward]
        if reward.needs_labels and not self.labels:
            raise InputError(f"The reward {self.reward!r} compares answers with labels: name some in recipe.labels.")
        if reward.combination and reward.combination != self.combination:
            raise InputError(
                f"The reward {self.reward!r} reads answers in the combination {reward.combination!r} only: "
                "set recipe.combination to it, or use another recipe.reward."
            )

    def asking(self, template: Template | None = None) -> Asking:
        """How the prompter is asked; a template takes the place of our instruction."""
        return Asking(self.coordinates, self.instruction, self.resampling, template)

    @property
    def combination_definition(self) -> str:
        """The prompt combination with its keys, for fingerprints: a name says nothing about an extension's keys."""
        return str(PROMPT_COMBINATIONS[self.combination])

    @property
    def reward_definition(self) -> str:
        """The reward with its weights, for fingerprints: the files of the methods do not count as code."""
        return str(REWARDS[self.reward])

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Recipe":
        """The inverse of ``dataclasses.asdict``.

        Settings stored before 0.2 call the combination ``schema``. Settings of 0.2 and before do not name the
        instruction and the resampling: there was one of each.

        Raises:
            InputError: as for ``Recipe(...)``.
            KeyError: if a setting is missing.
            TypeError: if there is an unknown one.
        """
        # The file of a method registers its reward, and makes a recipe itself: so they are imported here, not above.
        import t2s_pipeline.methods.registry  # noqa: F401

        settings = {**AS_BEFORE, **value}
        if "schema" in settings:
            settings["combination"] = settings.pop("schema")
        return cls(**{**settings, "inference": Inference(**settings["inference"])})


def _require_known(kind: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise InputError(f"{kind} {name!r} is none of {', '.join(names)}.")
