"""A process that shares work with others like it, one for each processor."""

from functools import cache

import cv2

from t2s_pipeline.core.freed_memory import keep_freed_memory


@cache
def use_one_core() -> None:
    """Compute with one thread in this process, and keep freed memory for the next picture."""
    cv2.setNumThreads(1)
    keep_freed_memory()
