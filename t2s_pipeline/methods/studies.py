"""What goes beyond the paper, as experiments: Think2Seg-RS with one thing changed, small and at full size.

docs/beyond.md says what each is and where it comes from. `t2s demo` trains none of them.
"""

from collections.abc import Iterator
from dataclasses import replace

from t2s_pipeline.core.embedded import SMALL_PROMPTER, WIDE_PROMPTER
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, TABLE_6

CHANGES: dict[str, tuple[str, ...]] = {
    "geometry": ("recipe.reward=geometry",),
    "clip-higher": ("grpo.epsilon_high=0.28",),
    "token-loss": ("grpo.loss=token",),
    "budget": ("grpo.length_budget=96",),
    "mine-empty": ("mine_empty=0.1",),
    "second-look": ("recipe.turns=2",),
    "rotated": ("recipe.combination=rotated",),
    "chain": ("recipe.combination=chain",),
    "adaptive": ("recipe.combination=adaptive",),
    **{
        f"calibration-{percent}": (f"calibration={percent / 100}", "calibration_dataset=rrsis-d")
        for percent in (2, 5, 10, 20)
    },
    # What these lose is mostly rejection, which mined questions teach (docs/miniature_tables.md).
    "geometry-mine-empty": ("recipe.reward=geometry", "mine_empty=0.1"),
    "calibration-5-mine-empty": ("calibration=0.05", "calibration_dataset=rrsis-d", "mine_empty=0.1"),
}
"""The name of a study → the settings that it changes, as ``--set`` takes them."""

KINDS = ("rotated", "chain", "adaptive")
"""The studies of other kinds of prompts. What they are compared with is trained from the same base: ``wide``."""

COMBINATIONS = tuple(name for name in TABLE_6 if name != DEFAULT_COMBINATION)
"""The other combinations of Table 6. At full size they are the ablations of the paper."""

SMALLER: dict[str, tuple[str, ...]] = {
    # Answers of the embedded prompter have about 50 tokens, those of the models that PixelThink trains several hundred.
    "budget": ("grpo.length_budget=40",),
    # The scenes of the embedded dataset, which name there what is visible.
    "mine-empty": ("dataset=synthetic-studies",),
    **{f"calibration-{percent}": ("calibration_dataset=synthetic-referring",) for percent in (2, 5, 10, 20)},
    "geometry-mine-empty": ("dataset=synthetic-studies",),
    "calibration-5-mine-empty": ("calibration_dataset=synthetic-referring", "dataset=synthetic-studies"),
    # The embedded prompter does not know these kinds of answers.
    **{kind: (f"prompter={WIDE_PROMPTER}",) for kind in KINDS},
}
"""What the small version of a study changes besides."""

BASES: dict[str, tuple[str, ...]] = {
    "small": (f"prompter={SMALL_PROMPTER}",),
    "wide": (f"prompter={WIDE_PROMPTER}",),
}
"""Studies of another embedded prompter: plain Think2Seg-RS, trained from it. At full size, a prompter is a setting."""


def studies(embedded: Experiment, full_size: Experiment) -> Iterator[Experiment]:
    """Each study on the embedded default (``think2seg-NAME-mini``), and at full size (``think2seg-NAME-3b``)."""
    for name in COMBINATIONS:
        yield replace(embedded.with_overrides([f"recipe.combination={name}"]), name=f"think2seg-{name}-mini")
    for name, changes in BASES.items():
        yield replace(embedded.with_overrides(changes), name=f"think2seg-{name}-mini")
    for name, changes in CHANGES.items():
        small = embedded.with_overrides((*changes, *SMALLER.get(name, ())))
        yield replace(small, name=f"think2seg-{name}-mini")
        yield replace(full_size.with_overrides(changes), name=f"think2seg-{name}-3b")
