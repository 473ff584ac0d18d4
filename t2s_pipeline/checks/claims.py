"""What a check is: a claim about a partition, and the result of testing it.

The claims themselves are in ``table_checks`` and ``dataset_checks``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.lake.summaries import Number


@dataclass(frozen=True)
class CheckResult:
    """The result of a check on a partition."""

    passed: bool
    sentence: str
    """The result in words."""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    """The result in numbers, and lists of names where something is wrong."""


@dataclass(frozen=True)
class Check:
    """A claim about some columns of a partition. If a blocking check fails, no downstream step runs."""

    name: str
    table: str
    claim: str
    columns: tuple[str, ...]
    judge: Callable[[pa.Table], CheckResult]
    blocking: bool = True

    def on(self, lake: LakePlace, partition: Partition) -> CheckResult:
        """Test one partition.

        Raises:
            NotMaterializedError: if it does not exist.
        """
        return self.judge(read_partition(lake, TABLES[self.table], partition, self.columns))


@dataclass(frozen=True)
class LakeCheck:
    """A claim that needs more than the columns of the partition: another table, another split, a published number."""

    name: str
    table: str
    claim: str
    judge: Callable[[LakePlace, Partition], CheckResult]
    blocking: bool = True

    def on(self, lake: LakePlace, partition: Partition) -> CheckResult:
        """Test one partition.

        Raises:
            NotMaterializedError: if the partition does not exist, or another one that the check needs.
        """
        return self.judge(lake, partition)
