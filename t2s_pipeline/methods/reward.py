"""Rewards: which parts the reward of a method adds up, and with which weights."""

from collections.abc import Mapping
from dataclasses import dataclass

from t2s_pipeline.core.registry import Registry


@dataclass(frozen=True)
class Reward:
    """R = Σ weight × part. Every part is between 0 and 1.

    Attributes:
        name: as settings name it.
        parts: by name, the weight of each part. The names are those of ``rewards.functions.REWARD_PARTS``.
        needs_labels: whether answers are compared with pseudo-labels.
        combination: the name of the one prompt combination that the parts can read; empty for any.
    """

    name: str
    parts: Mapping[str, float]
    needs_labels: bool = False
    combination: str = ""

    @property
    def names(self) -> list[str]:
        """The names of the parts, in the order in which they are logged."""
        return list(self.parts)

    @property
    def weights(self) -> list[float]:
        """The weights, in the order of ``names``."""
        return list(self.parts.values())

    @property
    def valid_part(self) -> str:
        """The part whose mean over completions is the share that parses (VisionReasoner: of their pieces).

        It is the first of ``format``, ``json`` and ``answer_format`` that the reward has, else its first part.
        """
        return next((name for name in ("format", "json", "answer_format") if name in self.parts), self.names[0])

    @property
    def maximum(self) -> float:
        """What a perfect answer earns."""
        return sum(self.weights)


REWARDS = Registry(
    "reward",
    (
        # Equation 3 with λ1 = 1 and λ2 = 2.
        Reward(name="paper", parts={"format": 1.0, "mask_iou": 2.0}),
        # The authors' code pays the form of an answer in two unit parts.
        Reward(name="reference", parts={"tags": 1.0, "json": 1.0, "mask_iou": 2.0}),
        # The paper's, with the geometry of slender targets in place of the plain overlap (docs/beyond.md).
        Reward(name="geometry", parts={"format": 1.0, "geometry": 2.0}),
    ),
)
"""Every reward, by name. Those that only one method uses are registered in the file of that method."""
