"""Reward recipes: which rewards a run adds up, and with which weights. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RewardRecipe:
    """R = Σ weight × part; ``parts`` are (name, weight), and the names are those of the reward functions.

    Every part is between 0 and 1.
    """

    name: str
    parts: tuple[tuple[str, float], ...]
    needs_labels: bool = False
    """Whether answers are compared with pseudo-labels."""
    combination: str = ""
    """The one prompt combination that the parts can read; empty for any."""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.parts]

    @property
    def weights(self) -> list[float]:
        return [weight for _, weight in self.parts]

    @property
    def valid_part(self) -> str:
        """The part whose mean over completions is the share that parses (VisionReasoner: of their pieces)."""
        return next(name for name in ("format", "json", "answer_format") if name in self.names)

    @property
    def maximum(self) -> float:
        """What a perfect answer earns."""
        return sum(self.weights)


REWARDS: dict[str, RewardRecipe] = {
    recipe.name: recipe
    for recipe in (
        # Equation 3 with λ1 = 1 and λ2 = 2.
        RewardRecipe("paper", (("format", 1.0), ("mask_iou", 2.0))),
        # The authors' code pays the form in two unit parts.
        RewardRecipe("reference", (("tags", 1.0), ("json", 1.0), ("mask_iou", 2.0))),
        RewardRecipe(
            "seg-zero",
            (("tags", 1.0), ("json", 1.0), ("box_iou", 1.0), ("box_l1", 1.0), ("points", 1.0)),
            needs_labels=True,
            combination="seg-zero",
        ),
        RewardRecipe(
            "vision-reasoner",
            (("tags", 1.0), ("answer_format", 2.0), ("accuracy", 3.0), ("non_repeat", 1.0)),
            needs_labels=True,
            combination="vision-reasoner",
        ),
        RewardRecipe(
            "remote-reasoner",
            (("matched_iou", 1.0), ("count", 1.0), ("format", 1.0)),
            needs_labels=True,
            combination="remote-reasoner",
        ),
    )
}
