"""`t2s scenes` and `t2s questions`: what is there, what is wrong with it, and the objects as a file."""

import json
from pathlib import Path

import pytest

pytest.importorskip("dagster")
pytest.importorskip("shapely")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core import arrival  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.steps.feed import answer_all  # noqa: E402
from t2s_pipeline.steps.runner import Runner  # noqa: E402
from t2s_pipeline.worker import launcher  # noqa: E402
from tests.commands.test_cli import t2s  # noqa: E402
from tests.scenes.painted import painted, save  # noqa: E402
from tests.stand_in_worker import StandIn  # noqa: E402


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A T2S_HOME in which one scene was answered, one cannot be asked, and one is new."""
    place = tmp_path_factory.mktemp("feed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T2S_HOME", str(place))
        patch.setattr(arrival, "QUIET_SECONDS", 0.0)
        settings = Settings.from_env()
        settings.imagery.mkdir()
        settings.standing_questions.write_text("question,system\nWhere?,zero-shot-mini\n")
        save(settings.imagery / "a.tif", painted(100, 100, [(10, 12, 50, 40)]))
        (settings.imagery / "bad.tif").write_text("no raster")
        answer_all(Runner(settings, StandIn(settings), lambda _: None))
        (settings.imagery / "c\x1b[2J.tif").write_text("new")
        yield place


def test_every_scene_is_listed_with_its_state(home: Path):
    done = t2s(home, "scenes")
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line and not line.startswith(" ")}
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert "100 × 100" in lines["a.tif"] and "EPSG:32632" in lines["a.tif"]
    assert "cannot be read as a raster" in lines["bad.tif"]
    assert any(name.startswith("c-2j.tif-") and "new" in line for name, line in lines.items())


def test_the_questions_are_listed_and_a_row_that_cannot_be_used_is_an_error(home: Path, tmp_path: Path):
    done = t2s(home, "questions")
    assert done.returncode == 0 and "Where?" in done.stdout and "every new scene" in done.stdout
    assert "There are no standing questions" in t2s(tmp_path, "questions").stdout
    (tmp_path / "questions.csv").write_text("question,schedule\nWhere?,daily 02:00\nWho?,soon\n")
    done = t2s(tmp_path, "questions")
    assert (done.returncode, "daily 02:00" in done.stdout) == (1, True)
    assert done.stderr.startswith("t2s: Row 3 of ") and "is no schedule" in done.stderr


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "parquet"])
def test_the_objects_are_written_to_a_file(home: Path, tmp_path: Path, kind: str):
    done = t2s(home, "scenes", "export", "--format", kind, "--out", tmp_path / f"o.{kind}")
    assert (done.returncode, done.stdout) == (0, f"1 objects: {tmp_path / f'o.{kind}'}\n")
    assert [path.name for path in tmp_path.iterdir()] == [f"o.{kind}"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--format", "shp"), "--format shp: give one of gpkg, geojson, parquet."),
        (("--out", "o.shp"), "--out o.shp: a file of the format gpkg ends in .gpkg."),
        (("--scene", "nowhere.tif"), "There is no such object"),
    ],
)
def test_what_cannot_be_written_is_one_sentence(home: Path, options: tuple[str, ...], sentence: str):
    done = t2s(home, "scenes", "export", *options)
    assert done.returncode == 1 and sentence in done.stderr and done.stdout == ""


def test_a_scene_that_is_not_there_cannot_be_asked(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2S_WORKER_PYTHON", "/bin/sh")
    done = t2s(home, "scenes", "answer", "nowhere.tif")
    assert done.returncode == 1 and "There is no scene nowhere.tif in" in done.stderr


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A T2S_HOME with one standing question and one scene that can be asked. A stand-in answers, in this process."""
    monkeypatch.setenv("T2S_WORKER_PYTHON", "/bin/sh")
    monkeypatch.setattr(launcher, "plain_launch", StandIn)
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    (tmp_path / "imagery").mkdir()
    (tmp_path / "questions.csv").write_text("question,system\nWhere?,zero-shot-mini\n")
    save(tmp_path / "imagery" / "a.tif", painted(100, 100, [(10, 12, 50, 40)]))
    return tmp_path


def test_scenes_are_asked_and_each_fault_is_listed(feed: Path):
    done = t2s(feed, "scenes", "answer")
    assert done.returncode == 0 and done.stdout.endswith('t2s sql "from scenes_without_answer"\n')
    assert len(json.loads(t2s(feed, "sql", "from objects_found", "--json").stdout)) == 1
    (feed / "questions.csv").unlink()
    done = t2s(feed, "scenes", "answer")
    assert done.returncode == 1 and done.stderr.startswith("t2s: No standing question is due for a.tif")
    (feed / "imagery" / "bad.tif").write_text("no raster")
    done = t2s(feed, "scenes", "answer")
    assert done.stderr == "t2s: 2 scenes could not be asked completely.\n"
    faults = [line for line in done.stdout.splitlines() if line.startswith("No standing question is due for ")]
    assert [line.split(":")[0].split()[-1] for line in faults] == ["a.tif", "bad.tif"]


def test_the_list_says_what_is_gone_and_what_is_still_arriving(feed: Path, monkeypatch: pytest.MonkeyPatch):
    t2s(feed, "scenes", "answer")
    (feed / "imagery" / "a.tif").rename(feed / "imagery" / "b.tif")
    lines = {line.split()[0]: line for line in t2s(feed, "scenes").stdout.splitlines() if line}
    assert lines["a.tif"].endswith("its file is gone") and lines["b.tif"].rstrip().endswith("new")
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 1e9)
    lines = t2s(feed, "scenes").stdout.splitlines()
    assert f"{feed / 'imagery' / 'b.tif'} was changed a moment ago: it is taken when it is whole." in lines
    assert not [line for line in lines if line.startswith("b.tif ")]


def test_a_folder_without_scenes_says_what_belongs_there(tmp_path: Path):
    words = f"{tmp_path / 'imagery'} holds no scene: put rasters or STAC items there."
    assert t2s(tmp_path, "scenes").stdout.splitlines() == [words]


def test_several_rows_that_cannot_be_used_are_listed(tmp_path: Path):
    (tmp_path / "questions.csv").write_text("question,schedule\nWhere?,never\nWho?,soon\n")
    done = t2s(tmp_path, "questions")
    assert done.stderr == f"t2s: 2 rows of {tmp_path / 'questions.csv'} cannot be used.\n"
    assert [line.split(" of ")[0] for line in done.stdout.splitlines()] == ["Row 2", "Row 3"]
