"""The Arrow type of a mask column. It is a module of its own because importing numpy takes long, and SQL needs none."""

import pyarrow as pa

RLE_TYPE = pa.struct([("height", pa.int32()), ("width", pa.int32()), ("counts", pa.string())])
"""The Arrow type of a mask column: COCO's compressed run lengths, column by column. The first run is background."""
