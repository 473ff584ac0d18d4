"""A system: who answers, and how it is asked. No torch."""

from dataclasses import dataclass

from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.prompters.base import GenerationSettings


@dataclass(frozen=True)
class System:
    """Everything that generation and segmentation need to know about who answers."""

    name: str
    prompter: str
    """What ``load_prompter`` takes: a name, or the folder of a checkpoint."""
    segmenter: str
    recipe: Recipe
    generation: GenerationSettings

    @property
    def combination(self) -> str:
        """What it is asked to answer in."""
        return self.recipe.combination

    @property
    def drawn_by(self) -> str:
        """The segmenter's name in the lake: without the file that ``<name>@<path>`` takes its weights from."""
        return self.segmenter.partition("@")[0]
