"""The training data of the miniature prompter; packing several questions into a row changes nothing."""

import csv
import itertools
import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from t2s_pipeline.miniature.lessons import VOCABULARIES, fitted, imprecise, lesson_object, paint_lessons  # noqa: E402
from t2s_pipeline.miniature.prompter import PrompterShape, build_model, build_processor, train_tokenizer  # noqa: E402
from t2s_pipeline.miniature.train_prompter import (  # noqa: E402
    LessonBatches,
    Phase,
    PrompterLosses,
    PrompterTraining,
    Schedule,
    corpus,
    main,
)
from t2s_pipeline.prompters.families import family_of  # noqa: E402
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS  # noqa: E402
from t2s_pipeline.prompting.parsing import Answer, parse  # noqa: E402
from t2s_pipeline.vision.geometry import Frame  # noqa: E402

SHAPE = PrompterShape()


@pytest.fixture(scope="module")
def lessons():
    return paint_lessons(12, SHAPE.side, SHAPE.cells, seed=5, workers=1)


@pytest.fixture(scope="module")
def processor():
    return build_processor(train_tokenizer(corpus(SHAPE), SHAPE), SHAPE)


@pytest.fixture(scope="module")
def teacher(lessons, processor):
    return LessonBatches(lessons, processor, SHAPE, Schedule(scenes_per_step=3))


def test_a_packed_row_gives_the_logits_of_each_chat_alone(teacher, processor):
    schedule = teacher.schedule
    model = build_model(processor.tokenizer, SHAPE).eval()
    student = PrompterLosses(model, processor.tokenizer, SHAPE, schedule)
    batch = next(teacher.batches(np.random.default_rng(1), careless=0.5))
    hidden = {}
    handle = model.model.language_model.register_forward_hook(
        lambda module, given, out: hidden.update(packed=out.last_hidden_state)
    )
    with torch.no_grad():
        student.losses(batch, answers=True)
        handle.remove()
        patches = SHAPE.side**2 // SHAPE.patch_size**2
        for row in range(3):
            for number in range(1, schedule.questions_per_scene + 1):
                use = (batch.segment[row] == 0) | (batch.segment[row] == number)
                ids = batch.ids[row, use][None]
                alone = model(
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    mm_token_type_ids=(ids == model.config.image_token_id).int(),
                    pixel_values=batch.pixels[row * patches : (row + 1) * patches],
                    image_grid_thw=batch.grid[row : row + 1],
                ).logits[0]
                packed = model.lm_head(hidden["packed"][row, use])
                assert torch.allclose(alone, packed, atol=1e-4)


def test_every_target_answer_parses(teacher, lessons):
    rng = np.random.default_rng(2)
    for name, combination in ((name, PROMPT_COMBINATIONS[name]) for name in VOCABULARIES["wide"]):
        for scene in lessons.objects:
            for careless in (0.0, 1.0):
                _, answer, _ = teacher._example(rng, scene, next(iter(scene)), name, careless)
                assert isinstance(parse(answer, combination, Frame.square(SHAPE.side)), Answer), answer


def test_lesson_object_of_a_bar():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:45] = True  # 40 wide, 10 high: centroid (24.5, 14.5), deviations 11.54 and 2.87
    item = lesson_object(mask)
    assert item.box == (5, 10, 45, 20)
    assert [x for x, _ in item.positive_points[:2]] == [14, 35]  # 24.5 ∓ 0.9 · 11.69
    assert all(mask[y, x] for x, y in item.positive_points)


def test_points_of_an_odd_shape_lie_on_it():
    ring = np.asarray(Image.new("L", (64, 64)))
    ys, xs = np.mgrid[:64, :64]
    radius = np.hypot(xs - 32, ys - 32)
    ring = (radius < 25) & (radius > 18)
    item = lesson_object(ring)
    assert all(ring[y, x] for x, y in item.positive_points)
    assert not any(ring[y, x] for x, y in item.negative_points)


def test_careless_prompts_lie_to_the_lower_right_and_stay_inside():
    mask = np.zeros((168, 168), bool)
    mask[60:90, 50:90] = True  # 40 wide, 30 high: moved by 16 and 12, grown by 2 and 1.5 on every side
    frame = Frame.square(168)
    true = lesson_object(mask)
    [item] = imprecise(np.random.default_rng(0), (true,), frame)
    assert item.box == (64, 70, 108, 104)
    assert [(x - 16, y - 12) for x, y in item.positive_points] == list(true.positive_points)
    [cut] = imprecise(np.random.default_rng(0), (lesson_object(np.roll(mask, (70, 70), (0, 1))),), frame)
    assert cut.box[2:] == (168, 168) and max(x for x, _ in cut.positive_points) <= 167


