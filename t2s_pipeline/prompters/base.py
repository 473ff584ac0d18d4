"""The settings of generation and its result. Experiments and the orchestrator read them without torch."""

from dataclasses import dataclass

BACKENDS = ("transformers", "vllm")


@dataclass(frozen=True)
class GenerationSettings:
    """How completions are sampled. ``temperature`` 0 is greedy decoding; ``seed`` matters only above 0."""

    max_new_tokens: int = 1024
    temperature: float = 0.0
    batch_size: int = 64
    seed: int = 0
    backend: str = "transformers"
    """The library that runs the model: ``transformers``, or ``vllm`` (extra ``[vllm]``, needs a GPU)."""
    constrained: bool = False
    """Sample only texts that the grammar of the prompt combination allows. This hides mistakes of
    the prompter, so the number of format errors is then no measure of it."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ValueError: for an unknown backend or a number out of range.
        """
        if self.backend not in BACKENDS:
            raise ValueError(f"backend {self.backend!r} is none of {', '.join(BACKENDS)}")
        if self.max_new_tokens < 1 or self.batch_size < 1:
            raise ValueError("max_new_tokens and batch_size must be at least 1")
        if self.temperature < 0:
            raise ValueError("temperature must not be negative")


@dataclass(frozen=True)
class Completion:
    """One answer of a prompter.

    Attributes:
        text: the answer without its end-of-turn token.
        tokens: the number of generated tokens, with the end-of-turn token.
        finish_reason: ``stop``, or ``length`` if the answer reached ``max_new_tokens``.
        seconds: the time of the batch divided by its size.
    """

    text: str
    tokens: int
    finish_reason: str
    seconds: float
