"""Fingerprints of what a step is made from beside the tables: its code and the models' weights."""

import ast
from functools import cache
from pathlib import Path

from t2s_pipeline.core import fingerprints
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.syntax_trees import syntax_tree
from t2s_pipeline.core.weight_files import sha256_of
from t2s_pipeline.prompters.weights import folder_if_here, weights_sha256
from t2s_pipeline.segmenters.registry import PublishedFile, find_segmenter, stated_precision

_NOT_COUNTED = {
    f"t2s_pipeline.{module}"
    for module in (
        "core.atomic_files",
        "core.children",
        "core.errors",
        "core.fingerprints",
        "core.freed_memory",
        "core.hub_layout",
        "core.model_slot",
        "core.lake_place",
        "core.launch",
        "core.locks",
        "core.models",
        "core.progress",
        "core.quick_imports",
        "core.registry",
        "core.revision",
        "core.settings",
        "core.syntax_trees",
        "core.weight_files",
        "datasets.benchmark",
        "datasets.registry",
        "evaluation.second_look",  # counts for systems that look twice (steps.answers.Complete)
        "lake.checked_file",
        "lake.digests",
        "lake.folders",
        "lake.image_bytes",
        "lake.local_pieces",
        "lake.local_storage",
        "lake.manifests",
        "lake.object_client",
        "lake.object_copies",
        "lake.object_pieces",
        "lake.object_storage",
        "lake.object_sweep",
        "lake.partial_copy",
        "lake.places",
        "lake.publishing",
        "lake.risk_columns",
        "lake.row_groups",
        "lake.sample_columns",
        "lake.scene_columns",
        "lake.schema",
        "lake.staging",
        "lake.storage",
        "lake.store",
        "lake.table_writer",
        "lake.together",
        "lake.training_columns",
        "lake.versions",
        "methods.experiments",
        "methods.recipe",
        "methods.registry",
        "methods.system",
        "training.checkpoints",
        "training.continuation",
        "training.health",
        "training.keeping",
        "training.log",
        "training.model_names",
        "training.run_folder",
        "training.samples",
        "training.trackers",
    )
}
"""Modules that no result depends on: how work is launched, reported and stored. Experiments and recipes count by
their settings, tables by their columns, and a benchmark by its reader and its rule. A module that is not named here
counts, so that a new module is never forgotten."""


@cache
def code_fingerprint(module: str) -> str:
    """The fingerprint of a step's code: a module below ``t2s_pipeline`` and every module of ours that it imports.

    Comments, docstrings and formatting do not count (``core.fingerprints.code_fingerprint``).
    """
    return fingerprints.code_fingerprint(*counted_modules(f"t2s_pipeline.{module}"))


@cache
def reader_fingerprint(module: str) -> str:
    """The fingerprint of a dataset reader's code: its module and every module of ours that it imports.

    A module outside of this package counts alone.
    """
    return fingerprints.code_fingerprint(*(counted_modules(module) if _source(module) else {module}))


@cache
def counted_modules(root: str) -> frozenset[str]:
    """The modules of this package that ``root`` imports, ``root`` included; read from the source, not imported."""
    modules: set[str] = set()
    waiting = [root]
    while waiting:
        module = waiting.pop()
        if module in modules or (module in _NOT_COUNTED and module != root):
            continue
        modules.add(module)
        path = _source(module)
        if path is None:
            raise ModuleNotFoundError(f"no module with source is called {module!r}", name=module)
        for node in ast.walk(syntax_tree(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                waiting += [name.name for name in node.names if _source(name.name)]
            elif isinstance(node, ast.ImportFrom) and node.module and _source(node.module):
                inner = (f"{node.module}.{name.name}" for name in node.names)
                waiting += [node.module, *(name for name in inner if _source(name))]
    # The file of a package (__init__.py) holds a docstring only.
    return frozenset(module for module in modules if not _is_package(module))


def _source(module: str) -> Path | None:
    """The file of a module of this package, without importing it."""
    if module.partition(".")[0] != "t2s_pipeline":
        return None
    stem = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    return next((path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()), None)


def _is_package(module: str) -> bool:
    path = _source(module)
    return path is not None and path.name == "__init__.py"


def precision_input() -> dict[str, str]:
    """The precision of a segmenter's products as an input of a step; nothing if T2S_SEGMENTER_PRECISION is not set.

    Raises:
        InputError: if it is set to an unknown precision.
    """
    precision = stated_precision()
    return {"precision": precision} if precision else {}


def weights_fingerprint(name: str) -> str:
    """The fingerprint of a model's weights: of their content, wherever they are.

    Args:
        name: whatever names a prompter or a segmenter. A published model that is not on this machine is known by its
            name: whoever published it has fixed what the name means.
    """
    sha256 = known_sha256(name)
    return fingerprint(weights=sha256) if sha256 else fingerprint(name=name)


def known_sha256(name: str) -> str:
    """SHA-256 over the weights of a prompter or a segmenter; empty if they are not on this machine and not known."""
    folder = folder_if_here(name)
    if folder is not None:
        return weights_sha256(folder)
    try:
        segmenter, file = find_segmenter(name)
    except InputError:
        return ""
    if file is None and isinstance(segmenter.weights, PublishedFile):
        return segmenter.weights.sha256
    path = file or segmenter.weights
    return sha256_of([path]) if isinstance(path, Path) and path.is_file() else ""