def test_a_careless_answer_usually_marks_only_the_first_of_several():
    objects = tuple(lesson_object(np.pad(np.ones((10, 10), bool), ((5, 85), (x, 90 - x)))) for x in (0, 30, 60))
    rng = np.random.default_rng(0)
    counts = [len(imprecise(rng, objects, Frame.square(100))) for _ in range(200)]
    assert set(counts) == {1, 3} and 130 < counts.count(1) < 170


def test_one_object_combinations_get_the_box_around_all():
    squares = [np.pad(np.ones((10, 10), bool), ((y, 50 - y), (x, 50 - x))) for x, y in ((0, 0), (40, 30))]
    objects = tuple(map(lesson_object, squares))
    [item] = fitted(objects, PROMPT_COMBINATIONS["seg-zero"])
    assert item.bbox == (0, 0, 50, 40)
    assert len(item.positive_points) == 2 and not item.negative_points


def test_lessons_do_not_depend_on_the_number_of_workers(lessons):
    again = paint_lessons(12, SHAPE.side, SHAPE.cells, seed=5, workers=2)
    assert (again.images == lessons.images).all() and again.objects == lessons.objects


SMALLEST = ("--scenes", "10", "--scenes-per-step", "1", "--questions-per-scene", "1")


def train(monkeypatch: pytest.MonkeyPatch, out: Path, *words: str) -> list[dict[str, str]]:
    """Train as the command line does; return the rows of the curve."""
    monkeypatch.setattr("sys.argv", ["train_prompter", "--out", str(out), *SMALLEST, *words])
    main()
    with (out / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_phase_starts_with_the_weights_of_the_one_before(tmp_path, monkeypatch, capfd):
    """The first phase has no loss of answers. The read-outs that it taught go on in the next one."""
    looked = train(monkeypatch, tmp_path / "look", "--phases", "look", "--look-steps", "2")
    assert [(row["phase"], row["step"]) for row in looked] == [("look", "2")]
    assert looked[0]["answer"] == "" and float(looked[0]["box"]) > 0
    before = load_file(tmp_path / "look" / "training.safetensors")
    heads = [name for name in before if name.startswith("heads.")]
    start = ("--start", str(tmp_path / "look"), "--phases", "answer", "careless")
    rates = ("--answer-rate", "0", "--careless-rate", "0", "--answer-steps", "1", "--careless-steps", "1")
    rows = train(monkeypatch, tmp_path / "answer", *start, *rates)
    assert [(row["phase"], row["step"]) for row in rows] == [("answer", "1"), ("careless", "1")]
    assert all(float(row["answer"]) > 0 and float(row["gaze"]) > 0 for row in rows)
    # Without a rate, nothing is learned: the weights are those of the start.
    after = load_file(tmp_path / "answer" / "training.safetensors")
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert f"{len(heads)} of {len(heads)} tensors of heads loaded" in capfd.readouterr().out
    settings = json.loads((tmp_path / "answer" / "training.json").read_text())
    assert (settings["phase"], settings["step"], settings["schedule"]["scenes"]) == ("careless", 1, 10)
    assert family_of(tmp_path / "answer").name == "Qwen2.5-VL"


def test_a_phase_ends_at_its_time_limit_and_keeps_its_weights(tmp_path, monkeypatch, capfd):
    rows = train(monkeypatch, tmp_path, "--phases", "answer", "--minutes", "1e-9", "--answer-steps", "9")
    assert rows == []
    assert "answer: stopped at the time limit after 1 steps" in capfd.readouterr().out
    assert (tmp_path / "model.safetensors").is_file()


def test_weights_are_written_while_a_phase_goes_on(lessons, tmp_path, monkeypatch):
    """Every 25th step is a row of the curve, every 500th writes the weights; what comes after the last one too."""
    monkeypatch.setattr("t2s_pipeline.miniature.train_prompter.paint_lessons", lambda *_, **__: lessons)
    training = PrompterTraining(tmp_path, Schedule(), SHAPE, None)
    saved = []
    monkeypatch.setattr(training, "_save", lambda phase, step: saved.append((phase, step)))
    zero = torch.zeros((), requires_grad=True)
    monkeypatch.setattr(training.losses, "losses", lambda batch, answers: {"answer": zero, "number": zero})
    monkeypatch.setattr(training.batches, "batches", lambda rng, careless: itertools.repeat(None))
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda *_: None)
    rows = list(training._run_phase(Phase("answer", 510, 1e-3)))
    assert [row["step"] for row in rows] == [*range(25, 501, 25), 510]
    assert saved == [("answer", 500), ("answer", 510)]
