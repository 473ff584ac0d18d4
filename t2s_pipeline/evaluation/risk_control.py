"""From which agreement on an answer counts: a threshold that keeps a wanted risk on new questions.

An answer below the threshold is *abstained*: the system says that it is not sure. The loss of a question is 1 − IoU of
its answer, and 0 if the answer is abstained. A higher threshold never raises a loss, so conformal risk control applies:
the lowest threshold λ with

    (n · R(λ) + 1) / (n + 1) ≤ α

where R is the mean loss over n questions of a calibration split. For further questions of the same kind the expected
loss is then at most α, whatever the system and the data are like.

Source: Angelopoulos, Bates, Fisch, Lei, Schuster, "Conformal Risk Control", ICLR 2024, equation 4 and theorem 1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from t2s_pipeline.core.errors import InputError

Floats = npt.NDArray[np.float64]

NOTHING = 2.0
"""A threshold that no agreement reaches: every answer is abstained."""


@dataclass(frozen=True)
class RiskThreshold:
    """A threshold and what it does on the split that it was chosen on.

    Attributes:
        threshold: answers with a lower agreement are abstained.
        answered: how many are not.
        risk: the mean loss over all questions.
    """

    threshold: float
    answered: int
    risk: float


def threshold_for(agreement: Floats, iou: Floats, target_risk: float) -> RiskThreshold:
    """The lowest threshold that conformal risk control allows.

    Args:
        agreement: of each answer, from 0 to 1.
        iou: of each answer.
        target_risk: α, the highest expected loss, between 0 and 1.

    Raises:
        InputError: if there are too few answers, or the risk is not between 0 and 1.
    """
    if not agreement.size:
        raise InputError("There are no answers to choose a threshold from.")
    if not 0 < target_risk < 1:
        raise InputError(f"The wanted risk must lie between 0 and 1, not {target_risk:g}.")
    n = agreement.size
    for threshold in (*np.unique(agreement).tolist(), NOTHING):
        answered = agreement >= threshold
        risk = float(np.where(answered, 1 - iou, 0.0).mean())
        if n * risk + 1 <= target_risk * (n + 1) + 1e-9:
            return RiskThreshold(threshold, int(answered.sum()), risk)
    raise InputError(
        f"{n} answers are too few for a risk of {target_risk:g}: even a system that never answers needs at least "
        f"{int(np.ceil(1 / target_risk - 1e-9)) - 1}."
    )


def joined(agreement: pa.Table, scores: pa.Table) -> tuple[Floats, Floats]:
    """Agreement and IoU of each question that both tables have, in the order of the questions.

    Args:
        agreement: rows of ``AGREEMENT``.
        scores: rows of ``SAMPLE_SCORES``, strict protocol.
    """
    both = agreement.join(scores, ["sample_id", "question_index"], join_type="inner").sort_by(
        [("sample_id", "ascending"), ("question_index", "ascending")]
    )
    return np.asarray(both["agreement"].to_numpy(), float), np.asarray(both["iou"].to_numpy(), float)
