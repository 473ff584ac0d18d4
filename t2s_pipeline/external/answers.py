"""The authors' result file, ``geo_results.json``: what their model wrote, for our parser and segmenter to read.

It holds one entry a sample under ``results``: the image's path, the prompt with the question in it, and the model's
output as text. Samples are numbered there by their place in an unsorted directory listing, so an entry is matched by
its image's name and, where the image has several questions, by the question that its prompt contains.
"""

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.external.masks import PredictionReject
from t2s_pipeline.lake.schema import COMPLETIONS, PREDICTION_REJECTS

MAX_TEXT = 64 * 1024
"""Characters of an output that are kept: more than that no parser of ours reads."""


def is_answers(content: Any) -> bool:
    """Whether a JSON file's content is such a result file (and not COCO results)."""
    results = content.get("results") if isinstance(content, dict) else None
    return isinstance(results, list) and any(isinstance(entry, dict) and "model_output" in entry for entry in results)


def take_answers(
    content: dict, samples: pa.Table, images: pa.Table, combination: str, side: int, source: str
) -> tuple[pa.Table, pa.Table]:
    """Rows of ``completions``, and what was set aside or is missing (``prediction_rejects``).

    Args:
        samples: of ``SAMPLES``; images: of ``IMAGES``, ``image_id`` and ``file_name``.
        combination: the prompt combination that the texts are written in.
        side: of the square that their coordinates are in, in pixels.
    """
    asked = _asked(samples, images)
    rows: dict[tuple[str, int], dict] = {}
    rejects: list[PredictionReject] = []
    settings = json.dumps({"schema": combination, "side": side, "source": source}, sort_keys=True)
    for where, stem, prompt, text in _entries(content["results"], source, rejects):
        questions = asked.get(stem)
        if questions is None:
            rejects.append(PredictionReject(where, "surplus", f"the split has no image {stem}", None))
            continue
        sample_id, index = _which(questions, prompt)
        if sample_id is None:
            told = f"image {stem} has {len(questions)} questions, and the prompt holds none of them"
            rejects.append(PredictionReject(where, "question_not_found", told, None))
        elif (sample_id, index) in rows:
            rejects.append(PredictionReject(where, "twice", f"question {index} has an answer already", sample_id))
        else:
            rows[sample_id, index] = {
                "sample_id": sample_id,
                "question_index": index,
                "text": text[:MAX_TEXT],
                "settings": settings,
            }
    answered = {sample_id for sample_id, _ in rows}
    every = samples["sample_id"].to_pylist()
    rejects += [PredictionReject("", "missing", "no answer came", key) for key in every if key not in answered]
    if not rows:
        raise InputError(f"Of {source} not one entry belongs to this split: name the dataset and split that it is of.")
    return (
        pa.Table.from_pylist([rows[key] for key in sorted(rows)], schema=COMPLETIONS.schema),
        pa.Table.from_pylist([vars(one) for one in rejects], schema=PREDICTION_REJECTS.schema),
    )


def _entries(results: list, source: str, rejects: list[PredictionReject]) -> Iterator[tuple[str, str, str, str]]:
    """Place in the file, the image's name without suffix, the prompt, the output."""
    for place, entry in enumerate(results):
        where = f"{source}#{place}"
        fields = [entry.get(key) for key in ("image_path", "model_output")] if isinstance(entry, dict) else []
        if len(fields) != 2 or not all(isinstance(value, str) for value in fields):
            rejects.append(PredictionReject(where, "no_result", "expected an object with image_path and model_output"))
            continue
        prompt = entry.get("question")
        stem = PurePosixPath(fields[0].replace("\\", "/")).stem
        yield where, stem, prompt if isinstance(prompt, str) else "", fields[1]


def _asked(samples: pa.Table, images: pa.Table) -> dict[str, list[tuple[str, int, str]]]:
    """Image name without suffix → (sample, question index, question)."""
    names = zip(images["image_id"].to_pylist(), images["file_name"].to_pylist(), strict=True)
    stem_of = {image_id: Path(file_name).stem for image_id, file_name in names}
    asked: dict[str, list[tuple[str, int, str]]] = {}
    for row in samples.select(["sample_id", "image_id", "questions"]).to_pylist():
        told = [(row["sample_id"], index, _plain(text)) for index, text in enumerate(row["questions"])]
        asked.setdefault(stem_of[row["image_id"]], []).extend(told)
    return asked


def _which(questions: list[tuple[str, int, str]], prompt: str) -> tuple[str | None, int]:
    """The sample and question that the prompt asks: the longest question that it contains, or the only one there is."""
    text = _plain(prompt)
    held = [one for one in questions if one[2] and one[2] in text]
    if not held and len(questions) == 1:
        held = questions
    if not held:
        return None, 0
    sample_id, index, _ = max(held, key=lambda one: len(one[2]))
    return sample_id, index


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
