"""Recipes: everything in which one method differs from another, as one declarative object each. No torch.

What a prompter is asked for (prompt combination), what its answer earns (reward), which labels the reward compares it
with, and how the segmenter is asked at inference. There is one trainer and one evaluator; they read the recipe.
"""

from dataclasses import dataclass, field

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.reward_weights import REWARDS
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, PROMPT_COMBINATIONS
from t2s_pipeline.prompting.coordinates import CHOICES
from t2s_pipeline.pseudo_labels import METHODS


@dataclass(frozen=True)
class Recipe:
    """A method: labels, prompt combination, reward, inference.

    Raises:
        InputError: for a prompt combination, reward or labelling that does not exist, or a reward without the labels
            that it needs.
    """

    combination: str = DEFAULT_COMBINATION
    """One of ``PROMPT_COMBINATIONS``: what an answer looks like."""
    reward: str = "paper"
    """One of ``REWARDS``: what an answer earns."""
    labels: str = ""
    """One of ``pseudo_labels.METHODS``: what the reward compares an answer with; empty for the mask itself."""
    coordinates: str = "pixels"
    """``pixels`` of the square the prompter sees, or ``native``: what its family was trained to write."""
    repair: bool = True
    """Whether the reward accepts JSON that had to be repaired, as the authors' does."""
    inference: Inference = field(default_factory=Inference)

    def __post_init__(self) -> None:
        for what, value, known in (
            ("Prompt combination", self.combination, PROMPT_COMBINATIONS),
            ("Reward", self.reward, REWARDS),
            ("Coordinates", self.coordinates, CHOICES),
            ("Labelling", self.labels, ("", *METHODS)),
        ):
            if value not in known:
                raise InputError(f"{what} {value!r} is none of {', '.join(filter(None, known))}.")
        reward = REWARDS[self.reward]
        if reward.needs_labels and not self.labels:
            raise InputError(f"The reward {self.reward!r} compares answers with labels: name some in recipe.labels.")
        if reward.combination and reward.combination != self.combination:
            raise InputError(
                f"The reward {self.reward!r} reads answers in the combination {reward.combination!r} only."
            )

    @classmethod
    def from_json(cls, value: dict) -> "Recipe":
        """The inverse of ``dataclasses.asdict``. Settings stored before 0.2 call the combination ``schema``."""
        combination = value.get("combination", value.get("schema"))
        others = {key: setting for key, setting in value.items() if key != "schema"}
        return cls(**{**others, "combination": combination, "inference": Inference(**value["inference"])})


THINK2SEG = Recipe()
"""Think2Seg-RS: the mask itself is the reward; box and points in one call, single-mask output."""

SEG_ZERO = Recipe("seg-zero", "seg-zero", "seg-zero", repair=False, inference=Inference(multimask=True))
"""Seg-Zero: one box and two points for the whole mask, strict JSON, best of three masks."""

VISION_REASONER = Recipe(
    "vision-reasoner", "vision-reasoner", "vision-reasoner", repair=False, inference=Inference(multimask=True)
)
"""VisionReasoner: a box and a point for each cluster of the mask, best of three masks an object."""

REMOTE_REASONER = Recipe(
    "remote-reasoner", "remote-reasoner", "remote-reasoner", repair=False, inference=Inference(box_centre=True)
)
"""RemoteReasoner: a box for each connected region; each box is fed with its centre."""

RECIPES = {
    "think2seg": THINK2SEG,
    "seg-zero": SEG_ZERO,
    "vision-reasoner": VISION_REASONER,
    "remote-reasoner": REMOTE_REASONER,
}
"""The methods by name."""
