"""The unit of an answer's numbers: pixels of the square that the prompter sees, or thousandths of it.

The instruction says which of the two is asked for, and it is recorded with the answers. It is never guessed from an
answer, because [120, 40, 300, 310] is a box in either unit.
"""

from enum import Enum

from t2s_pipeline.vision.geometry import Frame


class Coordinates(Enum):
    """The unit of an answer's numbers, and how the instruction words it."""

    PIXELS = "in pixels of this overhead image"
    THOUSANDTHS = "in thousandths (0 to 1000) of this overhead image's width and height"

    def frame(self, square: Frame) -> Frame:
        """The frame that the numbers are in, for a prompter that sees ``square``.

        ``PromptObject.moved(coordinates.frame(square), square)`` gives the pixels.
        """
        return square if self is Coordinates.PIXELS else Frame.square(1000)


CHOICES = ("pixels", "native")
"""What a recipe may ask for: pixels of the square (as the authors do, for every family), or the unit that the family
was trained to write."""
