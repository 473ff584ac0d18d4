"""The pictured examples: what a system answered, in words, and what is not in the lake."""

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from t2s_pipeline.lake.schema import COMPLETIONS, IMAGES, PREDICTIONS, SAMPLES
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.reporting.examples import Example, examples
from t2s_pipeline.reporting.showcase import Pick
from t2s_pipeline.vision import masks
from tests.reporting.test_miniature_tables import put

SPLIT = {"dataset": "d", "split": "test"}
NOTHING, SOMETHING = np.zeros((8, 8), bool), np.pad(np.ones((4, 4), bool), 2)


RIGHT = ("wrong", "right")


def write(lake: Path, table: Table, where: dict[str, str], rows: list[dict]) -> None:
    full = [{**dict.fromkeys(table.schema.names), **row} for row in rows]
    write_partition(lake, table, where, pa.Table.from_pylist(full, table.schema))


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Samples s0 with a target and s1 without one; the system ``mine`` has answered both, ``base`` none."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    data = buffer.getvalue()
    image = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": data, "width": 8, "height": 8}
    write(tmp_path, IMAGES, SPLIT, [{"image_id": name, **image} for name in ("s0", "s1")])
    truths = {"s0": SOMETHING, "s1": NOTHING, "without": SOMETHING}
    samples = [
        {"sample_id": name, "image_id": name, "questions": [f"{name}?"], "mask": masks.encode(truth).as_arrow()}
        for name, truth in truths.items()
    ]
    write(tmp_path, SAMPLES, SPLIT, samples)
    return tmp_path


def answered(lake: Path, *statuses: str) -> list[Example]:
    """The examples after ``mine`` has given answers of these kinds to s0 and s1."""
    mask = masks.encode(SOMETHING).as_arrow()
    rows = [
        {"sample_id": f"s{number}", "question_index": 0, "status": status, "prompts": [], "side": 8, "repaired": False}
        | {"mask": mask if status == "ok" else None, "detail": "no box" if status == "unreadable" else None}
        for number, status in enumerate(statuses)
    ]
    write(lake, PREDICTIONS, {"system": "mine", "segmenter": "sam2-mini", **SPLIT}, rows)
    picks = [Pick(name, "spread", "because") for name in ("s0", "s1", "without", "gone")]
    return examples(lake, **SPLIT, picks=picks, systems=["mine", "base"])


def verdicts(shown: list[Example]) -> list[str]:
    return [example.views[2].verdict for example in shown]


def test_a_sample_or_an_image_that_is_not_in_the_lake_is_no_example(lake: Path):
    shown = answered(lake, "ok", "ok")
    assert [(example.sample_id, example.question) for example in shown] == [("s0", "s0?"), ("s1", "s1?")]
    assert [view.title for view in shown[0].views] == ["Image", "Ground truth", "mine", "base"]
    assert [example.views[1].verdict for example in shown] == ["", "no target in this image"]
    assert {example.views[3].verdict for example in shown} == {"no answer in the lake"}


@pytest.mark.parametrize(
    ("statuses", "sentences"),
    [
        (("ok", "ok"), ["IoU not scored", "mask where there is no target · IoU not scored"]),
        (
            ("rejected", "rejected"),
            [f"says “no target”, which is {word} · IoU not scored" for word in ("wrong", "right")],
        ),
        (("unreadable", "empty_mask"), ["unreadable (no box) · IoU not scored", "empty mask · IoU not scored"]),
    ],
)
def test_the_verdict_says_what_an_answer_is(lake: Path, statuses: tuple[str, str], sentences: list[str]):
    assert verdicts(answered(lake, *statuses)) == sentences


def test_scores_and_texts_are_shown_where_the_lake_has_them(lake: Path):
    put(lake, "mine", [0.25, 0.75], "d")
    texts = [
        {"sample_id": "s0", "question_index": 0, "text": "<think> I see. </think><answer>[]</answer>", "tokens": 3}
    ]
    write(lake, COMPLETIONS, {"system": "mine", **SPLIT}, texts)
    first, second = answered(lake, "ok", "ok")
    assert (first.views[2].verdict, first.views[2].good, first.views[2].thought) == ("IoU 0.25", False, "I see.")
    assert second.views[2].good is True and second.views[2].answer == second.views[2].thought == ""
