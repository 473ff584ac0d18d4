"""The step that chooses from which agreement on a system answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from t2s_pipeline.evaluation.risk_control import joined, threshold_for
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.steps.step import Context, LakePartition, Step

QUESTION = ["sample_id", "question_index"]


@dataclass(frozen=True)
class ControlRisk(Step):
    """A threshold of agreement for a system on a dataset.

    Attributes:
        system_name: the system whose agreement and scores are in the lake.
        dataset: the dataset.
        split: the split that the threshold is chosen on.
        target_risk: the wanted risk, a fraction.
    """

    system_name: str
    dataset: str
    split: str
    target_risk: float

    name: ClassVar[str] = "control_risk"
    code: ClassVar[str] = "evaluation.risk_control"

    def writes(self) -> Sequence[LakePartition]:
        """The threshold."""
        return [LakePartition(schema.RISK_THRESHOLDS, {"system": self.system_name, "dataset": self.dataset})]

    def reads(self) -> Sequence[LakePartition]:
        """The system's agreement and scores."""
        partition = {"system": self.system_name, "dataset": self.dataset, "split": self.split}
        scores = LakePartition(schema.SAMPLE_SCORES, {**partition, "protocol": "strict"})
        return [LakePartition(schema.AGREEMENT, partition), scores]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The wanted risk and the split."""
        return {"wanted_risk": self.target_risk, "split": self.split}

    def work(self, context: Context, fingerprint: str) -> None:
        """Choose the threshold."""
        lake = context.settings.lake
        agreed, scored = self.reads()
        agreement = read_partition(lake, agreed.table, agreed.partition, [*QUESTION, "agreement", "completions"])
        scores = read_partition(lake, scored.table, scored.partition, [*QUESTION, "iou"])
        agreements, ious = joined(agreement, scores)
        chosen = threshold_for(agreements, ious, self.target_risk)
        row = {
            "split": self.split,
            "wanted_risk": self.target_risk,
            "threshold": chosen.threshold,
            "completions": agreement["completions"][0].as_py(),
            "n": agreements.size,
            "answered": chosen.answered,
            "risk": chosen.risk,
        }
        (target,) = self.writes()
        table = pa.Table.from_pylist([row], schema=schema.RISK_THRESHOLDS.schema)
        write_partition(lake, target.table, target.partition, table, fingerprint)
