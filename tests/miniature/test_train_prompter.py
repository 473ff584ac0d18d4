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

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTERS  # noqa: E402
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


def bar(angle: float, length: float = 90, width: float = 10, side: int = 168) -> np.ndarray:
    """A bar through the centre of the square, turned clockwise by ``angle`` degrees."""
    ys, xs = np.mgrid[:side, :side] - (side - 1) / 2
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return (abs(xs * c + ys * s) <= length / 2) & (abs(ys * c - xs * s) <= width / 2)


@pytest.mark.parametrize("angle", [20, 45, 70, 110, 160])
def test_a_turned_bar_is_taught_with_angles_below_90(angle):
    rotated = lesson_object(bar(angle)).rotated
    assert 0 <= rotated.angle < 90 and rotated.angle == int(rotated.angle)
    # Beyond 90 degrees, the long side is the height.
    sides = (rotated.width, rotated.height) if angle < 90 else (rotated.height, rotated.width)
    assert abs(rotated.angle - angle % 90) <= 2
    assert abs(sides[0] - 91) <= 3 and abs(sides[1] - 11) <= 3
    assert max(abs(rotated.x - 84), abs(rotated.y - 84)) <= 1


def test_a_rotated_box_that_saves_little_is_the_upright_one():
    ys, xs = np.mgrid[:168, :168]
    disc = np.hypot(xs - 60, ys - 50) < 20  # from 41 to 79 and 31 to 69: box (41, 31, 80, 70)
    item = lesson_object(disc)
    assert item.box == (41, 31, 80, 70)
    assert item.rotated.numbers == [60, 50, 39, 39, 0]


def test_a_chain_goes_from_left_to_right_and_lies_on_the_object():
    for angle in (30, 150):
        mask = bar(angle)
        points = lesson_object(mask).chain.points
        assert len(points) == 5 and [x for x, _ in points] == sorted(x for x, _ in points)
        assert all(mask[y, x] for x, y in points)


def test_a_careless_figure_lies_to_the_lower_right_too():
    mask = np.zeros((168, 168), bool)
    mask[60:70, 50:90] = True  # 40 wide and 10 high: moved by 16 and 4
    true = lesson_object(mask)
    [poor] = imprecise(np.random.default_rng(0), (true,), Frame.square(168))
    assert poor.rotated.numbers == [70 + 16, 65 + 4, 44, 11, 0]
    assert [(x - 16, y - 4) for x, y in poor.chain.points] == list(true.chain.points)


def test_an_answer_that_chooses_takes_the_kind_that_suits_the_shape(teacher):
    """Slenderness: the square 2.25, the bar of 40 × 10 about 5 (elongated), the line of 100 × 5 about 20 (thin)."""
    square, elongated, thin = (np.zeros((168, 168), bool) for _ in range(3))
    square[10:40, 10:40] = True
    elongated[60:70, 50:90] = True
    thin[100:105, 20:120] = True
    objects = tuple(map(lesson_object, (square, elongated, thin)))
    adaptive = PROMPT_COMBINATIONS["adaptive"]
    kinds = teacher._kinds(np.random.default_rng(0), objects, adaptive, poor=False)
    assert kinds == ["bbox+pos2", "rotated", "chain"]
    answer = json.loads(adaptive.render(fitted(objects, adaptive, kinds)))
    assert [sorted(item) for item in answer] == [["bbox_2d", "positive_points"], ["rbox_2d"], ["chain_2d"]]
    careless = {
        tuple(teacher._kinds(np.random.default_rng(seed), objects[:1], adaptive, poor=True)) for seed in range(30)
    }
    assert careless == {("bbox",), ("bbox+pos2",), ("rotated",), ("chain",)}
    assert teacher._kinds(np.random.default_rng(0), objects, PROMPT_COMBINATIONS["chain"], poor=True) == []


@pytest.mark.parametrize("name", VOCABULARIES["wide"])
def test_each_number_of_an_answer_is_looked_for_in_the_cells_of_its_object(teacher, lessons, name):
    """The number of tokens that attend to an object is that of its numbers, in the order of the objects."""
    rng = np.random.default_rng(4)
    scene = next(scene for scene in lessons.objects if any(len(items) > 1 for items in scene.values()))
    kind = next(kind for kind, items in scene.items() if len(items) > 1)
    for _ in range(6):
        _, answer, owners = teacher._example(rng, scene, kind, name, careless=0.0)
        tokens = teacher.processor.tokenizer(answer).input_ids
        assert len(owners) == sum(token in teacher.numbers for token in tokens)
        if owners and PROMPT_COMBINATIONS[name].shape.name != "ONE_OBJECT":
            in_order = [items for items, _ in itertools.groupby(items[0] for items in owners)]
            assert in_order == list(scene[kind])


def test_a_training_can_start_from_a_prompter(tmp_path, monkeypatch, capfd):
    """The embedded prompter gives its weights and its tokenizer, and is taught the other kinds of answers."""
    embedded = EMBEDDED_PROMPTERS[EMBEDDED_PROMPTER]
    words = ("--phases", "answer", "--answer-steps", "1", "--answer-rate", "0", "--vocabulary", "wide")
    train(monkeypatch, tmp_path, "--start", str(embedded), *words)
    assert "0 of 8 tensors of heads loaded" in capfd.readouterr().out
    before, after = (load_file(folder / "model.safetensors") for folder in (embedded, tmp_path))
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)
    texts = [json.loads((folder / "tokenizer.json").read_text())["model"] for folder in (embedded, tmp_path)]
    assert texts[0] == texts[1]
    assert json.loads((tmp_path / "training.json").read_text())["vocabulary"] == "wide"


def test_a_start_that_is_no_prompter_is_one_sentence(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit) as ending:
        train(monkeypatch, tmp_path / "out", "--start", str(tmp_path / "nothing"))
    assert ending.value.code == 2 and not (tmp_path / "out").exists()
    assert f"--start {tmp_path / 'nothing'}: there is no tokenizer.json" in capsys.readouterr().err


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
