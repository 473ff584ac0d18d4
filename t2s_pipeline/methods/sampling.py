"""How a system is sampled to measure how certain it is: K completions per question."""

import json
from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """The settings of sampled answers. They are measured beside the greedy answer, which is the one that is scored.

    Attributes:
        completions: K, the completions that are sampled per question; at least 2.
        temperature: of the sampling; above 0.
        seed: of the random numbers. Each window of questions derives its own seed from it.
        max_questions: the most questions of a sample that are asked, in the order of the dataset's published rule;
            None asks all.

    Raises:
        InputError: if a value is outside these limits.
    """

    completions: int = 8
    temperature: float = 1.0
    seed: int = 0
    max_questions: int | None = 1

    def __post_init__(self) -> None:
        """Check the limits."""
        if self.completions < 2:
            raise InputError("completions must be at least 2: one completion has nothing to agree with.")
        if self.temperature <= 0:
            raise InputError("temperature must be above 0: greedy answers are all the same.")
        if self.max_questions is not None and self.max_questions < 1:
            raise InputError("max_questions must be at least 1.")

    @classmethod
    def from_json(cls, text: str) -> "Sampling":
        """Settings from a JSON object; a missing key takes its default.

        Raises:
            InputError: if the text is no JSON object of these settings.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as fault:
            raise InputError(f"These are no sampling settings ({fault}): {text[:200]}") from fault
