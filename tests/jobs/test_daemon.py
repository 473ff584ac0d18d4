"""With the web UI's daemon running, a checkpoint or a scene that is dropped into its folder gets its rows by itself."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake.views import query  # noqa: E402
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes  # noqa: E402
from t2s_pipeline.worker.process_ids import PROCESS  # noqa: E402
from tests.jobs.test_automation import put, runner_of  # noqa: E402
from tests.scenes.painted import painted, save  # noqa: E402

pytestmark = [pytest.mark.orchestrator, pytest.mark.slow]

PATIENCE = 420.0
"""Seconds after which the daemon is stopped and the test fails."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory):
    """A T2S_HOME with the splits read, and a worker that needs no torch."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield prepared(tmp_path_factory.mktemp("daemon"), monkeypatch)


def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    worker = tmp_path / "python"
    # Called as `python -u -m t2s_pipeline.worker VERB …`; the first three words are not the stand-in's.
    worker.write_text(f'#!/bin/sh\nshift 3\nexec "{sys.executable}" -m tests.stand_in_worker "$@"\n')
    worker.chmod(0o755)
    monkeypatch.setenv("T2S_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("T2S_WORKER_PYTHON", str(worker))
    monkeypatch.setenv("T2S_LOOK_EVERY", "5")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    found = Settings.from_env()
    runner = runner_of(found)
    runner.run(SyntheticScenes(train=1, val=3, test=2))
    for split in ("val", "test"):
        runner.run(ReadTables("synthetic", split))
    return found


class Daemon:
    """`t2s ui`, and what it says; ends with everything it started."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "t2s_pipeline.cli", "ui", "--port", str(port)],
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []

    def until(self, holds) -> None:
        """Read on, a line at a time, until ``holds`` of the last line; the daemon says something every few seconds."""
        watchdog = threading.Timer(PATIENCE, self.stop)
        watchdog.start()
        for line in self.process.stdout:
            self.said.append(line)
            if holds(line):
                watchdog.cancel()
                return
        pytest.fail(f"The daemon ended before it came to that. It said last:\n{''.join(self.said[-60:])}")

    def stop(self) -> None:
        try:
            os.killpg(self.process.pid, signal.SIGINT)
            self.process.wait(60)
            os.killpg(self.process.pid, signal.SIGKILL)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass  # gone, or about to be: the group is killed below
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


@pytest.fixture(scope="module")
def daemon(settings):
    running = Daemon()
    yield running
    running.stop()


def rows(settings: Settings) -> set[tuple]:
    """What the trend and the board have of the dropped checkpoint."""
    trend = query(settings, "SELECT system, step, split, protocol FROM checkpoint_trend WHERE run = 'theirs'")
    board = query(settings, "SELECT system, -1, split, protocol FROM leaderboard WHERE system = 'theirs'")
    return {tuple(row.values()) for table in (trend, board) for row in table.to_pylist()}


EXPECTED = {
    ("theirs", step, split, protocol)
    for step in (20, -1)
    for split in ("val", "test")
    for protocol in ("strict", "reference")
}


def runs(settings: Settings) -> int:
    with dg.DagsterInstance.from_config(str(settings.home / "dagster")) as instance:
        return instance.get_runs_count()


def test_a_dropped_checkpoint_is_evaluated_by_itself_and_dropping_it_again_does_nothing(settings, daemon, tmp_path):
    daemon.until(lambda line: "new_checkpoints skipped" in line)
    put(tmp_path / "copy")
    # A person's `cp -r`: the files appear one by one under the final name.
    shutil.copytree(tmp_path / "copy", settings.watched / "theirs")
    daemon.until(lambda line: rows(settings) == EXPECTED)
    # Let what follows from it settle: the automation has nothing to request, twice.
    daemon.until(Counted(2, "Tick produced 0 runs"))
    before = runs(settings)
    shutil.rmtree(settings.watched / "theirs")
    shutil.copytree(tmp_path / "copy", settings.watched / "theirs")
    daemon.until(Counted(2, "new_checkpoints skipped"))
    daemon.until(Counted(2, "Tick produced 0 runs"))
    assert runs(settings) == before
    assert rows(settings) == EXPECTED


ANSWERED = 'RUN_SUCCESS - Finished execution of run for "feed"'


def process_of_feed(settings: Settings) -> int:
    """The process of the one run that answers a scene now."""
    running = dg.RunsFilter(job_name="feed", statuses=[dg.DagsterRunStatus.STARTED])
    with dg.DagsterInstance.from_config(str(settings.home / "dagster")) as instance:
        (run,) = instance.get_runs(filters=running)
    return int(run.tags[PROCESS].partition("@")[0])


def objects(settings: Settings, scene: str) -> int:
    """The objects that were found in a scene."""
    counted = query(settings, f"SELECT count(*) AS n FROM objects_found WHERE scene = '{scene}'")
    return counted["n"][0].as_py()


def asked(settings: Settings) -> list[int]:
    """The images that were asked about by each start of the worker for a scene."""
    file = settings.home / "asked.txt"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def test_a_dropped_scene_is_answered_by_itself_once_and_goes_on_after_its_run_was_killed(settings, daemon, tmp_path):
    scene = save(tmp_path / "copy.tif", painted(150, 200, [(10, 12, 50, 40), (100, 60, 140, 90)]))
    settings.standing_questions.write_text("question,system\nWhere?,zero-shot-mini\n")
    settings.imagery.mkdir()
    shutil.copyfile(scene, settings.imagery / "a.tif")
    daemon.until(Counted(1, ANSWERED))
    assert objects(settings, "a.tif") == 2
    (images,) = asked(settings)

    # The same file again: a run looks at it, and nothing is asked.
    (settings.imagery / "a.tif").unlink()
    shutil.copyfile(scene, settings.imagery / "a.tif")
    daemon.until(Counted(1, ANSWERED))
    assert asked(settings) == [images] and objects(settings, "a.tif") == 2

    (settings.home / "held").touch()
    shutil.copyfile(scene, settings.imagery / "b.tif")
    daemon.until(lambda line: len(asked(settings)) == 2)
    process = process_of_feed(settings)
    (settings.home / "held").unlink()
    os.kill(process, signal.SIGKILL)
    daemon.until(Counted(1, ANSWERED))
    assert objects(settings, "b.tif") == 2
    # What was asked before the run was killed is not asked again.
    assert asked(settings) == [images, 2, images - 2]


class Counted:
    """Holds of the n-th line with these words."""

    def __init__(self, times: int, words: str) -> None:
        self.left, self.words = times, words

    def __call__(self, line: str) -> bool:
        self.left -= self.words in line
        return self.left <= 0
