"""The files of ``sql/``. Each is one SELECT that becomes a view, and its first comment says which question it answers.

-- Who is best?
--   place: rank by gIoU
SELECT …
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.schema import TABLES

_MEANING = re.compile(r"--   (\w+): (.+)")
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """A file of ``sql/`` with one SELECT. The view has the name of the file; its first comment is the question."""

    name: str
    path: Path
    comment: str
    sql: str
    meanings: Mapping[str, str] = field(default_factory=dict)
    """Column → meaning, from the first comment: of those columns that no table has with the same meaning."""
    inherited: Mapping[str, str] = field(default_factory=dict)
    """The same from the views that the SELECT reads."""


def questions(settings: Settings) -> list[Question]:
    """Every file of ``sql/``, by name.

    Raises:
        InputError: naming a file that is not UTF-8 text.
    """
    views: dict[str, Question] = {}
    for path in sorted(settings.sql_dir.glob("*.sql")):
        try:
            text = path.read_text("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text (byte {error.start + 1}): save it as UTF-8.") from error
        comment, meanings = _first_comment(text)
        views[path.stem] = Question(path.stem, path, comment, text, meanings)
    return [replace(view, inherited=_meanings(view, views, frozenset())) for view in views.values()]


PARTITION_MEANINGS = {
    "run": "the training run",
    "segmenter": "the segmenter that made the masks",
    "method": "the method that made the labels",
    "system": "the system that answered: a base prompter, a run, or a checkpoint of a run",
    "dataset": "the benchmark",
    "split": "train, val or test",
    "scene": "the scene, by the name of its file",
    "question_id": "the first words of a standing question and a hash of it",
    "step_name": "the step of the pipeline, such as complete or segment",
    "protocol": "strict or reference (docs/protocols.md)",
}
"""What the partition columns mean, which are kept in folder names."""


def meaning(question: Question, column: str) -> str:
    """What a column of the view means.

    That is what the file says, or a view that it reads. Otherwise it is the meaning of the partition column of that
    name, or of the column in the first table that has one.
    """
    tables = (table.meanings for table in TABLES.values())
    for meanings in (question.meanings, question.inherited, PARTITION_MEANINGS, *tables):
        if column in meanings:
            return meanings[column]
    return ""


def _meanings(view: Question, views: Mapping[str, Question], seen: frozenset[str]) -> dict[str, str]:
    """The meanings that the view states, and those of the views that it reads."""
    meanings: dict[str, str] = {}
    seen |= {view.name}  # views that read each other are reported where they are created
    for name in _SOURCE.findall(view.sql):
        if name in views and name not in seen:
            meanings |= _meanings(views[name], views, seen)
    return {**meanings, **view.meanings}


def _first_comment(sql: str) -> tuple[str, dict[str, str]]:
    """The ``--`` lines at the top: the question, joined, and the meanings, which look like ``--   column: meaning``."""
    lines: list[str] = []
    meanings: dict[str, str] = {}
    for line in sql.lstrip().splitlines():
        if not line.startswith("--"):
            break
        if match := _MEANING.fullmatch(line.rstrip()):
            meanings[match[1]] = match[2]
        else:
            lines.append(line.lstrip("- ").rstrip())
    return " ".join(line for line in lines if line), meanings
