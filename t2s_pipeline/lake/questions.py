"""The files of ``sql/``: each is one SELECT that becomes a view, and says at its top which question it answers.

-- Who is best?
--   place: rank by gIoU
SELECT …
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.schema import TABLES

_MEANING = re.compile(r"--   (\w+): (.+)")


@dataclass(frozen=True)
class Question:
    """A file of ``sql/``: one SELECT, the view's name its file's, its leading comment what it answers."""

    name: str
    path: Path
    comment: str
    sql: str
    meanings: dict[str, str] = field(default_factory=dict)
    """What a column means, where its name does not say it already in one of the tables."""


def questions(settings: Settings) -> list[Question]:
    """Every file of ``sql/``, by name."""
    found = []
    for path in sorted(settings.sql_dir.glob("*.sql")):
        text = path.read_text("utf-8")
        comment, meanings = _leading_comment(text)
        found.append(Question(path.stem, path, comment, text, meanings))
    return found


PARTITION_MEANINGS = {
    "run": "the training run",
    "segmenter": "who drew",
    "method": "whose labels",
    "system": "the system that answered: a base prompter, a run, or a checkpoint of a run",
    "dataset": "the benchmark",
    "split": "train, val or test",
    "protocol": "strict or reference (docs/protocols.md)",
}
"""What the partition columns mean, which are kept in folder names."""


def meaning(question: Question, column: str) -> str:
    """What a column of the view means.

    The file of the view says it, or the list of partition columns, or else the first table with such a column.
    """
    if column in question.meanings:
        return question.meanings[column]
    if column in PARTITION_MEANINGS:
        return PARTITION_MEANINGS[column]
    for table in TABLES.values():
        for known in table.columns:
            if known.name == column:
                return known.meaning
    return ""


def _leading_comment(sql: str) -> tuple[str, dict[str, str]]:
    """The ``--`` lines at the top, joined; and, of those among them that are like ``--   column: meaning``, these."""
    lines: list[str] = []
    meanings: dict[str, str] = {}
    for line in sql.lstrip().splitlines():
        if not line.startswith("--"):
            break
        if found := _MEANING.fullmatch(line.rstrip()):
            meanings[found[1]] = found[2]
        else:
            lines.append(line.lstrip("- ").rstrip())
    return " ".join(line for line in lines if line), meanings
