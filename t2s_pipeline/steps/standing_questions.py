"""Standing questions: ``T2S_HOME/questions.csv``, which people edit, and its table in the lake.

The header is ``question,system,schedule``; the last two columns may be missing, and their cells may be empty. A row
that cannot be used is set aside with its reason, and the others are asked.
"""

import csv
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pyarrow as pa

from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.outside_files import OutsideFileError, is_there, outside_text
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets.csv_records import csv_table
from t2s_pipeline.datasets.dataset import dataset_name
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.methods.system import System
from t2s_pipeline.steps.question_times import QuestionTimes
from t2s_pipeline.steps.step import Context, LakePartition, Step
from t2s_pipeline.systems.resolve import TEXTS_ONLY, resolve

SHOWN = 200
"""Characters of a question that is set aside, in the table."""

COLUMNS = ("question", "system", "schedule")


@dataclass(frozen=True)
class StandingQuestion:
    """A row of ``questions.csv``.

    Attributes:
        row: the line of the file; the header is 1.
        question: what is asked.
        system: who answers; empty for the best system.
        schedule: when, as it is written.
        reason: why the row cannot be used, a short constant; empty if it can.
        detail: the reason as a sentence.
    """

    row: int
    question: str = ""
    system: str = ""
    schedule: str = ""
    reason: str = ""
    detail: str = ""

    @property
    def question_id(self) -> str:
        """The first words of the question and a hash of it: different for every question, and good for a folder."""
        mark = hashlib.sha256(self.question.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        words = dataset_name(self.question[:SHOWN])[:40].strip("-")
        return f"{words}-{mark}" if words else mark

    @property
    def key(self) -> str:
        """Who is asked what, in one text."""
        return f"{self.question_id} {self.system}".strip()


def standing_questions(settings: Settings) -> list[StandingQuestion]:
    """Every row of ``questions.csv``, in order; empty if there is no such file.

    A row that cannot be used has a reason. So has the whole file, as row 0, if it cannot be read.
    """
    path = settings.standing_questions
    if not is_there(path):
        return []
    try:
        text = outside_text(path)
    except OutsideFileError as fault:
        return [StandingQuestion(0, reason="unreadable_file", detail=str(fault))]
    try:
        table = csv_table(text, COLUMNS[:1])
    except csv.Error as error:
        return [
            StandingQuestion(0, reason="unreadable_file", detail=f"{path} has no header that can be read: {error}.")
        ]
    if COLUMNS[0] not in table.header or not set(table.header) <= set(COLUMNS):
        header = ",".join(COLUMNS)
        detail = f"{path} has another header than {header}: write these names into the first line."
        return [StandingQuestion(0, reason="unreadable_file", detail=detail)]
    rows: list[StandingQuestion] = []
    for line, cells in table.records():
        if isinstance(cells, list):
            named = {name: cell.strip() for name, cell in zip(table.header, cells, strict=True)}
            rows.append(_checked(settings, StandingQuestion(line, **named), rows))
        else:
            detail = f"Row {line} of {path} cannot be read: {cells.detail}."
            rows.append(StandingQuestion(line, reason="invalid_row", detail=detail))
    return rows


def usable_questions(settings: Settings) -> list[StandingQuestion]:
    """The rows of ``questions.csv`` that can be asked."""
    return [question for question in standing_questions(settings) if not question.reason]


def system_of(settings: Settings, question: StandingQuestion) -> System:
    """The system that answers a question.

    Raises:
        T2SError: if there is none, or it cannot answer anything new.
    """
    if not question.system:
        # Imported here, because it takes long and Dagster must load the project quickly.
        from t2s_pipeline.steps.best_system import best_system

        return best_system(settings).system
    system = resolve(question.system, settings)
    if system.prompter == TEXTS_ONLY:
        raise T2SError(f"The answers of {system.name} were taken in as texts: it cannot answer anything new.")
    return system


def _checked(settings: Settings, row: StandingQuestion, before: Sequence[StandingQuestion]) -> StandingQuestion:
    """The row, with the reason why it cannot be used."""
    # Imported here, because it takes long and Dagster must load the project quickly.
    from t2s_pipeline.steps.scene_answers import require_question

    place = f"Row {row.row} of {settings.standing_questions}"

    def refused(reason: str, detail: str) -> StandingQuestion:
        return replace(row, reason=reason, detail=f"{place}: {detail}", question=row.question[:SHOWN])

    try:
        row = replace(row, question=require_question(row.question))
    except T2SError as fault:
        return refused("invalid_question", str(fault))
    try:
        QuestionTimes.read(row.schedule)
    except T2SError as fault:
        return refused("invalid_schedule", str(fault))
    try:
        if row.system:
            system_of(settings, row)
    except T2SError as fault:
        return refused("unknown_system", str(fault))
    first = next((other.row for other in before if not other.reason and other.key == row.key), None)
    if first is not None:
        return refused("twice", f"it asks the same system the same as row {first}.")
    return row


@dataclass(frozen=True)
class ReadQuestions(Step):
    """Copy ``questions.csv`` into the lake, with the reason of every row that cannot be used."""

    name: ClassVar[str] = "questions"
    code: ClassVar[str] = "steps.question_times"

    def writes(self) -> Sequence[LakePartition]:
        """The table of standing questions."""
        return [LakePartition(schema.STANDING_QUESTIONS, {})]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The rows: whether a system exists can change while the file does not."""
        return {"rows": list(_rows(context.settings))}

    def work(self, context: Context, fingerprint: str) -> None:
        """Write the rows."""
        table = schema.STANDING_QUESTIONS
        rows = pa.Table.from_pylist(list(_rows(context.settings)), schema=table.schema)
        write_partition(context.settings.lake, table, {}, rows, fingerprint)


def _rows(settings: Settings) -> Iterator[dict[str, object]]:
    for question in standing_questions(settings):
        fault = {"reason": question.reason or None, "detail": question.detail or None}
        yield {**vars(question), "question_id": question.question_id, **fault}
