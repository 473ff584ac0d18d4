"""The columns of the table ``risk_thresholds``."""

from typing import Any

import pyarrow as pa

STR, INT, LONG, REAL = pa.string(), pa.int32(), pa.int64(), pa.float64()

RISK_COLUMNS: dict[str, Any] = {
    "split": (STR, "the split that the threshold was chosen on"),
    "wanted_risk": (REAL, "the wanted risk: mean of (1 - IoU) over all questions, 0 for an abstained one; a fraction"),
    "threshold": (REAL, "answers with a lower agreement are abstained; above 1: all are"),
    "completions": (INT, "K, the number of sampled answers that agreement is measured over"),
    "n": (LONG, "number of answers on that split"),
    "answered": (LONG, "number of them that are not abstained"),
    "risk": (REAL, "the risk on that split, a fraction"),
}
"""Column → type and meaning. The strict protocol's IoU counts."""
