"""A bad folder among checkpoints is named with its reason, and every other checkpoint stays usable.

Each kind of damage lies beside a good checkpoint, in the watched folder and among the checkpoints of a run.
"""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from t2s_pipeline.core import arrival
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.systems.candidates import candidates
from t2s_pipeline.systems.watched_folder import look
from t2s_pipeline.training.checkpoints import EXPORTED, MARKER
from tests.systems.checkpoint_folders import MINI, put

Spoil = Callable[[Path], object]
DEEP = "[" * 100_000


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    return Settings(tmp_path, tmp_path / "python")


def exported(put_there: Callable[[Path], object]) -> Spoil:
    """The settings of an export, with nothing beside them that names others."""

    def spoil(folder: Path) -> None:
        (folder / "evaluate.json").unlink()
        put_there(folder / EXPORTED)

    return spoil


def replaced(name: str, put_there: Callable[[Path], object]) -> Spoil:
    """The file of that name gives way to something else."""

    def spoil(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        put_there(path)

    return spoil


def holding(text: str | bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text if isinstance(text, bytes) else text.encode())


def linked_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


def stating(**content: object) -> Spoil:
    return replaced("evaluate.json", holding(json.dumps({"experiment": "think2seg-rs-3b"} | content)))


def marked(**fields: object) -> Spoil:
    """Our marker with other fields."""

    def spoil(folder: Path) -> None:
        put(folder, marker=True)
        content = {**json.loads((folder / MARKER).read_text()), **fields}
        (folder / MARKER).write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))

    return spoil


def header(content: object, data: bytes = bytes(8)) -> Spoil:
    text = json.dumps(content).encode() if not isinstance(content, bytes) else content
    return replaced("model.safetensors", holding(struct.pack("<Q", len(text)) + text + data))


SETTINGS_FILES = ("evaluate.json", MARKER, "model.safetensors.index.json")
NO_FILES = [Path.mkdir, os.mkfifo, linked_to("/dev/zero"), linked_to("/nowhere"), linked_to("evaluate.json/x")]
BAD_JSON = ["{", "[]", "3", "null", '"x"', DEEP, '{"a": ' * 1000, "\0", "9" * 5000, b"\xff\xfe", b"\x80"]
BAD = [
    *(replaced(name, kind) for name in (*SETTINGS_FILES[:2], "model.safetensors") for kind in NO_FILES),
    *(exported(kind) for kind in NO_FILES),
    *(replaced(name, holding(text)) for name in SETTINGS_FILES for text in BAD_JSON),
    *(exported(holding(text)) for text in BAD_JSON),
    *(replaced(name, holding(b" " * 5_000_000)) for name in SETTINGS_FILES[:2]),
    *(replaced("model.safetensors", holding(data)) for data in (b"", b"\0" * 7, b"\xff" * 8, b"\xff" * 100)),
    *(header(content) for content in ([], 3, {"w": 3}, {"w": {"data_offsets": [0]}}, {"w": {"data_offsets": "08"}})),
    *(header({"w": {"data_offsets": [0, end]}}) for end in (9, -1, 10**30, 1e400, None, {}, "8")),
    header(DEEP.encode()),
    *(stating(step=step) for step in ("last", -1, 1.5, 10**30, True, [], None)),
    *(stating(template=name) for name in (3, "../../etc/passwd", "/etc/passwd", "a" * 300, "a\0b", "none.toml", ["a"])),
    *(
        stating(segmenter=name)
        for name in ("nothing", "~nobody/x.pt", "a" * 300, "a\0b", "/nowhere/sam2.1_hiera_small.pt")
    ),
    *(stating(**{key: value}) for key, value in (("seed", 1), ("recipe", 3), ("generation", {"max_new_tokens": "x"}))),
    stating(generation={"max_new_tokens": 10**30}),
    stating(recipe={"a": {"b": {"c": 1}}}),
    *(
        replaced("evaluate.json", holding(json.dumps({"experiment": name})))
        for name in (3, [], {}, "no such one", "a" * 400)
    ),
    *(marked(experiment=value) for value in (3, [], {}, "x", {"grpo": 3}, {**MINI.as_json(), "grpo": None}, None)),
    *(marked(step=value) for value in ("x", -1, None, 1.5, [1], True)),
    *(marked(created_at=value) for value in ("yesterday", 3, None, "")),
    *(marked(**{key: ...}) for key in ("step", "steps", "experiment", "sha256", "created_at", "run")),
    marked(unknown=1),
    marked(sha256=3),
    replaced("model.safetensors.index.json", holding('{"weight_map": 3}')),
    replaced("model.safetensors.index.json", holding('{"weight_map": {"w": 3}}')),
    replaced("model.safetensors.index.json", holding('{"weight_map": {"w": "../../other/model.safetensors"}}')),
    replaced("model.safetensors.index.json", holding('{"weight_map": {"w": "/etc/passwd"}}')),
    replaced("model.safetensors.index.json", holding(json.dumps({"weight_map": {"w": "a" * 300}}))),
]


@pytest.mark.parametrize("spoil", [pytest.param(spoil, id=str(number)) for number, spoil in enumerate(BAD)])
def test_a_bad_folder_is_set_aside_and_the_others_stay(settings: Settings, spoil: Spoil) -> None:
    put(settings.watched / "good", marker=True)
    for folder in (settings.watched / "bad", settings.watched / "steps" / "checkpoint-20"):
        put(folder, experiment="think2seg-rs-3b")
        spoil(folder)
    put(settings.watched / "steps" / "checkpoint-40", marker=True, at=40)
    usable, unusable = candidates(settings)
    assert {candidate.system.name for candidate in usable} == {"good", "steps--40"}
    assert {one.path.name for one in unusable} == {"bad", "checkpoint-20"}
    assert all(one.reason and len(str(one)) < 2000 for one in unusable)


FOLDERS = ("checkpoint-" + "9" * 200, "checkpoint-٣", "a" * 200, "a" * 101, "A b", "..a", "a\nb", "\udcff", "x" * 255)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_with_an_odd_name_is_set_aside_and_the_others_stay(settings: Settings, name: str) -> None:
    put(settings.watched / "good", marker=True)
    put(settings.watched / "steps" / "checkpoint-40", marker=True, at=40)
    put(settings.watched / name, marker=True)
    put(settings.watched / "steps" / name, marker=True)
    usable, _ = candidates(settings)
    assert {candidate.system.name for candidate in usable} == {"good", "steps--40"}


def test_what_is_no_folder_at_all_is_passed_over(settings: Settings) -> None:
    put(settings.watched / "good", marker=True)
    (settings.watched / "file").write_text("x")
    os.mkfifo(settings.watched / "pipe")
    (settings.watched / "nowhere").symlink_to("/nowhere")
    (settings.watched / "itself").symlink_to(settings.watched / "itself")
    (settings.watched / "around").symlink_to(settings.watched)
    usable, unusable = look(settings)
    assert [one.system for one in usable] == ["good"]
    assert [one.path.name for one in unusable] == ["around"]


@pytest.mark.parametrize("damage", ["{", DEEP, '{"step": 20}', "[]"])
def test_a_damaged_marker_of_a_run_costs_one_checkpoint(settings: Settings, damage: str) -> None:
    for step in (20, 40):
        put(settings.runs / "think2seg-mini" / f"checkpoint-{step}", marker=True, at=step)
    (settings.runs / "think2seg-mini" / "checkpoint-20" / MARKER).write_text(damage)
    usable, unusable = candidates(settings)
    assert [one.step for one in usable] == [40]
    assert [one.path.name for one in unusable] == ["checkpoint-20"]
