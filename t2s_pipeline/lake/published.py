"""The numbers that the paper publishes, for comparison with every measured one.

``published.csv`` holds Tables 1–6 of the Think2Seg-RS paper as data: percent, or counts for rejection, copied digit by
digit. ``edition`` says where a number is printed. The journal's edition prints another result of one row on the test
split (73.36 gIoU and 75.60 cIoU); both editions of it have a row here. What the journal prints in the other rows is not
known here, so these rows are the preprint's. ``note`` says where the paper took a number from. ``measured_as`` is the
system name of our run of the same row. We measured none of these numbers.

The numbers belong to the package. SQL reads them from here, so they are there before the first step has run. The step
``publish`` also writes them into the lake, for programs that read its Parquet files.
"""

from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from t2s_pipeline.lake.schema import PUBLISHED_METRICS

PUBLISHED_CSV = Path(__file__).with_name("published.csv")


def published_metrics() -> pa.Table:
    """The rows of ``published_metrics``, in the order of the paper; a value that the paper leaves out is null."""
    convert = csv.ConvertOptions(
        column_types=PUBLISHED_METRICS.schema,
        include_columns=PUBLISHED_METRICS.schema.names,
        strings_can_be_null=True,
    )
    return csv.read_csv(PUBLISHED_CSV, convert_options=convert).cast(PUBLISHED_METRICS.schema)
