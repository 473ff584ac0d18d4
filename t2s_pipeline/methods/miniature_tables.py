"""The paper's tables in miniature, and the studies beyond it: which systems are compared on which split.

``t2s studies run`` trains and evaluates them, and ``t2s studies page`` writes docs/miniature_tables.md.
"""

from dataclasses import dataclass

from t2s_pipeline.core.embedded import LARGE_SEGMENTER, SMALL_SEGMENTER
from t2s_pipeline.datasets.synthetic.studies import STUDY_DATASETS
from t2s_pipeline.methods.studies import CHANGES, KINDS
from t2s_pipeline.prompting.combinations import DEFAULT_COMBINATION, TABLE_6

BASE = "think2seg-mini"
"""Plain Think2Seg-RS, which every system of the studies is compared with."""
UNTRAINED = "zero-shot-mini"
MAIN, FINE, SLENDER, REFERRING = STUDY_DATASETS
TEST = "test"


@dataclass(frozen=True)
class StudySystem:
    """A row of a table.

    Attributes:
        name: of the system; for a run, without its seed.
        experiment: the experiment that trains it; empty if nothing is trained.
        overrides: further settings of answering.
        published: the name of the system of the paper that it stands for; empty for none.
    """

    name: str
    experiment: str = ""
    overrides: tuple[str, ...] = ()
    published: str = ""

    def seed_of(self, seed: int) -> int | None:
        """The seed; None for a system without training, which depends on none."""
        return None if self.name == UNTRAINED else seed

    def seeded(self, seed: int) -> str:
        """The name of its system with that seed."""
        return self._with_seed(seed) if self.seed_of(seed) else self.name

    def run(self, seed: int) -> str:
        """The experiment with that seed, as ``methods.experiments.experiment`` takes it."""
        return self.experiment if seed == 0 else f"{self.experiment}-seed{seed}"

    def _with_seed(self, seed: int) -> str:
        if self.experiment:  # its name may hold a "+" of its own: think2seg-bbox+pos4-mini
            return f"{self.name}-seed{seed}"
        base, plus, variant = self.name.partition("+")
        return f"{base}-seed{seed}{plus}{variant}"


@dataclass(frozen=True)
class MiniatureTable:
    """A table in miniature.

    Attributes:
        title: of the table.
        claim: what the paper says, or what a study is for.
        systems: its rows.
        dataset: whose test split counts.
        published_dataset: the dataset of the paper's numbers; empty for none.
        order: systems whose order the claim fixes, the best first; empty if it fixes none.
        morphologies: the shapes of targets that are listed beside all of them.
        base: the system that the others are compared with.
    """

    title: str
    claim: str
    systems: tuple[StudySystem, ...]
    dataset: str = MAIN
    published_dataset: str = "earthreason"
    order: tuple[str, ...] = ()
    morphologies: tuple[str, ...] = ()
    base: str = BASE


_METHODS = (
    StudySystem(UNTRAINED, published="zero-shot-qwen2.5-vl-3b"),
    StudySystem(BASE, BASE, published="think2seg-rs-3b"),
    StudySystem("seg-zero-mini", "seg-zero-mini", published="seg-zero"),
    StudySystem("vision-reasoner-mini", "vision-reasoner-mini", published="vision-reasoner"),
    StudySystem("remote-reasoner-mini", "remote-reasoner-mini", published="remote-reasoner"),
)
_PLAIN = StudySystem(BASE, BASE, published="think2seg-rs-3b")


def _study(name: str, published: str = "") -> StudySystem:
    return StudySystem(f"think2seg-{name}-mini", f"think2seg-{name}-mini", published=published)


def _segmenters() -> tuple[StudySystem, ...]:
    """Think2Seg-RS with the other sizes of the segmenter."""
    return tuple(
        StudySystem(f"{BASE}+{name}", overrides=(f"segmenter={name}",), published=f"think2seg-rs-3b-sam2.1-{published}")
        for name, published in ((SMALL_SEGMENTER, "tiny"), (LARGE_SEGMENTER, "large"))
    )


