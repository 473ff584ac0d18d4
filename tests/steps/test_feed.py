"""The feed of scenes from file to rows: nothing twice, changed files anew, one sentence for what cannot be asked."""

# ruff: noqa: E402
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("shapely")
pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

import pyogrio
import shapely

from t2s_pipeline.core import arrival
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.views import query
from t2s_pipeline.scenes.collection import write_collection
from t2s_pipeline.scenes.imagery_folder import SceneFile
from t2s_pipeline.scenes.search import Search, ViewAnswer
from t2s_pipeline.steps.feed import FeedState, answer_all, answer_scene, due_scenes
from t2s_pipeline.steps.question_times import QuestionTimes
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scene_collection import collected_objects
from t2s_pipeline.steps.scene_registry import RegisterScene
from t2s_pipeline.steps.standing_questions import StandingQuestion, standing_questions
from t2s_pipeline.vision.view import SceneView
from tests.scenes.painted import painted, save
from tests.stand_in_worker import StandIn

BOXES = [(10, 12, 50, 40), (100, 60, 140, 90)]
ASK = "question,system\nWhere?,zero-shot-mini\n"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A T2S_HOME with one standing question and an empty imagery folder."""
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    settings = Settings.from_env()
    settings.imagery.mkdir()
    settings.standing_questions.write_text(ASK)
    return settings


def runner_of(settings: Settings, **worker: int) -> tuple[Runner, StandIn]:
    stand_in = StandIn(settings, **worker)
    return Runner(settings, stand_in, lambda _: None), stand_in


def answered(settings: Settings, **worker: int) -> int:
    """Ask all scenes; return how often the worker was started."""
    runner, stand_in = runner_of(settings, **worker)
    answer_all(runner)
    return len(stand_in.calls)


def rows(settings: Settings, sql: str) -> list[tuple]:
    return [tuple(row.values()) for row in query(settings, sql).to_pylist()]


def without_answer(settings: Settings) -> dict[str, str]:
    return dict(rows(settings, "SELECT scene, reason FROM scenes_without_answer"))


def test_a_scene_has_a_row_with_its_place_and_its_objects_have_rows_with_theirs(settings):
    import rasterio

    path = save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    with rasterio.open(path, "r+") as file:
        file.update_tags(TIFFTAG_DATETIME="2026:05:01 10:11:12")
    assert answered(settings) == 1
    (scene,) = query(settings, "from scenes").to_pylist()
    assert (scene["scene"], scene["path"], scene["crs_name"]) == ("a.tif", "imagery/a.tif", "EPSG:32632")
    assert (scene["width"], scene["height"], scene["bands"], scene["reason"]) == (200, 150, 3, None)
    # 200 × 150 pixels of half a metre from 500,000, 5,000,000 to the right and down.
    assert scene["bounds"] == [500_000, 4_999_925, 500_100, 5_000_000]
    assert scene["transform"] == [0.5, 0, 500_000, 0, -0.5, 5_000_000]
    assert scene["west"] == pytest.approx(9.0) and scene["pixel_size"] == pytest.approx(0.5, rel=1e-3)
    assert scene["time"] == datetime(2026, 5, 1, 10, 11, 12, tzinfo=UTC)
    first, second = query(settings, "from scene_objects order by object").to_pylist()
    outline = shapely.from_wkb(first["geometry"])
    # The ellipse in the box 10, 12, 50, 40: π/4 · 40 · 28 pixels of a quarter of a square metre.
    assert outline.bounds == (500_005, 4_999_980, 500_025, 4_999_994) and outline.is_valid
    assert first["area_m2"] == pytest.approx(np.pi / 4 * 40 * 28 / 4, rel=0.02)
    assert scene["west"] < first["west"] < first["east"] < second["west"] < scene["east"]
    assert (first["status"], first["thought"], first["system"]) == ("ok", "I look for colour.", "zero-shot-mini")
    assert (settings.home / first["folder"] / "mask.tif").is_file()
    assert without_answer(settings) == {}


def test_twice_is_once_and_a_changed_file_is_asked_anew(settings):
    path = save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    assert answered(settings) == 1
    before = query(settings, "from scene_objects")
    content = path.read_bytes()
    path.unlink()
    assert answered(settings) == 0  # removed: the answer stays
    path.write_bytes(content)
    assert answered(settings) == 0  # the same file, copied again
    assert query(settings, "from scene_objects").equals(before)
    save(path, painted(150, 200, BOXES[:1]))
    assert answered(settings) == 1
    assert rows(settings, "SELECT object FROM objects_found") == [(1,)]


def test_answers_stay_when_the_file_of_a_scene_is_removed(settings):
    path = save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    answered(settings)
    before = query(settings, "from objects_found")
    path.unlink()
    runner, worker = runner_of(settings)
    runner.run(RegisterScene("a.tif"))
    answer_scene(runner, "a.tif")
    assert worker.calls == [] and before.num_rows == 2
    assert query(settings, "from objects_found").equals(before) and without_answer(settings) == {}
    assert rows(settings, "SELECT reason FROM scenes") == [("vanished",)]


def test_objects_of_a_former_file_are_not_found(settings):
    path = save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    answered(settings)
    save(path, painted(150, 200, BOXES[:1]))
    runner_of(settings)[0].run(RegisterScene("a.tif"))
    assert rows(settings, "SELECT * FROM objects_found") == []
    assert without_answer(settings) == {"a.tif": "waiting"}


def test_a_search_that_was_killed_midway_goes_on(settings):
    save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    runner, killed = runner_of(settings, asks=5)
    with pytest.raises(KeyboardInterrupt):
        answer_all(runner)
    assert without_answer(settings) == {"a.tif": "waiting"}
    runner, following = runner_of(settings)
    answer_all(runner)
    interrupted = rows(settings, "SELECT object, geometry FROM scene_objects ORDER BY object")
    _, whole = runner_of(settings)
    answer_all(Runner(settings, whole, lambda _: None, fresh=True))
    counts = [len(worker.answerers[0].asked) for worker in (killed, following, whole)]
    assert counts[0] > 0 and counts[1] > 0 and counts[0] + counts[1] == counts[2]
    assert rows(settings, "SELECT object, geometry FROM scene_objects ORDER BY object") == interrupted


def test_an_answer_whose_rows_were_not_written_is_not_asked_again(settings):
    import shutil

    save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    answered(settings)
    before = query(settings, "from scene_objects")
    shutil.rmtree(settings.lake / "scene_objects")
    assert answered(settings) == 0
    assert query(settings, "from scene_objects").equals(before)


def test_a_scene_that_cannot_be_asked_is_set_aside_with_a_sentence_and_the_others_go_on(settings):
    folder = settings.imagery
    save(folder / "good.tif", painted(150, 200, BOXES))
    (folder / "damaged.tif").write_text("no raster")
    whole = save(folder / "cut.tif", np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)).read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) // 2])
    save(folder / "no-crs.tif", painted(30, 40, []), crs=None)
    save(folder / "empty.tif", np.zeros((8, 8, 3), np.uint16), nodata=0)
    save(folder / "black.tif", np.zeros((8, 8, 3), np.uint8), nodata=0)
    save(folder / "nowhere.tif", painted(30, 40, []), transform=(1, 0, 1e12, 0, -1, 1e12))
    (folder / "item.json").write_text('{"type": "Feature", "stac_version": "1.0.0", "assets": {}}')
    (folder / "dangling.tif").symlink_to(folder / "gone.tif")
    answered(settings)
    assert rows(settings, "SELECT DISTINCT scene FROM objects_found") == [("good.tif",)]
    assert without_answer(settings) == {
        "damaged.tif": "unreadable",
        "cut.tif": "failed",
        "no-crs.tif": "no_crs",
        "empty.tif": "no_values",
        "black.tif": "failed",
        "nowhere.tif": "unusable_crs",
        "item.json": "stac_item",
        "dangling.tif": "stac_item",
    }
    sentences = rows(settings, "SELECT detail FROM scenes_without_answer")
    assert all(len(text) > 20 and "\n" not in text for (text,) in sentences)
    assert answered(settings) == 0


def test_a_scene_that_disappears_before_it_is_registered_is_set_aside(settings):
    runner, worker = runner_of(settings)
    runner.run(RegisterScene("gone.tif"))
    answer_scene(runner, "gone.tif")
    assert worker.calls == [] and rows(settings, "SELECT scene, reason FROM scenes") == [("gone.tif", "vanished")]


def test_a_row_that_cannot_be_used_is_set_aside_and_the_others_are_asked(settings):
    settings.standing_questions.write_text(
        "question,system,schedule\n"
        "Where?,zero-shot-mini,\n"
        "Who?,nobody,\n"
        f"{'x' * 10_000},zero-shot-mini,\n"
        "When?,zero-shot-mini,soon\n"
        "Where?,zero-shot-mini,daily 02:00\n"
        ",zero-shot-mini,\n"
        "too,many,cells,here\n"
        '"<script>alert(1)</script>",zero-shot-mini,Daily 02:00\n'
    )
    save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    assert answered(settings) == 2
    assert rows(settings, "SELECT row, reason FROM standing_questions WHERE reason IS NOT NULL") == [
        (3, "unknown_system"),
        (4, "invalid_question"),
        (5, "invalid_schedule"),
        (6, "twice"),
        (7, "invalid_question"),
        (8, "invalid_row"),
    ]
    details = rows(settings, "SELECT detail FROM scenes_without_answer ORDER BY row")
    assert [text.split(" of ")[0] for (text,) in details] == [
        f"Row {row}" for row in (3, 4, 5, 7, 8)
    ]  # row 2 answers for row 6
    asked = rows(settings, "SELECT DISTINCT question FROM objects_found ORDER BY 1")
    assert asked == [("<script>alert(1)</script>",), ("Where?",)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\xff\xfe", "is not UTF-8"),
        (b"what,who\n1,2\n", "has another header than question,system,schedule"),
        (b"question,colour\n1,2\n", "has another header than question,system,schedule"),
        (b'"question', "has no header that can be read"),
        (b"", "has another header"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_row(settings, content: bytes, sentence: str):
    settings.standing_questions.write_bytes(content)
    (row,) = standing_questions(settings)
    assert (row.row, row.reason) == (0, "unreadable_file") and sentence in row.detail


def test_a_system_that_fails_does_not_stop_the_other_question(settings):
    settings.standing_questions.write_text(ASK + "Which?,think2seg-rs-3b\nHow?,zero-shot-mini\n")

    class Failing(StandIn):
        def ask(self, requests: Path) -> None:
            if "Where?" in requests.read_text():
                raise T2SError("the worker was killed")
            super().ask(requests)

    save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    faults = answer_all(Runner(settings, Failing(settings), lambda _: None))
    assert len(faults) == 1 and "'Where?': the worker was killed" in faults[0]
    assert rows(settings, "SELECT DISTINCT question FROM objects_found") == [("How?",)]
    reasons = rows(settings, "SELECT question, reason FROM scenes_without_answer ORDER BY row")
    assert reasons == [("Where?", "waiting"), ("Which?", "unknown_system")]


@pytest.mark.parametrize(
    ("status", "word", "detail", "asked_again"),
    [
        ("failed", "incomplete", "1 of 1 views failed: a reason", 1),
        ("unreadable", "unreadable", "1 of 1 views gave an answer of another form: a reason", 0),
        ("absent", "absent", None, 0),
        ("ok", "empty_mask", None, 0),
        ("no_target", "no_target", None, 0),
    ],
)
def test_an_answer_without_objects_says_why(settings, monkeypatch, status, word, detail, asked_again):
    """Only an answer that is incomplete is asked again by the next run."""

    def run(search: Search, *_: object) -> tuple[list[ViewAnswer], list[object]]:
        view = SceneView(0, 0, 100, 100, 100, 100)
        return [ViewAnswer(view, status, "a reason" if status in ("failed", "unreadable") else "")], []

    monkeypatch.setattr(Search, "run", run)
    save(settings.imagery / "a.tif", painted(100, 100, []))
    assert answered(settings) == 1
    assert rows(settings, "SELECT status, detail FROM scene_objects") == [(word, detail)]
    assert answered(settings) == asked_again


def test_a_scene_is_registered_before_it_is_asked(settings):
    runner, _ = runner_of(settings)
    with pytest.raises(T2SError, match=r"The scene a\.tif is needed first: `t2s scenes answer` registers"):
        answer_scene(runner, "a.tif")


def test_a_scene_that_is_not_there_is_named(settings):
    with pytest.raises(InputError, match=r"There is no scene nowhere\.tif in"):
        answer_all(runner_of(settings)[0], ["nowhere.tif"])


# When a question is due.

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
"""A Wednesday."""


@pytest.mark.parametrize(
    ("schedule", "hours", "due"),
    [
        ("", 0, True),
        ("Every  new scene", 0, True),
        ("daily 02:00", 9, False),  # since 03:00
        ("daily 02:00", 11, True),  # since 01:00
        ("daily 12:00", 1, True),
        ("daily 12:01", 23, False),  # the last time was yesterday at 12:01
        ("daily 12:01", 24, True),
        ("wednesday 11:30", 1, True),
        ("monday 02:00", 24, False),
        ("monday 02:00", 59, True),  # since Monday 01:00
        ("thursday 02:00", 6 * 24, False),  # since Thursday 12:00
        ("thursday 02:00", 7 * 24, True),
    ],
)
def test_a_question_is_due_when_one_of_its_times_has_come(schedule: str, hours: int, due: bool):
    assert QuestionTimes.read(schedule).is_due(NOW - timedelta(hours=hours), NOW) is due


@pytest.mark.parametrize("text", ["soon", "daily", "daily 24:00", "daily 2:00", "* * * * *", "someday 02:00"])
def test_another_schedule_is_refused(text: str):
    with pytest.raises(InputError, match="is no schedule: write `every new scene`, `daily 02:00` or"):
        QuestionTimes.read(text)


def scene(name: str = "a.tif", files: str = "1") -> SceneFile:
    return SceneFile(name, Path(name), None, (), "", files)


def test_nothing_is_requested_twice_for_the_same_files():
    at_once, at_night = StandingQuestion(2, "Where?"), StandingQuestion(3, "Who?", "x", "daily 02:00")
    state, first = due_scenes(FeedState(), [scene()], [at_once, at_night], NOW)
    assert [(due.name, due.questions) for due in first] == [("a.tif", (at_once.key,))]
    for hours, expected in ((1, []), (15, [(at_night.key,)]), (16, []), (40, [])):
        state = FeedState.from_json(state.as_json())
        state, due = due_scenes(state, [scene()], [at_once, at_night], NOW + timedelta(hours=hours))
        assert [entry.questions for entry in due] == expected
    later = NOW + timedelta(hours=41)
    _, changed = due_scenes(state, [scene(files="2")], [at_once, at_night], later)
    assert [(entry.questions, entry.since) for entry in changed] == [((at_once.key,), later)]
    _, other = due_scenes(state, [scene()], [at_once, at_night, StandingQuestion(4, "Which?")], later)
    assert [entry.questions for entry in other] == [(StandingQuestion(4, "Which?").key,)]


def test_a_scene_without_a_question_is_registered_once():
    state, due = due_scenes(FeedState(), [scene()], [], NOW)
    assert [entry.questions for entry in due] == [()]
    assert due_scenes(state, [scene()], [], NOW)[1] == []
    state, _ = due_scenes(state, [], [], NOW)
    assert state.scenes == {}


# The objects of all scenes in one file.


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ending", ["gpkg", "geojson", "parquet"])
def test_objects_are_written_with_their_crs_or_in_degrees(settings, tmp_path: Path, ending: str):
    save(settings.imagery / "a.tif", painted(150, 200, BOXES))
    answered(settings)
    alone, both = tmp_path / f"alone.{ending}", tmp_path / f"both.{ending}"
    write_collection(alone, collected_objects(settings))
    save(settings.imagery / "b.tif", painted(150, 200, BOXES[:1]), crs="EPSG:32633")
    answered(settings)
    assert collected_objects(settings, scene="b.tif").num_rows == 1
    assert collected_objects(settings, question="Where?").num_rows == 3
    assert (
        collected_objects(settings, question="x'; --").num_rows == collected_objects(settings, system="x").num_rows == 0
    )
    write_collection(both, collected_objects(settings))
    for path, count, crs in ((alone, 2, "EPSG:32632"), (both, 3, "EPSG:4326")):
        if ending == "parquet":
            table = pq.read_table(path)
            outlines = shapely.from_wkb(table["geometry"].to_pylist())
            scenes = table["scene"].to_pylist()
        else:
            about, table = pyogrio.read_arrow(path)
            outlines = shapely.from_wkb(table[about["geometry_name"] or "wkb_geometry"].to_pylist())
            assert about["crs"] == ("EPSG:4326" if ending == "geojson" else crs)
            scenes = table["scene"].to_pylist()
        assert len(outlines) == count and scenes == ["a.tif", "a.tif", "b.tif"][:count]
        if path == both:
            west = shapely.bounds(outlines)[:, 0]
            # The same pixels in the next zone of UTM lie six degrees to the east.
            assert west[2] - west[0] == pytest.approx(6.0, abs=1e-6)
