"""A method: a way to train a prompter, with the experiments that train it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.recipe import Recipe


@dataclass(frozen=True)
class Method:
    """Everything that makes a method. To add one, register one object in ``methods.registry.METHODS``.

    Attributes:
        name: as tables and the command line show it, for example ``seg-zero``.
        title: as publications write it, for example ``Seg-Zero``.
        recipe: its labels, prompt combination, reward, and how the segmenter is prompted.
        embedded: the experiment that trains it on the embedded default, which ``t2s demo`` runs; None if there is none.
        full_size: the experiments that train it at full size. The name of an experiment is also the name of the system
            that it gives, and the column ``measured_as`` of ``published_metrics`` puts the paper's number beside it.
        studies: further experiments, which `t2s demo` does not run.
        zero_shot: systems without training, by name: the base of an experiment, which answers as the experiment says.
        released: systems of weights that the method's authors published, by name: the experiment says which weights
            these are (its prompter) and how they answer. Their instruction is not ours (docs/baselines.md).
    """

    name: str
    title: str
    recipe: Recipe
    embedded: Experiment | None = None
    full_size: tuple[Experiment, ...] = ()
    studies: tuple[Experiment, ...] = ()
    zero_shot: Mapping[str, Experiment] = field(default_factory=dict)
    released: Mapping[str, Experiment] = field(default_factory=dict)

    @property
    def labels(self) -> str:
        """The name of the labelling that it learns from; empty if it learns from the mask itself."""
        return self.recipe.labels
