"""How a system is sampled to see how sure it is: K answers a question. No torch."""

import json
from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """An evaluation setting beside the greedy answer that is scored."""

    draws: int = 8
    """K: answers drawn for each question."""
    temperature: float = 1.0
    seed: int = 0
    max_questions: int | None = 1
    """Of a sample, first in frozen order; None samples all."""

    def __post_init__(self) -> None:
        if self.draws < 2:
            raise InputError("draws must be at least 2: one answer has nothing to agree with.")
        if self.temperature <= 0:
            raise InputError("temperature must be above 0: greedy answers are all the same.")
        if self.max_questions is not None and self.max_questions < 1:
            raise InputError("max_questions must be at least 1.")

    @classmethod
    def from_json(cls, text: str) -> "Sampling":
        """Settings from a JSON object; what is not given is the default.

        Raises:
            InputError: for anything else.
        """
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as fault:
            raise InputError(f"These are no sampling settings ({fault}): {text[:200]}") from fault
