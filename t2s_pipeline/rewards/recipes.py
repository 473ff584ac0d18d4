"""Reward recipes: which rewards a run adds up, and with which weights. No torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RewardRecipe:
    """R = Σ weight × part; ``parts`` are (name, weight), and the names are those of the reward functions."""

    name: str
    parts: tuple[tuple[str, float], ...]
    needs_labels: bool = False
    """Whether answers are compared with pseudo-labels."""
    schema: str = ""
    """The one answer schema that the parts can read; empty for any."""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.parts]

    @property
    def weights(self) -> list[float]:
        return [weight for _, weight in self.parts]

    @property
    def valid_part(self) -> str:
        """The part whose mean over completions is the share that parses."""
        return "format" if "format" in self.names else "json"

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
    )
}
