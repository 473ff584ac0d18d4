"""The bytes of an image against the hash that stands in the same row."""

import hashlib
import zlib

import pyarrow as pa

_PNG = b"\x89PNG\r\n\x1a\n"


def damaged_image(rows: pa.Table | pa.RecordBatch) -> str | None:
    """The first image whose bytes are not those that were stored; None if there is none.

    The hash is that of the original file. Where a PNG was made from that file and stored in its place, the checksums
    inside the PNG decide.

    Args:
        rows: rows of the table ``images`` with the columns ``image_id``, ``sha256`` and ``bytes``.
    """
    for number in range(rows.num_rows):
        data = memoryview(rows["bytes"][number].as_buffer() or b"").cast("B")
        expected = rows["sha256"][number].as_py()
        if expected and hashlib.sha256(data).hexdigest() != expected and not _is_intact_png(data):
            return str(rows["image_id"][number].as_py())
    return None


def _is_intact_png(data: memoryview) -> bool:
    """Whether the bytes are a PNG file, each chunk of which fits its checksum, up to the last one."""
    if data[: len(_PNG)] != _PNG:
        return False
    start, kind = len(_PNG), b""
    while start + 12 <= len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        body = data[start + 4 : start + 8 + length]
        checksum = data[start + 8 + length : start + 12 + length]
        if len(checksum) < 4 or zlib.crc32(body) != int.from_bytes(checksum, "big"):
            return False
        start, kind = start + 12 + length, bytes(body[:4])
    return kind == b"IEND" and start == len(data)
