"""What becomes of each kind of answer, and that an image is encoded once for all of its answers."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.lake_place import LAKE  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.evaluation import segment  # noqa: E402
from t2s_pipeline.evaluation.score import score_predictions  # noqa: E402
from t2s_pipeline.evaluation.segment import segment_completions  # noqa: E402
from t2s_pipeline.lake.schema import COMPLETIONS, IMAGES, PREDICTIONS, SAMPLES  # noqa: E402
from t2s_pipeline.lake.store import read_partition, write_partition  # noqa: E402
from t2s_pipeline.methods.inference import Inference  # noqa: E402
from t2s_pipeline.methods.recipe import Recipe  # noqa: E402
from t2s_pipeline.methods.system import System  # noqa: E402
from t2s_pipeline.prompters.base import GenerationSettings  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter  # noqa: E402
from t2s_pipeline.vision import masks  # noqa: E402
from t2s_pipeline.vision.geometry import Frame, PromptObject  # noqa: E402
from tests.lake import places  # noqa: E402

PLACE = {"dataset": "real", "split": "test"}
BRIDGE, EMPTY = "river_bridge", "soap_061_crop"
SIDE = 168


def answer(*objects: dict) -> str:
    return f"<think>It is there.</think><answer>{json.dumps(list(objects))}</answer>"


BOX = {"bbox_2d": [20, 40, 150, 120], "positive_points": [[60, 80], [100, 90]]}
OTHER = {"bbox_2d": [5, 5, 30, 30], "positive_points": [[10, 10], [20, 20]]}


@pytest.fixture
def system(segmenter_file) -> System:
    return System("mini", "no prompter", f"sam2-mini@{segmenter_file}", Recipe(), GenerationSettings(8), "synthetic")


@pytest.fixture
def encoded(monkeypatch) -> list[tuple[int, ...]]:
    """The shape of each image that really went through the image encoder."""
    shapes: list[tuple[int, ...]] = []
    encode = Sam2Segmenter.encode

    def recorded(self, image):
        shapes.append(image.shape)
        return encode(self, image)

    monkeypatch.setattr(Sam2Segmenter, "encode", recorded)
    return shapes


def predict(home, system, *answers: tuple[str, int, str], fingerprint="f", progress=None) -> dict:
    """Store the completions, segment them, and return the predictions by sample and question."""
    rows = [
        {
            "sample_id": sample_id,
            "question_index": index,
            "text": text,
            "settings": json.dumps({"side": SIDE, "schema": "bbox+pos2"}),
        }
        for sample_id, index, text in answers
    ]
    table = pa.Table.from_pylist(rows, schema=COMPLETIONS.schema)
    write_partition(home / "lake", COMPLETIONS, {"system": "mini", **PLACE}, table)
    count = segment_completions(home, system, "real", "test", fingerprint, progress or NoProgress())
    partition = {"system": "mini", "segmenter": system.segmenter_name, **PLACE}
    stored = read_partition(home / "lake", PREDICTIONS, partition).to_pylist()
    assert count == len(stored) == len(rows)
    return {(row["sample_id"], row["question_index"]): row for row in stored}


def native_of(home, image_id: str) -> Frame:
    rows = read_partition(home / "lake", IMAGES, PLACE, ["image_id", "width", "height"]).to_pylist()
    return next(Frame(row["width"], row["height"]) for row in rows if row["image_id"] == image_id)


def test_a_parsed_answer_is_segmented_at_native_size_and_at_the_square(home, system, segmenter_file):
    row = predict(home, system, (BRIDGE, 0, answer(BOX, OTHER)))[BRIDGE, 0]
    assert row["status"] == "ok" and row["side"] == SIDE and not row["repaired"]
    assert row["prompts"][0] == {
        "bbox": BOX["bbox_2d"],
        "positive_points": BOX["positive_points"],
        "negative_points": [],
    }
    assert len(row["prompts"]) == len(row["scores"]) == 2
    # The same as asking the segmenter for the union of both objects
    segmenter = load_segmenter(f"sam2-mini@{segmenter_file}")
    from t2s_pipeline.vision.pictures import decode_image

    images = {r["image_id"]: r["bytes"] for r in read_partition(home / "lake", IMAGES, PLACE).to_pylist()}
    embedding = segmenter.encode(decode_image(images[BRIDGE]))
    objects = [
        PromptObject(tuple(item["bbox_2d"]), tuple(map(tuple, item["positive_points"]))) for item in (BOX, OTHER)
    ]
    native = native_of(home, BRIDGE)
    for column, out in (("mask", native), ("square_mask", Frame.square(SIDE))):
        expected = segmenter.decode(embedding, [objects], Frame.square(SIDE), out)[0].mask
        found = masks.decode(masks.Rle.from_arrow(row[column]))
        assert found.shape == (out.height, out.width) and found.any() and np.array_equal(found, expected)


def test_each_kind_of_answer_gets_its_status_and_reason(home, system):
    rows = predict(
        home,
        system,
        (BRIDGE, 0, answer()),
        (BRIDGE, 1, "The bridge is in the middle."),
        (EMPTY, 0, answer({**BOX, "bbox_2d": [20, 40, 10, 120]})),
    )
    rejected, untagged, disordered = rows[BRIDGE, 0], rows[BRIDGE, 1], rows[EMPTY, 0]
    assert (rejected["status"], rejected["prompts"], rejected["detail"]) == ("rejected", [], None)
    assert masks.Rle.from_arrow(rejected["mask"]).area == 0
    assert untagged["status"] == disordered["status"] == "format_error"
    assert untagged["detail"].startswith("tags: ") and disordered["detail"].startswith("box_order: ")
    assert untagged["mask"] is None and untagged["prompts"] is None


def test_what_only_the_reference_parser_reads_is_segmented_for_the_reference_protocol_alone(home, system):
    alone = {"bbox_2d": BOX["bbox_2d"]}
    rows = predict(home, system, (BRIDGE, 0, answer(alone)), (BRIDGE, 1, answer(BOX)), (EMPTY, 0, "No target: []"))
    boxed, both, said = rows[BRIDGE, 0], rows[BRIDGE, 1], rows[EMPTY, 0]
    assert (boxed["status"], boxed["mask"], boxed["square_status"]) == ("format_error", None, "ok")
    assert masks.Rle.from_arrow(boxed["square_mask"]).area > 0
    assert (both["status"], both["square_status"]) == ("ok", None)
    assert (said["status"], said["square_status"]) == ("format_error", "rejected")


def test_what_the_two_parsers_read_differently_is_segmented_for_each_protocol_by_itself(home, system):
    lines = f"<think>Two.</think><answer>{json.dumps(BOX)}\n{json.dumps(OTHER)}</answer>"
    rows = predict(home, system, (BRIDGE, 0, lines), (BRIDGE, 1, answer(BOX, BOX)))
    both, copies = rows[BRIDGE, 0], rows[BRIDGE, 1]
    # JSON lines: the training parser reads both objects, the parser of the reference protocol none.
    assert (both["status"], len(both["prompts"]), both["repaired"]) == ("ok", 2, True)
    assert (both["square_status"], both["square_mask"]) == ("format_error", None)
    assert (len(copies["prompts"]), copies["square_status"]) == (1, None)


def test_repaired_json_is_recorded(home, system):
    broken = answer(BOX).replace('"bbox_2d":', "bbox_2d:")
    rows = predict(home, system, (BRIDGE, 0, broken), (BRIDGE, 1, answer(BOX)))
    assert [rows[BRIDGE, index]["repaired"] for index in (0, 1)] == [True, False]
    assert rows[BRIDGE, 0]["mask"] == rows[BRIDGE, 1]["mask"]


def test_an_image_is_encoded_once_for_all_its_answers_and_not_at_all_without_prompts(home, system, encoded):
    predict(home, system, (BRIDGE, 0, answer(BOX)), (BRIDGE, 1, answer(OTHER)), (EMPTY, 0, answer()))
    native = native_of(home, BRIDGE)
    assert encoded == [(native.height, native.width, 3)]


def test_answers_keep_their_own_masks_when_others_of_the_image_fail(home, system):
    alone = predict(home, system, (BRIDGE, 1, answer(OTHER)), fingerprint="alone")[BRIDGE, 1]
    among = predict(home, system, (BRIDGE, 0, "gibberish"), (BRIDGE, 1, answer(OTHER)), fingerprint="among")
    assert among[BRIDGE, 1]["mask"] == alone["mask"]


def test_a_failure_of_ours_costs_one_answer_and_is_counted(home, system, monkeypatch):
    real_segment = Sam2Segmenter.segment

    def fails_on_other(self, embedding, prompt_sets, *frames):
        if any(item.bbox[0] == OTHER["bbox_2d"][0] for items in prompt_sets for item in items):
            raise RuntimeError("out of memory")
        return real_segment(self, embedding, prompt_sets, *frames)

    said = []

    class Told(NoProgress):
        def say(self, message, warning=False):
            said.append((message, warning))

    monkeypatch.setattr(Sam2Segmenter, "segment", fails_on_other)
    rows = predict(home, system, (BRIDGE, 0, answer(BOX)), (BRIDGE, 1, answer(OTHER)), progress=Told())
    assert rows[BRIDGE, 0]["status"] == "ok"
    assert (rows[BRIDGE, 1]["status"], rows[BRIDGE, 1]["detail"]) == ("error", "RuntimeError: out of memory")
    assert said == [("1 answers could not be segmented, most often: RuntimeError: out of memory", True)]


def test_prompts_without_a_mask_are_an_empty_mask(home, system, monkeypatch):
    from t2s_pipeline.segmenters.scored_masks import ScoredRunLengths

    def nothing(self, embedding, prompt_sets, source, outs, multimask):
        empty = tuple(masks.encode(np.zeros((out.height, out.width), bool)) for out in outs)
        return [ScoredRunLengths(empty, (0.1,) * len(items)) for items in prompt_sets]

    monkeypatch.setattr(Sam2Segmenter, "segment", nothing)
    assert predict(home, system, (BRIDGE, 0, answer(BOX)))[BRIDGE, 0]["status"] == "empty_mask"


def test_a_stopped_run_does_not_encode_finished_images_again(home, system, encoded, monkeypatch):
    monkeypatch.setattr(segment, "ANSWERS_PER_WINDOW", 1)

    class Stopped(BaseException):
        pass

    class StopAtFirst(NoProgress):
        def advance(self, done, note=""):
            if done == 1:
                raise Stopped

    answers = (BRIDGE, 0, answer(BOX)), (EMPTY, 0, answer(OTHER))
    with pytest.raises(Stopped):
        predict(home, system, *answers, progress=StopAtFirst())
    first = list(encoded)
    encoded.clear()
    assert len(predict(home, system, *answers)) == 2
    assert len(first) == len(encoded) == 1 and encoded != first


def test_the_lake_may_lie_on_an_object_store(home, system, monkeypatch, tmp_path):
    answers = [(BRIDGE, index, answer(BOX)) for index in range(2)]
    expected = predict(home, system, *answers)
    with places.served() as address:
        for name, value in {**places.environment(address), LAKE: str(lake := places.new_place(tmp_path))}.items():
            monkeypatch.setenv(name, value)
        for table, partition in ((SAMPLES, PLACE), (IMAGES, PLACE), (COMPLETIONS, {"system": "mini", **PLACE})):
            write_partition(lake, table, partition, read_partition(home / "lake", table, partition))
        assert segment_completions(home, system, "real", "test", "f", NoProgress()) == len(expected)
        partition = {"system": "mini", "segmenter": system.segmenter_name, **PLACE}
        stored = read_partition(lake, PREDICTIONS, partition)
        assert stored.equals(read_partition(home / "lake", PREDICTIONS, partition))


def test_predictions_can_be_scored_under_both_protocols(home, system):
    predict(home, system, (BRIDGE, 0, answer(BOX)), (BRIDGE, 1, "?"), (EMPTY, 0, answer()))
    partition = {"system": "mini", "segmenter": system.segmenter_name, **PLACE}
    predictions = read_partition(home / "lake", PREDICTIONS, partition)
    samples = read_partition(home / "lake", SAMPLES, PLACE)
    strict, reference = (score_predictions(samples, predictions, protocol) for protocol in ("strict", "reference"))
    assert strict["status"].to_pylist() == ["ok", "format_error", "rejected"]
    assert strict["iou"].to_pylist()[1:] == [0.0, 1.0]
    assert reference.num_rows == 2


def test_completions_of_mixed_settings_are_refused(home, system):
    rows = [
        {"sample_id": BRIDGE, "question_index": index, "text": "", "settings": json.dumps({"side": SIDE + index})}
        for index in range(2)
    ]
    table = pa.Table.from_pylist(rows, schema=COMPLETIONS.schema)
    write_partition(home / "lake", COMPLETIONS, {"system": "mini", **PLACE}, table)
    with pytest.raises(InputError, match="2 different settings"):
        segment_completions(home, system, "real", "test", "f", NoProgress())


def test_the_segmenter_is_asked_as_the_recipe_says(home, system, monkeypatch):
    asked = []
    real_segment = Sam2Segmenter.segment

    def watched(self, embedding, prompt_sets, source, outs, multimask):
        asked.append((prompt_sets, multimask))
        return real_segment(self, embedding, prompt_sets, source, outs, multimask)

    monkeypatch.setattr(Sam2Segmenter, "segment", watched)
    as_rival = replace(system, recipe=replace(Recipe(), inference=Inference(multimask=True, box_centre=True)))
    rows = predict(home, as_rival, (BRIDGE, 0, answer(BOX)))
    x0, y0, x1, y1 = BOX["bbox_2d"]
    for [[prompt]], multimask in asked:
        assert multimask
        assert prompt.positive_points[-1] == ((x0 + x1) / 2, (y0 + y1) / 2)
    assert len(asked) == 1  # decoded once, for native size and for the square
    # What is recorded is what the prompter said.
    assert len(rows[BRIDGE, 0]["prompts"][0]["positive_points"]) == len(prompt.positive_points) - 1
