"""A dataset folder that disappears, or loses files, replaces no good partition."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.datasets import earthreason
from t2s_pipeline.datasets.catalog import add_dataset
from t2s_pipeline.datasets.ingest import TABLES
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.lake.schema import SAMPLES
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.steps.files import ReadTables
from t2s_pipeline.steps.runner import Runner

COUNT = 12


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes") / "mine"
    write_scenes(folder, train=1, val=COUNT, test=1, progress=False)
    return folder


@pytest.fixture
def folder(tmp_path, scenes) -> Path:
    return shutil.copytree(scenes, tmp_path / "mine")


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "python", REPO / "sql")


def read(settings: Settings, name: str, fresh: bool = False, accept_loss: bool = False) -> bool:
    """Read val; return whether it was finished already."""
    runner = Runner(settings, lambda _: None, lambda _: None, fresh)
    return all(report.skipped for report in runner.run(ReadTables(name, "val", accept_loss)))


def state(settings: Settings, name: str) -> list[object]:
    partition = {"dataset": name, "split": "val"}
    lake = settings.lake
    return [(fingerprint_of(lake, table, partition), read_partition(lake, table, partition)) for table in TABLES]


def after_reads(monkeypatch: pytest.MonkeyPatch, events: dict[int, Callable[[], object]]) -> None:
    """Let something happen before the n-th file is read."""
    calls = 0
    plain = earthreason.file_bytes

    def file_bytes(path: Path) -> bytes:
        nonlocal calls
        calls += 1
        if calls in events:
            events[calls]()
        return plain(path)

    monkeypatch.setattr(earthreason, "file_bytes", file_bytes)
    monkeypatch.setattr("t2s_pipeline.datasets.reading._workers", lambda: 1)


@pytest.mark.parametrize("comes_back", [False, True])
def test_a_folder_that_vanishes_while_it_is_read_changes_nothing(settings, folder, monkeypatch, comes_back):
    name = add_dataset(settings, folder)
    assert not read(settings, name)
    before = state(settings, name)
    away = folder.with_name("away")
    with monkeypatch.context() as patch, pytest.raises(InputError):
        after_reads(patch, {4: lambda: folder.rename(away), **({9: lambda: away.rename(folder)} if comes_back else {})})
        read(settings, name, fresh=True)
    assert state(settings, name) == before
    if not comes_back:
        with pytest.raises(InputError, match="is missing"):
            read(settings, name, fresh=True)
        away.rename(folder)
    assert read(settings, name), "the good tables are still valid"


def test_a_file_that_is_another_one_when_it_is_read_fails_the_step(settings, folder, monkeypatch):
    """It is back to what it was when the step looks again, so only the bytes that were read tell."""
    name = add_dataset(settings, folder)
    image = sorted((folder / "val").rglob("*.*"))[-1]
    content = image.read_bytes()
    with monkeypatch.context() as patch, pytest.raises(InputError, match=f"{image.name} changed or disappeared"):
        after_reads(patch, {1: lambda: image.write_bytes(content + b" ")})
        patch.setattr("t2s_pipeline.steps.files.split_files", restoring(image, content))
        read(settings, name)
    assert image.read_bytes() == content
    assert not read(settings, name) and len(state(settings, name)) == len(TABLES)


def restoring(path: Path, content: bytes) -> Callable[..., object]:
    from t2s_pipeline.datasets.reading import split_files

    def restored(*arguments: object, **options: object) -> object:
        path.write_bytes(content)
        return split_files(*arguments, **options)  # type: ignore[arg-type]

    return restored


def test_a_file_that_comes_while_the_split_is_read_fails_the_step(settings, folder, monkeypatch):
    name = add_dataset(settings, folder)
    images = sorted((folder / "val").rglob("*.png")) or sorted((folder / "val").rglob("*.jpg"))
    with monkeypatch.context() as patch, pytest.raises(InputError, match="changed while they were read"):
        after_reads(patch, {3: lambda: shutil.copy(images[0], images[0].with_stem("another"))})
        read(settings, name)


def test_far_fewer_samples_from_the_same_folder_are_asked_for(settings, folder):
    name = add_dataset(settings, folder)
    read(settings, name)
    before = state(settings, name)
    files = sorted(path for path in (folder / "val").rglob("*") if path.is_file() and path.suffix == ".json")
    for path in files[: COUNT // 2]:
        path.unlink()
    with pytest.raises(InputError, match=rf"had {COUNT} samples, and .* gives .* --accept-loss"):
        read(settings, name)
    assert state(settings, name) == before
    assert not read(settings, name, accept_loss=True)
    assert read_partition(settings.lake, SAMPLES, {"dataset": name, "split": "val"}).num_rows < COUNT
    assert read(settings, name), "the flag is no part of the fingerprint"
