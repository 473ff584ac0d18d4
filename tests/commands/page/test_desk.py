"""What the page can do, without HTTP and in this process: what is refused, and what is no longer remembered."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pytest

pytest.importorskip("shapely")
pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.commands.page import desk as desk_module  # noqa: E402
from t2s_pipeline.commands.page.desk import Chosen, Desk  # noqa: E402
from t2s_pipeline.core.errors import InputError, T2SError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.vision.geometry import PromptObject  # noqa: E402
from tests.commands.page.painted_worker import PaintedAnswerer  # noqa: E402
from tests.scenes.painted import painted, save  # noqa: E402

CHOSEN = Chosen("zero-shot-mini")
BLOB = PromptObject((20, 30, 60, 70))


def worker(arguments: Sequence[str]) -> None:
    """The command ``ask`` of the worker, whose module finds the painted answerer in place of the models."""
    models = ModuleType("t2s_pipeline.scenes.system_answerer")
    models.SystemAnswerer = PaintedAnswerer
    with patch.dict(sys.modules, {models.__name__: models}):
        from t2s_pipeline.scenes.worker import answer_requests

        answer_requests(Path(arguments[arguments.index("--requests") + 1]), NoProgress(), "cpu")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk with one scene of one blob. Its worker finds blobs by their colour, in this process."""
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    (tmp_path / "imagery").mkdir()
    save(tmp_path / "imagery" / "field.tif", painted(100, 160, [(20, 30, 60, 70)]))
    desk = Desk(Settings.from_env())
    monkeypatch.setattr(desk.work, "_plain", worker)
    yield desk
    desk.close()


def key_of(desk: Desk) -> str:
    """The key of the scene of the folder of imagery."""
    (key,) = (item["key"] for item in desk.choices()["scenes"] if item["name"] == "field.tif")
    return str(key)


def test_a_system_of_the_command_is_listed_first_although_its_weights_are_not_here(tmp_path, monkeypatch):
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    desk = Desk(Settings.from_env(), system="zero-shot-qwen2.5-vl-3b")
    choices = desk.choices()
    desk.close()
    first, *others = choices["systems"]
    assert choices["system"] == "zero-shot-qwen2.5-vl-3b"
    assert first == {"name": "zero-shot-qwen2.5-vl-3b", "reason": "named by --system", "drawn_only": False}
    assert "zero-shot-mini" in [item["name"] for item in others]
    with pytest.raises(T2SError, match="nobody"):
        Desk(Settings.from_env(), system="nobody")


def test_a_prompt_needs_its_object_and_something_to_segment(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    answer = desk.blank(key_of(desk), CHOSEN).key
    with pytest.raises(InputError, match="This object is not there any more"):
        desk.prompt(answer, 7, BLOB)
    with pytest.raises(InputError, match="The segmenter finds nothing there: move the box or the points"):
        desk.prompt(answer, None, PromptObject((100, 80, 120, 90)))
    assert desk.answer(answer).objects == {}
    made = desk.prompt(answer, None, BLOB)["object"]
    assert made["number"] == 1 and set(desk.answer(answer).objects) == {1}
    monkeypatch.setattr(desk_module, "MOST_OBJECTS", 1)
    with pytest.raises(InputError, match="The answer has 1 objects already"):
        desk.prompt(answer, None, BLOB)
    assert desk.prompt(answer, 1, BLOB)["object"]["number"] == 1, "an object that is there can be changed"


def test_a_scene_that_is_damaged_after_it_was_opened_is_one_sentence(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    key = key_of(desk)
    answer = desk.blank(key, CHOSEN).key
    path = desk.answer(answer).scene.path

    whole = path.read_bytes()

    def damaging(arguments: Sequence[str]) -> None:
        path.write_bytes(b"no raster")
        worker(arguments)

    monkeypatch.setattr(desk.work, "_plain", damaging)
    with pytest.raises(InputError, match=r"field\.tif cannot be read as a raster"):
        desk.prompt(answer, None, BLOB)
    path.write_bytes(whole)
    desk.ask(key, "Where is it?", CHOSEN)
    desk.work._thread.submit(lambda: None).result()
    assert desk.work.state.state == "failed" and "field.tif" in desk.work.state.sentence


def test_the_oldest_answers_are_forgotten(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(desk_module, "MOST_ANSWERS", 2)
    first, second, third = (desk.blank(key_of(desk), CHOSEN).key for _ in range(3))
    with pytest.raises(InputError, match="This answer is not remembered any more: ask again"):
        desk.answer(first)
    assert [desk.answer(key).key for key in (second, third)] == [second, third]
