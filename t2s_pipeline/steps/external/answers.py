"""The authors' result file, ``geo_results.json``: the texts of their model, to be parsed and segmented by our code.

The file holds one entry per sample under ``results``: the path of the image, the prompt with the question in it, and
the output of the model as text. It numbers samples by their place in an unsorted directory listing. So an entry is
matched by the name of its image and, where the image has several questions, by the question that its prompt contains.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.schema import COMPLETIONS
from t2s_pipeline.steps.external.foreign_mask import PredictionReject
from t2s_pipeline.steps.external.predictions import rejects_table

MAX_TEXT = 64 * 1024
"""Characters of an output that are kept. No parser of ours reads a longer text."""


@dataclass(frozen=True)
class _Entry:
    """One result of the file. ``stem`` is the name of the image without its suffix."""

    source: str
    stem: str
    prompt: str
    output: str


@dataclass(frozen=True)
class _Question:
    """One question of a sample. ``text`` is in lower case and without repeated white space."""

    sample_id: str
    index: int
    text: str


@dataclass(frozen=True)
class MatchedAnswers:
    """The texts of a result file, as two tables."""

    completions: pa.Table
    rejects: pa.Table
    """The entries that are not used, and the samples without an entry (missing)."""


def is_answers(content: Any) -> bool:
    """Whether the content of a JSON file is such a result file (and not COCO results)."""
    results = content.get("results") if isinstance(content, dict) else None
    return isinstance(results, list) and any(isinstance(entry, dict) and "model_output" in entry for entry in results)


def match_answers(
    content: dict[str, Any], samples: pa.Table, images: pa.Table, combination: str, side: int, source: str
) -> MatchedAnswers:
    """Match the texts with the samples and questions of a split.

    Args:
        content: of the result file.
        samples: of ``SAMPLES``, the whole split.
        images: of ``IMAGES``, with ``image_id`` and ``file_name``.
        combination: the prompt combination that the texts are written in.
        side: of the square that their coordinates are in, in pixels.
        source: the name of the file, for the tables.

    Raises:
        InputError: if no entry belongs to the split.
    """
    questions_of = _questions(samples, images)
    rows: dict[tuple[str, int], dict[str, object]] = {}
    rejects: list[PredictionReject] = []
    settings = json.dumps({"schema": combination, "side": side, "source": source}, sort_keys=True)
    for entry in _entries(content["results"], source, rejects):
        questions = questions_of.get(entry.stem)
        if questions is None:
            rejects.append(PredictionReject(entry.source, "surplus", f"the split has no image {entry.stem}"))
            continue
        matches = _match(questions, entry.prompt)
        if not matches:
            detail = f"image {entry.stem} has {len(questions)} questions, and the prompt holds none of them"
            rejects.append(PredictionReject(entry.source, "question_not_found", detail))
            continue
        targets = {question.sample_id for question in matches}
        if len(targets) > 1:
            detail = f"{len(targets)} targets of image {entry.stem} are asked for with this sentence"
            rejects.append(PredictionReject(entry.source, "ambiguous_question", detail))
            continue
        # A sample can hold a sentence twice. Its answers then stand in the order of the file.
        free = (question for question in matches if (question.sample_id, question.index) not in rows)
        question = next(free, None)
        if question is None:
            question = matches[0]
            detail = f"question {question.index} has an answer already"
            rejects.append(PredictionReject(entry.source, "twice", detail, question.sample_id))
        else:
            rows[question.sample_id, question.index] = {
                "sample_id": question.sample_id,
                "question_index": question.index,
                "text": entry.output[:MAX_TEXT],
                "settings": settings,
            }
    answered = {sample_id for sample_id, _ in rows}
    sample_ids = samples["sample_id"].to_pylist()
    rejects += [PredictionReject("", "missing", "no answer came", key) for key in sample_ids if key not in answered]
    if not rows:
        raise InputError(f"No entry of {source} belongs to this split: give the dataset and split that the file is of.")
    completions = pa.Table.from_pylist([rows[key] for key in sorted(rows)], schema=COMPLETIONS.schema)
    return MatchedAnswers(completions, rejects_table(rejects))


def _entries(results: list[Any], source: str, rejects: list[PredictionReject]) -> Iterator[_Entry]:
    """The entries of the file. An entry without image or output is added to ``rejects``."""
    for place, entry in enumerate(results):
        position = f"{source}#{place}"
        path = entry.get("image_path") if isinstance(entry, dict) else None
        output = entry.get("model_output") if isinstance(entry, dict) else None
        if not isinstance(path, str) or not isinstance(output, str):
            detail = "expected an object with image_path and model_output"
            rejects.append(PredictionReject(position, "no_result", detail))
            continue
        prompt = entry.get("question")
        stem = PurePosixPath(path.replace("\\", "/")).stem
        yield _Entry(position, stem, prompt if isinstance(prompt, str) else "", output)


def _questions(samples: pa.Table, images: pa.Table) -> dict[str, list[_Question]]:
    """Image name without suffix → the questions about the image."""
    names = zip(images["image_id"].to_pylist(), images["file_name"].to_pylist(), strict=True)
    stem_of = {image_id: Path(file_name).stem for image_id, file_name in names}
    questions: dict[str, list[_Question]] = {}
    for row in samples.select(["sample_id", "image_id", "questions"]).to_pylist():
        questions.setdefault(stem_of[row["image_id"]], []).extend(
            _Question(row["sample_id"], index, _plain(text)) for index, text in enumerate(row["questions"])
        )
    return questions


def _match(questions: list[_Question], prompt: str) -> list[_Question]:
    """The longest question that the prompt contains, as often as the image has it, or its only question."""
    text = _plain(prompt)
    contained = [question for question in questions if question.text and question.text in text]
    if not contained and len(questions) == 1:
        return questions
    longest = max((len(question.text) for question in contained), default=0)
    return [question for question in contained if len(question.text) == longest]


def _plain(text: str) -> str:
    """The text in lower case, with single spaces."""
    return " ".join(text.lower().split())
