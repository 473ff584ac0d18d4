"""Prompters by name: the embedded miniature, or a folder with a checkpoint."""

from pathlib import Path

from t2s_pipeline.errors import InputError
from t2s_pipeline.miniature.prompter import WEIGHTS
from t2s_pipeline.prompters.qwen2_5_vl import Prompter

MINIATURE = "qwen2.5-vl-mini"


def load_prompter(name_or_path: str, device: str = "cpu") -> Prompter:
    """The prompter of that name, or the one saved in that folder.

    Raises:
        InputError: if there is neither.
    """
    if name_or_path == MINIATURE:
        return Prompter(MINIATURE, WEIGHTS, device)
    folder = Path(name_or_path).expanduser()
    if not folder.is_dir():
        raise InputError(f"No prompter {name_or_path!r}: give {MINIATURE!r} or a folder with a saved Qwen2.5-VL")
    return Prompter(folder.name, folder, device)
