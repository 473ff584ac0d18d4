"""What a person may state about the files of their own data, as the texts of command-line options."""

import re
from dataclasses import dataclass

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.text_files import require_encoding
from t2s_pipeline.vision.pixel_rules import PixelRules


@dataclass(frozen=True)
class ReadingOptions:
    """The options of `t2s ingest` that say how files are read; None where an option was not used."""

    bands: str | None = None
    mask_value: str | None = None
    threshold: float | None = None
    invert_mask: bool = False
    encoding: str | None = None

    @property
    def rules(self) -> PixelRules:
        """The rules for pixels.

        Raises:
            InputError: if an option is no list of numbers, or the options contradict each other.
        """
        return PixelRules(
            tuple(map(int, _numbers("--bands", self.bands, r"\d{1,9}"))),
            tuple(map(float, _numbers("--mask-value", self.mask_value, r"-?\d{1,18}(\.\d{1,9})?"))),
            self.threshold,
            self.invert_mask,
        )

    @property
    def named_encoding(self) -> str:
        """The encoding as Python names it; empty if none was stated.

        Raises:
            InputError: if there is no such encoding.
        """
        return require_encoding(self.encoding) if self.encoding else ""


def _numbers(option: str, text: str | None, pattern: str) -> list[str]:
    """The numbers of a list with commas.

    Raises:
        InputError: if one of them is no number.
    """
    numbers = [number.strip() for number in text.split(",")] if text is not None else []
    if not all(re.fullmatch(pattern, number) for number in numbers):
        raise InputError(f"{option} {text} is no list of numbers: write them with commas, as in 4,3,2.")
    return numbers
