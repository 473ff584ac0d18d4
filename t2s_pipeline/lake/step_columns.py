"""The columns of the record of what steps took, for ``schema.py``."""

from typing import Any

import pyarrow as pa

STEP_COLUMNS: dict[str, Any] = {
    "session": (pa.string(), "the process that ran the step: when it started (UTC), and its number"),
    "subject": (pa.string(), "what the step was applied to, such as the system, the dataset and the split"),
    "started_at": (pa.timestamp("us", tz="UTC"), "time at which the step began"),
    "seconds": (pa.float64(), "duration; steps that ran at the same time each have their whole duration"),
    "process_mb": (pa.float64(), "most resident memory of the process that ran the step, megabytes (10⁶ bytes)"),
    "children_mb": (
        pa.float64(),
        "most resident memory of its child processes together, such as the worker, megabytes",
    ),
    "rows_written": (pa.int64(), "rows of the partitions that the step made"),
}
