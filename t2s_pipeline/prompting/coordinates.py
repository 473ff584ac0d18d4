"""What the numbers of an answer count: pixels of the square the prompter sees, or thousandths of it.

Which of the two is asked for is said in the instruction and recorded with the answers. It is never guessed from an
answer: [120, 40, 300, 310] is a box in either.
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
"""What a recipe may ask for: pixels of the square (the authors' way, for every family), or what the family was trained
to write."""