def _combinations() -> tuple[StudySystem, ...]:
    names = [name for name in TABLE_6 if name != DEFAULT_COMBINATION]
    return tuple(_study(name, f"think2seg-rs-3b-{name}") for name in names)


_KINDS = (_study("wide"), *(_study(name) for name in KINDS))

MINIATURE_TABLES: dict[str, MiniatureTable] = {
    "1": MiniatureTable(
        "Tables 1 and 2: the methods, and their rejection of empty targets",
        "Think2Seg-RS is better than the methods that learn from boxes and points, and all are better than the base.",
        _METHODS,
        order=(BASE, "seg-zero-mini"),
    ),
    "3": MiniatureTable(
        "Table 3: referring expressions, without training on them",
        "The mask reward favours semantic targets, box labels favour instances: methods that learn from box labels "
        "lose less on referring expressions.",
        _METHODS,
        dataset=REFERRING,
        published_dataset="risbench",
        order=("vision-reasoner-mini", BASE),
    ),
    "4": MiniatureTable(
        "Table 4: the size of the prompter",
        "A larger prompter is better.",
        (_PLAIN, _study("small", "think2seg-rs-internvl3-2b")),
        order=(BASE, "think2seg-small-mini"),
    ),
    "5-coarse": MiniatureTable(
        "Table 5, coarse truth: the size of the segmenter",
        "Compact segmenters fit coarse labels better.",
        (_PLAIN, *_segmenters()),
        order=(f"{BASE}+sam2-mini-small", f"{BASE}+sam2-mini-large"),
    ),
    "5-fine": MiniatureTable(
        "Table 5, fine truth: the size of the segmenter",
        "With the fine truth, the order of the segmenters should turn round if the paper's explanation is right.",
        (_PLAIN, *_segmenters()),
        dataset=FINE,
        order=(f"{BASE}+sam2-mini-large", f"{BASE}+sam2-mini-small"),
    ),
    "6": MiniatureTable(
        "Table 6: the prompt combination",
        "A box with two points is best; points alone and negative points are worse.",
        (_PLAIN, *_combinations()),
        order=(BASE, "think2seg-pos2-mini"),
    ),
    "beyond": MiniatureTable(
        "Beyond the paper",
        "Each study changes one thing of plain Think2Seg-RS (docs/beyond.md).",
        (
            _PLAIN,
            *(_study(name) for name in CHANGES if name not in KINDS),
            StudySystem(f"{BASE}+negatives"),
            StudySystem("think2seg-second-look-mini+first"),
        ),
        morphologies=("elongated", "irregular", "(empty)"),
    ),
    "beyond-slender": MiniatureTable(
        "Beyond the paper, on slender targets",
        "The geometry-aware reward and mined negatives are about targets that are long and thin.",
        (_PLAIN, _study("geometry"), _study("geometry-mine-empty"), StudySystem(f"{BASE}+negatives")),
        dataset=SLENDER,
        published_dataset="",
    ),
    "kinds": MiniatureTable(
        "Beyond the paper: rotated boxes, chains of points, and the choice among kinds",
        "Other kinds of prompts suit elongated targets. All four are trained from a base that was taught these answers "
        "too; plain Think2Seg-RS from that base is what they are compared with.",
        _KINDS,
        morphologies=("elongated", "irregular", "(empty)"),
        base="think2seg-wide-mini",
    ),
    "kinds-slender": MiniatureTable(
        "Rotated boxes, chains of points, and the choice among kinds, on slender targets",
        "Other kinds of prompts suit elongated targets.",
        _KINDS,
        dataset=SLENDER,
        published_dataset="",
        base="think2seg-wide-mini",
    ),
    "beyond-referring": MiniatureTable(
        "A little referring supervision: what it buys on referring expressions",
        "A few box labels buy precision on single objects.",
        (
            _PLAIN,
            *(_study(name) for name in CHANGES if name.startswith("calibration")),
        ),
        dataset=REFERRING,
        published_dataset="risbench",
    ),
}
"""The tables by a short name, as ``t2s studies run --only`` takes it."""
