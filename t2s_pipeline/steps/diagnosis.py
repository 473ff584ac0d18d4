"""What is here and what is missing: each dataset, where it lies, what of it is in the lake; each experiment's needs."""

from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.catalog import find_dataset, known_datasets
from t2s_pipeline.datasets.registry import BENCHMARKS, EMBEDDED, published_samples
from t2s_pipeline.lake.schema import REJECTS, SAMPLES
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.methods.experiments import EXPERIMENTS
from t2s_pipeline.training.plan import training_plan


@dataclass(frozen=True)
class SplitState:
    """A split in the lake beside what was published; None where it is not there, or nobody published a count."""

    split: str
    samples: int | None
    rejects: int | None
    published: int | None


@dataclass(frozen=True)
class DatasetState:
    """A dataset on disk (``root`` None: not found, and ``fault`` says why) and in the lake."""

    key: str
    root: str | None
    origin: str | None
    fault: str | None
    layout: str
    splits: tuple[SplitState, ...]


@dataclass(frozen=True)
class ExperimentState:
    """A named experiment and what this machine lacks to run it, each with what to do."""

    name: str
    dataset: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    datasets: tuple[DatasetState, ...]
    experiments: tuple[ExperimentState, ...]


def diagnose(settings: Settings) -> Diagnosis:
    """Look at everything; nothing is changed and no file of a dataset is decoded."""
    keys = dict.fromkeys([EMBEDDED, *BENCHMARKS, *known_datasets(settings)])
    needs = [
        ExperimentState(one.name, one.dataset, training_plan(one, settings).missing) for one in EXPERIMENTS.values()
    ]
    return Diagnosis(tuple(_dataset(settings, key) for key in keys), tuple(needs))


def _dataset(settings: Settings, key: str) -> DatasetState:
    root = origin = fault = None
    there: list[str] = []
    try:
        found = find_dataset(settings, key)
        root, origin, there = str(found.root), found.origin, found.splits
    except InputError as error:
        fault = "`t2s demo` paints it" if key == EMBEDDED else str(error)
    ingested = [one["split"] for one in list_partitions(settings.lake, SAMPLES) if one["dataset"] == key]
    benchmark = BENCHMARKS.get(key)
    published = benchmark.samples if benchmark else {}
    splits = [split for split in ("train", "val", "test") if split in {*there, *ingested, *published}]
    layout = benchmark.layout if benchmark else ""
    return DatasetState(key, root, origin, fault, layout, tuple(_split(settings, key, split) for split in splits))


def _split(settings: Settings, key: str, split: str) -> SplitState:
    counts: list[int | None] = []
    for table in (SAMPLES, REJECTS):
        try:
            column = table.columns[0].name
            counts.append(len(read_partition(settings.lake, table, {"dataset": key, "split": split}, [column])))
        except NotMaterializedError:
            counts.append(None)
    return SplitState(split, counts[0], counts[1], published_samples(key, split))
