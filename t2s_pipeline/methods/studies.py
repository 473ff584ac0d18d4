"""What goes beyond the paper, as experiments: Think2Seg-RS with one thing changed, small and at full size.

docs/beyond.md says what each is and where it comes from. `t2s demo` trains none of them.
"""

from collections.abc import Iterator
from dataclasses import replace

from t2s_pipeline.methods.experiment import Experiment

CHANGES: dict[str, tuple[str, ...]] = {
    "geometry": ("recipe.reward=geometry",),
}
"""The name of a study → the settings that it changes, as ``--set`` takes them."""


def studies(embedded: Experiment, full_size: Experiment) -> Iterator[Experiment]:
    """Each study on the embedded default (``think2seg-NAME-mini``), and at full size (``think2seg-NAME-3b``)."""
    for name, changes in CHANGES.items():
        yield replace(embedded.with_overrides(changes), name=f"think2seg-{name}-mini")
        yield replace(full_size.with_overrides(changes), name=f"think2seg-{name}-3b")
