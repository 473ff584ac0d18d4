"""What other projects' predictions are read into: a mask of a sample, or an entry that is not used, with its reason."""

from dataclasses import dataclass

from t2s_pipeline.vision.masks import Rle

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class ForeignMask:
    """A predicted mask at the size that it has in the file. A ``mask`` of None says that there is no target.

    ``note`` says how the mask was read, where that is not the plain way. Equal notes are counted for a message.
    """

    source: str
    sample_id: str
    question_index: int | None
    mask: Rle | None
    note: str | None = None


@dataclass(frozen=True)
class PredictionReject:
    """An entry that is not used, or a sample without an entry: a row of ``prediction_rejects``.

    ``reason`` is a short constant, ``detail`` a sentence.
    """

    source: str
    reason: str
    detail: str
    sample_id: str | None = None


@dataclass(frozen=True)
class MaskOptions:
    """How masks are read where the files alone do not decide it.

    Attributes:
        objects: several masks of one sample are objects of one answer, and are united.
        min_score: entries with a lower score are not used. None: 0.5, where a file holds several scored entries for
            one sample; otherwise scores do not count.
        threshold: values above it are target. None: by the rule of ``external/soft_values.py``.
    """

    objects: bool = False
    min_score: float | None = None
    threshold: float | None = None
