"""How a step asks for work that loads a model, without knowing which process does it."""

from collections.abc import Callable, Sequence

Launch = Callable[[Sequence[str]], None]
"""Runs ``python -m t2s_pipeline.worker <arguments>`` to its end. Raises a T2SError if it fails."""
