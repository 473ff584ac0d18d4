"""Two first starts at once: one process creates Dagster's history, the other waits."""

import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from t2s_pipeline.commands.instance import DATABASES, create_history, prepare  # noqa: E402
from t2s_pipeline.commands.processes.history import open_history  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402

pytestmark = pytest.mark.orchestrator


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Settings(tmp_path / "home", tmp_path / "python")


def test_only_one_process_opens_it_at_a_time(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    opened, together = [], threading.Barrier(2)

    def get():
        # Two that are here at the same time pass. One that is alone does not.
        with pytest.raises(threading.BrokenBarrierError):
            together.wait(0.2)
        together.reset()
        opened.append(True)
        return nullcontext("instance")

    monkeypatch.setattr(dg.DagsterInstance, "get", get)

    def first_start() -> None:
        with open_history(settings):
            pass

    threads = [threading.Thread(target=first_start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 3


def test_the_web_ui_finds_all_databases_and_creates_them_once(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    environment = prepare(settings)
    create_history(settings, environment)
    home = Path(environment["DAGSTER_HOME"])
    assert {name for name in DATABASES if (home / name).is_file()} == set(DATABASES)
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("created again"))
    create_history(settings, environment)
