"""A system: a prompter, a segmenter and how they are asked. Systems are what evaluation compares."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompting.asking import Asking
from t2s_pipeline.prompting.templates import Template, read_template


@dataclass(frozen=True)
class System:
    """Everything that generation and segmentation need to know about the system that answers.

    Attributes:
        name: the name in every table.
        prompter: what ``load_prompter`` takes: the name of a model, or the folder of a checkpoint.
        segmenter: what ``load_segmenter`` takes.
        recipe: the prompt combination and how the segmenter is prompted.
        generation: how the prompter generates.
        dataset: the dataset that its run was trained on. Its val split decides which checkpoint is best.
        template: the text that it is asked with in place of our own instruction; None for our own.
    """

    name: str
    prompter: str
    segmenter: str
    recipe: Recipe
    generation: GenerationSettings
    dataset: str
    template: Template | None = None

    @classmethod
    def of(cls, name: str, experiment: Experiment, prompter: str | None = None) -> "System":
        """The system that answers as an experiment says; ``prompter`` takes the place of the untrained base."""
        return cls(
            name=name,
            prompter=prompter or experiment.prompter,
            segmenter=experiment.segmenter,
            recipe=experiment.recipe,
            generation=experiment.generation,
            dataset=experiment.dataset,
        )

    def asked_with(self, file: Path | None) -> "System":
        """The same system, asked with the text of a template file (prompting/templates.py); None: as it is.

        Raises:
            InputError: if the file cannot be read or is no template.
        """
        return self if file is None else replace(self, template=read_template(file))

    @property
    def asking(self) -> Asking:
        """How the prompter is asked."""
        return self.recipe.asking(self.template)

    @property
    def combination(self) -> str:
        """The prompt combination that it is asked to answer in."""
        return self.recipe.combination

    @property
    def segmenter_name(self) -> str:
        """The segmenter's name in the lake: without the file that ``<name>@<path>`` takes its weights from.

        Of a path, it is the name of the file without its suffix.
        """
        name = self.segmenter.partition("@")[0]
        return PurePath(name).stem if "/" in name else name

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "System":
        """The inverse of ``as_json``.

        Raises:
            InputError: for anything else.
        """
        try:
            recipe = Recipe.from_json(value["recipe"])
            template = None if value.get("template") is None else Template(**value["template"])
            parts = {"recipe": recipe, "generation": GenerationSettings(**value["generation"]), "template": template}
            return cls(**{**value, **parts})
        except (KeyError, TypeError, ValueError) as fault:
            raise InputError(f"This is not a system ({fault}).") from fault
