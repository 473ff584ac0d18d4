"""The benchmarks that can be read, and where the layout of a dataset lies below a folder."""

from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.registry import Registry
from t2s_pipeline.datasets.benchmark import Benchmark
from t2s_pipeline.datasets.dataset import Dataset, dataset_name
from t2s_pipeline.datasets.earthreason import EARTHREASON
from t2s_pipeline.datasets.layout import located
from t2s_pipeline.datasets.question_choice import BY_HASH
from t2s_pipeline.datasets.refsegrs import REFSEGRS
from t2s_pipeline.datasets.risbench import RISBENCH
from t2s_pipeline.datasets.rrsis_d import RRSIS_D
from t2s_pipeline.datasets.synthetic_referring import SYNTHETIC_REFERRING

EMBEDDED = "synthetic"
"""The name of the embedded scenes, which are painted in EarthReason's layout."""
CUSTOM = "custom"
"""The word for your own data on the command line: ``t2s ingest custom``."""

BENCHMARKS: Registry[Benchmark] = Registry("benchmark", [EARTHREASON, RRSIS_D, RISBENCH, REFSEGRS, SYNTHETIC_REFERRING])
"""The published datasets by name, and the painted one that stands for them in the miniature tables."""


def layout_of(name: str) -> Benchmark:
    """The benchmark whose layout a dataset has.

    A benchmark has its own layout. The embedded scenes and every folder of your own have EarthReason's.
    """
    return BENCHMARKS.get(name, EARTHREASON)


def dataset_at(name: str, root: Path, origin: str = "") -> Dataset:
    """The dataset of that name in ``root``, or in the only folder a little below it that has the layout.

    Args:
        name: the dataset's name; it decides the layout.
        root: a folder.
        origin: who named the folder, for messages.

    Raises:
        InputError: if the folder is missing, or holds no dataset of that layout, or several.
    """
    benchmark = layout_of(name)
    if not root.is_dir():
        raise InputError(f"There is no folder {root}: give the folder that holds {benchmark.layout}.")
    folder = located(root, benchmark.reader.splits)
    if folder is None:
        raise InputError(f"{root} is not in the layout of {name}: give the folder that holds {benchmark.layout}.")
    return benchmark.dataset(folder, name, origin)


def folder_name(root: Path) -> str:
    """The name of a dataset of your own: that of its folder, in lower case, with hyphens for other characters.

    >>> folder_name(Path("/data/Real scenes"))
    'real-scenes'

    A folder that is called EarthReason is the benchmark ``earthreason``.

    Raises:
        InputError: if nothing remains, or the name is that of the embedded scenes.
    """
    name = dataset_name(root.resolve().name)
    if not name:
        raise InputError(f"The name of the folder {root} has no letter or digit: rename the folder.")
    if name == EMBEDDED:
        raise InputError(f"{name} is the name of the embedded scenes: rename the folder {root}.")
    return name


def published_rule(name: str) -> str:
    """The rule of ``question_choice`` that a dataset's published numbers follow."""
    return BENCHMARKS[name].published_rule if name in BENCHMARKS else BY_HASH


def published_samples(name: str, split: str) -> int | None:
    """How many samples the authors count in a split; None if nobody published a number."""
    return BENCHMARKS[name].samples.get(split) if name in BENCHMARKS else None


def published_empty_targets(name: str, split: str) -> int | None:
    """How many samples of a split have no target, as the authors count; None if nobody published a number."""
    return BENCHMARKS[name].empty_targets.get(split) if name in BENCHMARKS else None
