"""What generating an answer takes and gives; no torch here, so experiments can name it."""

from dataclasses import dataclass

BACKENDS = ("transformers", "vllm")


@dataclass(frozen=True)
class GenerationSettings:
    """How answers are drawn: ``temperature`` 0 is greedy decoding; ``seed`` matters only above 0."""

    max_new_tokens: int = 1024
    temperature: float = 0.0
    batch_size: int = 64
    seed: int = 0
    backend: str = "transformers"
    """What runs the model: ``transformers``, or ``vllm`` (extra ``[vllm]``, needs a GPU)."""
    constrained: bool = False
    """Draw only texts that the combination's grammar admits (extra ``[grammar]``). It hides what the prompter would
    have got wrong, so format errors are then no measure of it."""

    def __post_init__(self):
        if self.backend not in BACKENDS:
            raise ValueError(f"backend {self.backend!r} is none of {', '.join(BACKENDS)}")
        if self.max_new_tokens < 1 or self.batch_size < 1:
            raise ValueError("max_new_tokens and batch_size must be at least 1")
        if self.temperature < 0:
            raise ValueError("temperature must not be negative")


@dataclass(frozen=True)
class Completion:
    """An answer text without its end-of-turn token; ``seconds`` is the batch's time divided by its size."""

    text: str
    tokens: int
    finish_reason: str
    seconds: float
