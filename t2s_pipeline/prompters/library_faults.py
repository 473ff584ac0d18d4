"""What transformers and peft raise for a bad file of a checkpoint, as one sentence that names the folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from t2s_pipeline.core.errors import InputError, T2SError

LONGEST = 300
"""Characters of a library's own message that are shown."""


@contextmanager
def faults_named(folder: Path, part: str, advice: str) -> Iterator[None]:
    """Turn any fault of a library that reads files of a folder into an ``InputError``.

    The libraries do not check what they read, so the content of a file decides which exception comes. A lack of memory
    stays what it is.

    Args:
        folder: the folder that is read.
        part: what is read, for the message, such as ``the processor``.
        advice: what to do.

    Raises:
        InputError: if the library raises.
    """
    try:
        yield
    except (T2SError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as fault:
        reason = " ".join(str(fault).split())[:LONGEST]
        raise InputError(f"{folder}: {part} cannot be loaded ({type(fault).__name__}: {reason}). {advice}") from fault
