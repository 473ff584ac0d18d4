"""What the worker's environment has for training: its packages, and the models that it can load from this machine.

The orchestrator runs this module once with the worker's interpreter (``training/machine.py``). It gets one JSON object
on standard input and prints one on standard output. It imports no torch, so that the answer takes about a second.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.hub_cache import NotInCacheError, cached_file
from t2s_pipeline.core.hub_layout import cache_folder
from t2s_pipeline.core.outside_files import home_expanded
from t2s_pipeline.prompters.weights import folder_of
from t2s_pipeline.segmenters.registry import PublishedFile, find_segmenter

Problem = dict[str, str]
"""``sentence``: why a model cannot be loaded; ``command``: what fetches it, empty if no command does."""


def readiness(asked: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """The answer to what the orchestrator asks.

    Args:
        asked: names of ``packages``, ``prompters`` and ``segmenters``.

    Returns:
        ``packages``: those that are missing. ``prompters`` and ``segmenters``: the problem of each that cannot be
        loaded, by name. ``hub_cache``: the folder of the local Hub cache.
    """
    return {
        "packages": [name for name in asked["packages"] if find_spec(name) is None],
        "prompters": _problems(asked["prompters"], folder_of),
        "segmenters": _problems(asked["segmenters"], _segmenter_file),
        "hub_cache": str(cache_folder()),
    }


def _problems(names: Sequence[str], find: Callable[[str], object]) -> dict[str, Problem]:
    problems: dict[str, Problem] = {}
    for name in names:
        try:
            find(name)
        except NotInCacheError as fault:
            problems[name] = {"sentence": f"The local Hub cache lacks {fault.title}", "command": fault.command}
        except InputError as fault:
            problems[name] = {"sentence": " ".join(str(fault).split()).rstrip("."), "command": ""}
    return problems


def _segmenter_file(name_or_path: str) -> Path:
    """The file of a segmenter's weights.

    Raises:
        InputError: if it is not on this machine.
    """
    segmenter, file = find_segmenter(name_or_path)
    if file is None and isinstance(segmenter.weights, PublishedFile):
        return cached_file(segmenter.weights.hub_id, segmenter.weights.file)
    path = file or segmenter.weights
    if not isinstance(path, Path) or not home_expanded(path).is_file():
        where = "" if path is None else f" at {path}"
        raise InputError(f"There is no checkpoint of the segmenter {segmenter.name}{where}")
    return path


if __name__ == "__main__":
    json.dump(readiness(json.load(sys.stdin)), sys.stdout)
