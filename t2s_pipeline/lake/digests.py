"""Digests inside each Parquet file of the lake, which show damage before a row is used.

A file begins with ``PAR1`` and the seal: ``MARK`` and the digest of these two and of the footer. An entry of the footer
holds one digest per column chunk: the bytes of one column in one row group, with the headers of its pages. So every
byte is covered, and whoever reads two columns checks two columns. Other programs read such a file as any Parquet file,
because the footer says at which byte a column chunk begins.

The digests are XXH3, which is as fast as memory. They show damage. They are no protection against somebody who changes
rows and digests.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_64, xxh3_128

MAGIC = b"PAR1"
MARK = b"t2sxxh3\0"
DIGESTS_KEY = b"t2s_digests"
"""The footer's entry: 16 hex digits per column chunk, row group by row group."""

HEAD_BYTES = len(MAGIC) + len(MARK) + xxh3_128().digest_size
"""The length of what lies before the first column chunk."""

_HEX = 2 * xxh3_64().digest_size
_BLOCK = 8 * 1024 * 1024
_UNSET = "~"


@dataclass(frozen=True)
class Chunk:
    """The bytes of one column in one row group.

    Attributes:
        column: the column of the table that it belongs to.
        start: its first byte in the file.
        length: in bytes, with the headers of its pages.
        digest: hex; "" if the file has no digests.
    """

    column: str
    start: int
    length: int
    digest: str


def empty_seal() -> bytes:
    """What is written after the first four bytes of a new file, to be replaced by ``seal``."""
    return MARK + bytes(HEAD_BYTES - len(MAGIC) - len(MARK))


def unset_digests(schema: pa.Schema, groups: int) -> dict[bytes, str]:
    """The footer's entry for a new file with this many row groups, to be replaced by ``seal``."""
    return {DIGESTS_KEY: _UNSET * (_HEX * groups * sum(_leaves(column.type) for column in schema))}


def _leaves(kind: pa.DataType) -> int:
    """The columns of a Parquet file that a column of this type becomes."""
    return sum(_leaves(kind.field(i).type) for i in range(kind.num_fields)) if kind.num_fields else 1


def seal(path: Path) -> None:
    """Write the digests into a new file, which has an empty seal and unset digests."""
    metadata = pq.read_metadata(path)
    size = path.stat().st_size
    with path.open("r+b") as file:

        def read_at(count: int, start: int) -> bytes:
            return os.pread(file.fileno(), count, start)

        footer = footer_bytes(read_at, size)
        groups = (chunks(metadata, group) for group in range(metadata.num_row_groups))
        digests = "".join(chunk_digest(read_at, chunk) for group in groups for chunk in group).encode()
        if digests:
            place = footer.index(_UNSET.encode() * len(digests), footer.rindex(DIGESTS_KEY))
            footer = footer[:place] + digests + footer[place + len(digests) :]
            file.seek(size - len(footer))
            file.write(footer)
        file.seek(len(MAGIC))
        file.write(MARK + seal_digest(footer))


def seal_digest(footer: bytes) -> bytes:
    """The digest of the first bytes of a sealed file and of its footer."""
    return xxh3_128(MAGIC + MARK + footer).digest()


def footer_bytes(read_at: Callable[[int, int], bytes], size: int) -> bytes:
    """The footer of a Parquet file of ``size`` bytes, with its length and the last ``PAR1``.

    Args:
        read_at: reads a number of bytes from a position.
        size: the length of the file.

    Returns:
        All bytes after the head, if the length of the footer is damaged; nothing if the file is too short.
    """
    if size < HEAD_BYTES + 8:
        return b""
    length = int.from_bytes(read_at(4, size - 8), "little") + 8
    length = min(length, size - HEAD_BYTES)
    return read_at(length, size - length)


def chunks(metadata: pq.FileMetaData, group: int) -> list[Chunk]:
    """The column chunks of a row group, in the order of the file.

    Raises:
        ValueError: if the entry with the digests does not fit the file.
    """
    text = (metadata.metadata or {}).get(DIGESTS_KEY, b"").decode("ascii")
    if text and len(text) != _HEX * metadata.num_row_groups * metadata.num_columns:
        raise ValueError("its digests are not complete")
    first = group * metadata.num_columns
    row_group = metadata.row_group(group)
    parts = []
    for number in range(metadata.num_columns):
        column = row_group.column(number)
        start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
        digest = text[_HEX * (first + number) : _HEX * (first + number + 1)]
        parts.append(Chunk(column.path_in_schema.partition(".")[0], start, column.total_compressed_size, digest))
    return parts


def chunk_digest(read_at: Callable[[int, int], bytes], chunk: Chunk) -> str:
    """The digest of the chunk as it is in the file, hex."""
    digest = xxh3_64()
    end = chunk.start + chunk.length
    for start in range(chunk.start, end, _BLOCK):
        digest.update(read_at(min(_BLOCK, end - start), start))
    return digest.hexdigest()
