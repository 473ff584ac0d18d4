"""What a check is: a claim about a partition, and how it was found to be.

The claims themselves are in ``checks`` and ``dataset_checks``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.store import Partition, read_partition
from t2s_pipeline.lake.summaries import Number


@dataclass(frozen=True)
class Finding:
    """The outcome of a check; ``numbers`` say how far it is off."""

    passed: bool
    sentence: str
    numbers: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A claim about some columns of a table's partition. A blocking one stops what is downstream."""

    name: str
    table: str
    claim: str
    columns: tuple[str, ...]
    judge: Callable[[pa.Table], Finding]
    blocking: bool = True

    def on(self, lake: Path, partition: Partition) -> Finding:
        """Judge one partition.

        Raises:
            NotMaterializedError: if it does not exist.
        """
        return self.judge(read_partition(lake, TABLES[self.table], partition, self.columns))


@dataclass(frozen=True)
class LakeCheck:
    """A claim that needs more than the partition's own columns: another table, another split, a published number."""

    name: str
    table: str
    claim: str
    judge: Callable[[Path, Partition], Finding]
    blocking: bool = True

    def on(self, lake: Path, partition: Partition) -> Finding:
        """Judge one partition. Raises as ``Check.on``."""
        return self.judge(lake, partition)
