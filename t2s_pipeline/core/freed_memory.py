"""Memory that a process has freed and keeps for its next arrays, instead of giving it back to the system at once."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Of mallopt(3)."""

KEPT_BYTES = 64 * 1024 * 1024
"""The most bytes at the end of the heap that are kept."""
LARGE_BYTES = 16 * 1024 * 1024
"""From so many bytes on, a block goes back to the system as soon as it is freed."""


def keep_freed_memory(most: int = KEPT_BYTES, with_large_blocks: bool = False) -> None:
    """Let the C library keep freed memory. Only glibc is told so; other libraries stay as they are.

    By default, glibc gives pages back for each array of some hundred kilobytes that is freed. The system then clears
    pages for the next one, which takes longer than the work on a picture of that size.

    Args:
        most: bytes at the end of the heap that are kept.
        with_large_blocks: also keep blocks of ``LARGE_BYTES`` and more.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    mallopt(_TRIM_THRESHOLD, most)
    if with_large_blocks:
        mallopt(_MMAP_MAX, 0)
    else:
        mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
