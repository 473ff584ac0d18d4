"""What is here and what is missing: the files and tables of each dataset, and the needs of each experiment."""

from dataclasses import dataclass

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTERS
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.catalog import find_dataset, known_datasets
from t2s_pipeline.datasets.registry import BENCHMARKS, EMBEDDED, published_samples
from t2s_pipeline.lake.schema import REJECTS, SAMPLES
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.methods.experiments import EXPERIMENTS
from t2s_pipeline.prompters.families import FAMILIES, published_models
from t2s_pipeline.segmenters.registry import SEGMENTERS
from t2s_pipeline.training.machine import Machine, look_at_machine
from t2s_pipeline.training.plan import training_plan
from t2s_pipeline.training.shortages import Shortage


@dataclass(frozen=True)
class SplitState:
    """The counts of a split in the lake, and the published count.

    A count is None if the split is not in the lake, or if no count was published.
    """

    split: str
    samples: int | None
    rejects: int | None
    published: int | None


@dataclass(frozen=True)
class DatasetState:
    """A dataset on disk and in the lake. ``root`` is None if its files were not found; ``fault`` says why."""

    key: str
    root: str | None
    origin: str | None
    fault: str | None
    layout: str
    splits: tuple[SplitState, ...]


@dataclass(frozen=True)
class ExperimentState:
    """A named experiment and what is missing on this machine to run it, each with what to do next."""

    name: str
    dataset: str
    missing: tuple[Shortage, ...]

    @property
    def can_run(self) -> bool:
        """True if nothing is missing that the training needs."""
        return not any(shortage.blocks for shortage in self.missing)


@dataclass(frozen=True)
class Complaint:
    """The same shortage of several experiments, with the command of the first of them."""

    shortage: Shortage
    experiments: tuple[str, ...]


@dataclass(frozen=True)
class ModelNames:
    """The models that experiments can name."""

    prompters: tuple[str, ...]
    prompter_families: tuple[str, ...]
    segmenters: tuple[str, ...]


@dataclass(frozen=True)
class Diagnosis:
    """The state of the machine, of all datasets and experiments, and the models that experiments can name."""

    machine: Machine
    datasets: tuple[DatasetState, ...]
    experiments: tuple[ExperimentState, ...]
    models: ModelNames

    @property
    def complaints(self) -> list[Complaint]:
        """Equal shortages of several experiments as one, what blocks a training before what does not."""
        groups: dict[tuple[str, bool], list[tuple[str, Shortage]]] = {}
        for experiment in self.experiments:
            for shortage in experiment.missing:
                groups.setdefault((shortage.sentence, shortage.blocks), []).append((experiment.name, shortage))
        complaints = [Complaint(members[0][1], tuple(name for name, _ in members)) for members in groups.values()]
        return sorted(complaints, key=lambda complaint: (not complaint.shortage.blocks, -len(complaint.experiments)))


def diagnose(settings: Settings) -> Diagnosis:
    """Read the state of everything. Nothing is changed, and no file of a dataset is decoded."""
    machine = look_at_machine(settings, EXPERIMENTS.values())
    keys = dict.fromkeys([EMBEDDED, *BENCHMARKS, *known_datasets(settings)])
    experiments = [
        ExperimentState(experiment.name, experiment.dataset, training_plan(experiment, settings, machine).missing)
        for experiment in EXPERIMENTS.values()
    ]
    models = ModelNames(
        (*EMBEDDED_PROMPTERS, *published_models()),
        tuple(family.name for family in FAMILIES.values()),
        tuple(SEGMENTERS),
    )
    return Diagnosis(machine, tuple(_dataset(settings, key) for key in keys), tuple(experiments), models)


def _dataset(settings: Settings, key: str) -> DatasetState:
    root = origin = fault = None
    on_disk: list[str] = []
    try:
        dataset = find_dataset(settings, key)
        root, origin, on_disk = str(dataset.root), dataset.origin, dataset.splits
    except InputError as error:
        fault = "`t2s demo` paints it" if key == EMBEDDED else str(error)
    partitions = list_partitions(settings.lake, SAMPLES)
    ingested = [partition["split"] for partition in partitions if partition["dataset"] == key]
    benchmark = BENCHMARKS.get(key)
    published = benchmark.samples if benchmark else {}
    splits = [split for split in ("train", "val", "test") if split in {*on_disk, *ingested, *published}]
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
