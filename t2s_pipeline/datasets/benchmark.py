"""A benchmark as one object: the reader of its files, and what its authors published about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import root_variable
from t2s_pipeline.datasets.dataset import Dataset, dataset_name
from t2s_pipeline.datasets.layout import SPLITS
from t2s_pipeline.datasets.question_choice import BY_HASH
from t2s_pipeline.datasets.records import Reader


@dataclass(frozen=True)
class Benchmark:
    """A published dataset. Register it in ``datasets.registry.BENCHMARKS``.

    Raises:
        InputError: if ``name`` has other characters than small letters, digits and single hyphens.
    """

    name: str
    """The value of the column ``dataset``. The environment variable of the folder follows from it."""
    reader: Reader
    layout: str
    """What the folder holds, as the end of the sentence "give the folder that holds …"."""
    samples: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Split → number of samples, as the authors count them."""
    empty_targets: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Split → number of samples without a target, where the authors give it."""
    published_rule: str = BY_HASH
    """The rule of ``question_choice`` that the published numbers follow."""
    is_referring: bool = False
    """The best checkpoint of every run is evaluated on its test split, without training on it (the paper's Table 3)."""
    splits: tuple[str, ...] = SPLITS
    """The splits that the authors publish."""

    def __post_init__(self) -> None:
        """Check the name."""
        if not self.name or dataset_name(self.name) != self.name:
            raise InputError(
                f"{self.name!r} cannot be the name of a benchmark: use small letters and digits, with single - "
                "between them."
            )

    @property
    def root_variable(self) -> str:
        """The environment variable that names the benchmark's folder, e.g. ``T2S_RRSIS_D_ROOT``."""
        return root_variable(self.name)

    def dataset(self, root: Path, name: str | None = None, origin: str = "") -> Dataset:
        """The dataset whose files lie in ``root``; another ``name`` is that of your own data in the same layout."""
        rule = self.published_rule if name in (None, self.name) else BY_HASH
        return Dataset(name or self.name, root, self.reader, rule, origin)
