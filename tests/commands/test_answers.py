"""`t2s ask` in the terminal: whom it asks, what it lists, and one sentence per fault. A stand-in finds the objects."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from affine import Affine  # noqa: E402

from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.scenes.search import ViewAnswer  # noqa: E402
from t2s_pipeline.steps import scene_answers  # noqa: E402
from t2s_pipeline.worker import launcher  # noqa: E402
from tests.commands.test_cli import Done, message_of, t2s  # noqa: E402
from tests.scenes.painted import painted, save  # noqa: E402
from tests.stand_in_worker import StandIn  # noqa: E402

QUESTION = "Where are the objects?"
BOXES = [(x, y, x + 8, y + 8) for y in range(4, 60, 12) for x in range(4, 60, 12)]
"""25 blobs on an image of 64 × 64 pixels."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A T2S_HOME whose worker finds blobs by their colour, in this process."""
    monkeypatch.setenv("T2S_WORKER_PYTHON", sys.executable)
    monkeypatch.setattr(launcher, "plain_launch", StandIn)
    return tmp_path / "home"


def scene(path: Path, boxes: list[tuple[int, int, int, int]] = BOXES[:1], **profile: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(path, painted(64, 64, boxes), **profile)


def rows_of(done: Done) -> list[list[str]]:
    """The rows of the objects: those that begin with a number."""
    return [words for line in done.stdout.splitlines() if (words := line.split()) and words[0].isdecimal()]


def test_the_terminal_lists_twenty_objects_and_counts_the_others(home: Path, tmp_path: Path):
    done = t2s(home, "ask", scene(tmp_path / "a.tif", BOXES), QUESTION, "--out", tmp_path / "out")
    assert done.returncode == 0, done
    rows = rows_of(done)
    # Each blob has 52 pixels of a quarter of a square metre.
    assert [row[0] for row in rows] == list(map(str, range(1, 21)))
    assert {tuple(row[1:]) for row in rows} == {("13.0", "m²", "0.90")}
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "and 5 more" in lines and "“I look for colour.”" in lines and f"a.tif: {QUESTION}" in lines
    assert str(tmp_path / "out" / "mask.tif") in lines


def test_sampled_answers_add_their_agreement(home: Path, tmp_path: Path):
    done = t2s(home, "ask", scene(tmp_path / "a.tif"), QUESTION, "--draws", 4)
    # Every second sample sees nothing.
    assert [row[-2:] for row in rows_of(done)] == [["0.90", "0.50"]]


@pytest.mark.parametrize(
    ("profile", "area"),
    [
        ({"crs": None}, "52 px"),
        ({"transform": Affine(200, 0, 500_000, 0, -200, 5_000_000)}, "2.08 km²"),
    ],
    ids=["no place", "coarse"],
)
def test_an_area_is_in_the_unit_that_people_read(home: Path, tmp_path: Path, profile: dict[str, Any], area: str):
    done = t2s(home, "ask", scene(tmp_path / "a.tif", **profile), QUESTION)
    assert [" ".join(row[1:-1]) for row in rows_of(done)] == [area]


def test_an_image_without_an_object_says_so(home: Path, tmp_path: Path):
    done = t2s(home, "ask", scene(tmp_path / "a.tif", []), QUESTION)
    assert done.returncode == 0 and "  no object found" in done.stdout.splitlines()


def test_every_image_of_a_pattern_gets_every_question_of_a_file(home: Path, tmp_path: Path):
    for name in ("b.tif", "a.tif"):
        scene(tmp_path / "images" / name)
    (tmp_path / "images" / "c.tif").mkdir()
    questions = tmp_path / "questions.txt"
    questions.write_text(f"{QUESTION}\n\n  Where is it? \n")
    words = ("ask", tmp_path / "images" / "*.tif", "--questions", questions, "--out", tmp_path / "out")
    done = t2s(home, *words)
    asked = [f"{name}.tif: {question}" for name in "ab" for question in (QUESTION, "Where is it?")]
    assert [line for line in done.stdout.splitlines() if ".tif: " in line] == asked
    assert len(list((tmp_path / "out").rglob("answer.json"))) == 4
    again = t2s(home, *words)
    assert again.stdout.count("already answered; --fresh repeats it") == 4 and not rows_of(again)


def test_several_faults_are_listed_and_counted(home: Path, tmp_path: Path):
    for name in ("b.tif", "c.tif"):
        (tmp_path / name).write_text("no raster")
    done = t2s(home, "ask", scene(tmp_path / "a.tif"), tmp_path / "b.tif", tmp_path / "c.tif", QUESTION)
    assert done.stderr == "t2s: 2 of 3 answers are missing or incomplete.\n" and done.returncode == 1
    for name in ("b.tif", "c.tif"):
        assert f"\n{tmp_path / name} cannot be read as a raster" in done.stdout
    assert len(rows_of(done)) == 1


@pytest.mark.parametrize(("status", "is_complete"), [("failed", False), ("unreadable", True)])
def test_views_without_an_answer_are_counted(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: str, is_complete: bool
):
    real: Callable[..., Any] = scene_answers.answer_scenes

    def with_a_fault(*arguments: Any) -> Any:
        for answer in real(*arguments):
            (view, *others) = answer.result.views
            wrong = ViewAnswer(view.view, status, "a reason")
            yield replace(answer, result=replace(answer.result, views=(wrong, *others)), notes=("It has one band.",))

    monkeypatch.setattr(scene_answers, "answer_scenes", with_a_fault)
    path = scene(tmp_path / "a.tif")
    done = t2s(home, "ask", path, QUESTION)
    assert "  It has one band." in done.stdout.splitlines()
    if is_complete:
        assert done.returncode == 0 and "  The answer could not be read (a reason)." in done.stdout.splitlines()
    else:
        words = (
            f"1 of 1 views of {path} failed and are nodata in the mask (a reason): the same command asks them again."
        )
        assert done.stderr == f"t2s: {words}\n" and done.returncode == 1


def test_prompts_of_a_person_need_no_question(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def remembered(settings: Settings, launch: Any, system: Any, questions: Any, options: Any) -> list[Any]:
        asked.extend((system.segmenter, question.question, options.prompts) for question in questions)
        return []

    monkeypatch.setattr(scene_answers, "answer_scenes", remembered)
    path, box = scene(tmp_path / "a.tif"), "box=1,1,9,9"
    done = t2s(home, "ask", path, "--prompts", box)
    assert done.stdout == "sam2-mini segments your prompts.\n"
    t2s(home, "ask", path, "A name", "--prompts", box, "--set", "segmenter=sam2-mini")
    assert asked == [("sam2-mini", "", (box,)), ("sam2-mini", "A name", (box,))]


def test_the_system_is_named_with_the_reason_for_it(home: Path, tmp_path: Path):
    path = scene(tmp_path / "a.tif")
    chosen = t2s(home, "ask", path, QUESTION, "--set", "generation.batch_size=2").stdout.splitlines()
    assert chosen[0].startswith("zero-shot-mini answers: ") and chosen[0].endswith("--system names another one.")
    named = t2s(home, "ask", path, QUESTION, "--system", "zero-shot-qwen2.5-vl-3b").stdout.splitlines()
    assert named[0] == "zero-shot-qwen2.5-vl-3b answers." and "embedded miniature" not in named[1]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--bands", "1,2"), "--bands 1,2: give one number or three, from 1 on, such as 4,3,2."),
        (("--bands", "0"), "--bands 0: give one number or three, from 1 on, such as 4,3,2."),
        (("--bands", "a,b,c"), "--bands a,b,c: give one number or three, from 1 on, such as 4,3,2."),
        (("--objects", "x/a.gpkg"), "--objects x/a.gpkg: give a name without a folder; --out says where the files go."),
        (("--questions", "empty.txt"), "empty.txt holds no question: write one per line."),
        (("--questions", "none.txt"), "none.txt cannot be read (there is no such file): give a text file"),
    ],
    ids=str,
)
def test_options_that_cannot_be_used_are_one_sentence(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], sentence: str
):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n \n")
    assert message_of(t2s(home, "ask", scene(tmp_path / "a.tif"), QUESTION, *words)).startswith(sentence)
    assert not (home / "answers").exists()


def test_three_bands_are_read_in_the_order_that_was_given(home: Path, tmp_path: Path):
    """The target is found by its blue: where green takes the place of blue, nothing is found."""
    path = scene(tmp_path / "a.tif")
    assert len(rows_of(t2s(home, "ask", path, QUESTION, "--bands", "1,2,3"))) == 1
    assert "no object found" in t2s(home, "ask", path, QUESTION, "--bands", "1,3,2").stdout
