"""How a prompter is asked: the words, the unit of the coordinates, and how its image is resized."""

from dataclasses import dataclass

from t2s_pipeline.prompting.combinations import PromptCombination
from t2s_pipeline.prompting.coordinates import Coordinates
from t2s_pipeline.prompting.templates import Template, own_template

RESAMPLINGS = ("lanczos", "bicubic", "bilinear")
"""How the image becomes the square: as the authors do, as the embedded prompter was taught, and as Seg-Zero and
VisionReasoner do."""


@dataclass(frozen=True)
class Asking:
    """How a prompter is asked. The defaults are those of the embedded prompter; a recipe has its own.

    Attributes:
        coordinates: what it is asked to write, ``pixels`` of its square or the unit that is ``native`` to its family.
        instruction: the length of our own instruction, one of ``templates.LENGTHS``.
        resampling: how the image becomes the square, one of ``RESAMPLINGS``.
        template: a text in place of our own instruction.
    """

    coordinates: str = "pixels"
    instruction: str = "short"
    resampling: str = "bicubic"
    template: Template | None = None

    def words(self, combination: PromptCombination, unit: Coordinates) -> Template:
        """The text of a question in this combination; ``unit`` is the unit that our own instruction names."""
        return self.template or own_template(combination, unit, self.instruction)


AS_EMBEDDED = Asking()
"""As the embedded prompter is asked."""
