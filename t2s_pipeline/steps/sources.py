"""What the steps are made from: their code and models' weights as fingerprints."""

import ast
import hashlib
from functools import cache
from pathlib import Path

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.fingerprints import code_fingerprint, fingerprint
from t2s_pipeline.core.settings import EMBEDDED_WEIGHTS, Settings
from t2s_pipeline.lake.table import Table
from t2s_pipeline.prompters.weights import weights_sha256

_EMBEDDED = {"qwen2.5-vl-mini": "prompter", "sam2-mini": "segmenter"}

_CODE = {
    "scenes": "datasets.synthetic.layout",
    "reading": "datasets.ingest",
    "labelling": "pseudo_labels.table",
    "judging": "evaluation.label_quality",
    "training": "training.run",
    "generating": "evaluation.generate",
    "segmenting": "evaluation.segment",
    "sampling": "evaluation.agreement",
    "scoring": "evaluation.score",
    "summarizing": "evaluation.metrics",
    "publishing": "evaluation.published",
}
"""The module that does a step's work; what it imports of ours counts as well."""

_NO_PART = {
    f"t2s_pipeline.{module}"
    for module in (
        "core.atomic_files",
        "core.errors",
        "core.fingerprints",
        "core.progress",
        "core.settings",
        "lake.row_groups",
        "lake.schema",
        "lake.store",
        "lake.together",
        "methods.experiments",
        "methods.recipe",
        "methods.system",
        "training.health",
        "training.keeping",
        "training.log",
        "training.samples",
        "training.trackers",
        "worker.launcher",
    )
}
"""Code that no result depends on: how work is launched, told and stored. Experiments and recipes count by their
settings, tables by their columns. Whatever is not named here counts, so that a new module is never forgotten."""


def code(step: str, *tables: Table) -> str:
    """The fingerprint of a step's code, found by following its imports, and of the columns that it writes."""
    modules = _closure(f"t2s_pipeline.{_CODE[step]}")
    return fingerprint(code=code_fingerprint(*modules), columns=[str(table.schema) for table in tables])


@cache
def _closure(root: str) -> frozenset[str]:
    """The modules of this package that ``root`` imports, itself included; read from the source, not imported."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        module = waiting.pop()
        if module in found or module in _NO_PART:
            continue
        found.add(module)
        for node in ast.walk(ast.parse(_source(module).read_text("utf-8"))):
            if isinstance(node, ast.Import):
                waiting += [name.name for name in node.names if _source(name.name)]
            elif isinstance(node, ast.ImportFrom) and node.module and _source(node.module):
                inner = (f"{node.module}.{name.name}" for name in node.names)
                waiting += [node.module, *(module for module in inner if _source(module))]
    # A package's own file only: naming the package would take in everything below it.
    return frozenset(module for module in found if _source(module).name != "__init__.py")


def _source(module: str) -> Path | None:
    """The file of a module of this package, without importing it."""
    if module.partition(".")[0] != "t2s_pipeline":
        return None
    place = Path(__file__).parents[1].joinpath(*module.split(".")[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def weights_mark(name: str) -> str:
    """The fingerprint of a model's weights: an embedded model, a folder, or a name with ``@`` and a file.

    Another name stands for itself: what it names is fixed by whoever published it.
    """
    if name in _EMBEDDED:
        return fingerprint(weights=weights_sha256(EMBEDDED_WEIGHTS / _EMBEDDED[name]))
    path = Path(name.partition("@")[2] or name)
    if path.is_dir():
        return fingerprint(weights=weights_sha256(path))
    if path.is_file():
        with path.open("rb") as file:
            return fingerprint(weights=hashlib.file_digest(file, "sha256").hexdigest(), name=name.partition("@")[0])
    return fingerprint(name=name)


def scenes_mark(settings: Settings) -> str | None:
    """What the embedded scenes on disk were drawn from; None if they are not there whole."""
    path = _scenes_mark_file(settings)
    if not path.is_file() or not (settings.scenes / "complete.json").is_file():
        return None
    return path.read_text()


def mark_scenes(settings: Settings, mark: str) -> None:
    with atomic_file(_scenes_mark_file(settings)) as temporary:
        temporary.write_text(mark)


def _scenes_mark_file(settings: Settings) -> Path:
    return settings.scenes.with_name(f"{settings.scenes.name}.made-from")
