"""How the pixels of your files are read where the file alone does not decide it, and what was unusual about a file."""

from dataclasses import dataclass
from typing import Any

from t2s_pipeline.core.errors import InputError


@dataclass(frozen=True)
class Note:
    """Something about a file that a person should know, although the file is used.

    Attributes:
        kind: a short constant, for counting (docs/datasets.md lists them).
        detail: what is special about this file, and how it was read.
        is_warning: False for a record of how the file was read, e.g. the limits of the stretch.
    """

    kind: str
    detail: str
    is_warning: bool = True


@dataclass(frozen=True)
class PixelRules:
    """The settings of `t2s ingest` for pictures and masks; without them the rules of docs/datasets.md hold.

    Raises:
        InputError: for values that contradict each other, or that no file can have.
    """

    bands: tuple[int, ...] = ()
    """The bands of a picture that are red, green and blue, or the one that is grey. The first band is 1."""
    mask_value: tuple[float, ...] = ()
    """The value of the target: one number, or the three numbers of a colour. On a palette, one number is the index."""
    threshold: float | None = None
    """Values above it are the target."""
    invert_mask: bool = False
    """The target is what the other rules leave out. Absent pixels (nodata, not finite) stay no target."""

    def __post_init__(self) -> None:
        """Check the values."""
        if self.bands and (len(self.bands) not in (1, 3) or min(self.bands) < 1):
            raise InputError("--bands takes the numbers of three bands (red, green, blue) or of one. The first is 1.")
        if len(self.mask_value) not in (0, 1, 3):
            raise InputError("--mask-value takes one number, or the three numbers of a colour.")
        if self.mask_value and self.threshold is not None:
            raise InputError("--mask-value and --threshold exclude each other: give one of them.")

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the defaults, as plain JSON values."""
        values = {
            "bands": list(self.bands) or None,
            "mask_value": list(self.mask_value) or None,
            "threshold": self.threshold,
            "invert_mask": self.invert_mask or None,
        }
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "PixelRules":
        """The inverse of ``settings``.

        Raises:
            InputError: if the values are no such settings.
        """
        try:
            return cls(
                tuple(int(band) for band in settings.get("bands", ())),
                tuple(float(value) for value in settings.get("mask_value", ())),
                None if settings.get("threshold") is None else float(settings["threshold"]),
                bool(settings.get("invert_mask", False)),
            )
        except (TypeError, ValueError) as error:
            raise InputError(f"The rules for pixels {settings} cannot be read: run `t2s ingest` again.") from error


AS_FILES_SAY = PixelRules()
"""The rules without any setting."""
