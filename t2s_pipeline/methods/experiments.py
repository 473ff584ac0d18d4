"""The named experiments of all methods, and the systems without training.

Every row of the paper's tables that is trained has a name here, which is also the name of the system that it gives:
the column ``measured_as`` of ``published_metrics`` puts the paper's number beside ours.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import alternatives
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.registry import METHODS

BASELINE = "zero-shot-mini"
"""The system that every other system is compared with."""


class ExperimentsByName(Mapping[str, Experiment]):
    """A view of the methods' experiments, so that a method that is registered later is seen as well."""

    def __init__(self, items: Callable[[], Iterator[tuple[str, Experiment]]]) -> None:
        self._items = items

    def _by_name(self) -> dict[str, Experiment]:
        experiments: dict[str, Experiment] = {}
        for name, item in self._items():
            if name in experiments:
                raise InputError(f"There are two experiments with the name {name!r}. Rename one.")
            experiments[name] = item
        return experiments

    def __getitem__(self, name: str) -> Experiment:
        return self._by_name()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name())

    def __len__(self) -> int:
        return len(self._by_name())


def _trained() -> Iterator[tuple[str, Experiment]]:
    for method in METHODS.values():
        if method.embedded is not None:
            yield method.embedded.name, method.embedded
    for method in METHODS.values():
        for full_size in method.full_size:
            yield full_size.name, full_size
    for method in METHODS.values():
        for study in method.studies:
            yield study.name, study


def _zero_shot() -> Iterator[tuple[str, Experiment]]:
    for method in METHODS.values():
        yield from method.zero_shot.items()


def _released() -> Iterator[tuple[str, Experiment]]:
    for method in METHODS.values():
        yield from method.released.items()


EXPERIMENTS: Mapping[str, Experiment] = ExperimentsByName(_trained)
"""Every experiment, by name: first those on the embedded default, then those at full size, then the studies."""

ZERO_SHOT: Mapping[str, Experiment] = ExperimentsByName(_zero_shot)
"""The systems without training, by name: the base prompter of an experiment, which answers as the experiment says."""


RELEASED: Mapping[str, Experiment] = ExperimentsByName(_released)
"""The systems of weights that other people published, by name."""

READY: Mapping[str, Experiment] = ExperimentsByName(lambda: chain(_zero_shot(), _released()))
"""The systems that answer without a training run of ours, by name."""


def experiment(name: str, overrides: Iterable[str] = ()) -> Experiment:
    """A named experiment; ``<name>-seed<s>`` is the same with another seed.

    Args:
        name: of the experiment, perhaps with a seed.
        overrides: changed settings, for example ``grpo.steps=20``.

    Raises:
        InputError: if there is no experiment of that name, or an override does not fit.
    """
    base, _, seed = name.partition("-seed")
    if base not in EXPERIMENTS or (name != base and not seed.isdecimal()):
        raise InputError(f"There is no experiment {name!r}. {alternatives(name, EXPERIMENTS, 't2s experiments')}")
    unseeded = EXPERIMENTS[base]
    return (unseeded.with_overrides([f"seed={seed}"]) if seed else unseeded).with_overrides(overrides)
