"""Each step that did its work is recorded with its seconds and memory; a step that was skipped is not."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake.folders import partition_file  # noqa: E402
from t2s_pipeline.lake.schema import STEP_TIMES  # noqa: E402
from t2s_pipeline.lake.store import read_partition  # noqa: E402
from t2s_pipeline.lake.views import query  # noqa: E402
from t2s_pipeline.steps import step_times  # noqa: E402
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes  # noqa: E402
from t2s_pipeline.steps.runner import Runner  # noqa: E402
from t2s_pipeline.steps.scores import Publish  # noqa: E402
from t2s_pipeline.steps.step import Context  # noqa: E402

NEEDED = "import sys; held = bytes(b'x') * 150_000_000; print('holds it', flush=True); sys.stdin.read()"


class WithChild(Publish):
    """A step whose child process holds 150 MB, and which itself holds 120 MB."""

    def work(self, context: Context, fingerprint: str) -> None:
        held = b"y" * 120_000_000
        child = subprocess.Popen([sys.executable, "-c", NEEDED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        child.stdout.readline()
        self.wait_for_a_look()
        child.communicate()
        assert held
        super().work(context, fingerprint)

    def wait_for_a_look(self) -> None:
        """Wait until the memory was looked at after this moment."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "python", REPO / "sql")


def times(settings: Settings, step: str) -> list[dict]:
    return read_partition(settings.lake, STEP_TIMES, {"step_name": step}).to_pylist()


def test_a_step_is_recorded_once_and_not_when_it_is_skipped(settings: Settings):
    runner = Runner(settings, lambda _: None, lambda _: None)
    runner.run(SyntheticScenes(2, 1, 1))
    for _ in range(2):
        (samples,) = (
            report.rows for report in runner.run(ReadTables("synthetic", "train")) if report.table == "samples"
        )
    (row,) = times(settings, "tables")
    assert row["subject"] == "synthetic train" and samples == 2 < row["rows_written"]
    assert 0 < row["seconds"] < 3600 and 10 < row["process_mb"] < 100_000
    Runner(settings, lambda _: None, lambda _: None, fresh=True).run(ReadTables("synthetic", "train"))
    first, second = times(settings, "tables")
    assert first == row and second["session"] == row["session"] and second["started_at"] > row["started_at"]
    (costs,) = query(settings, "FROM step_costs WHERE step_name = 'tables'").to_pylist()
    assert costs["times"] == 2 and costs["rows_written"] == 2 * row["rows_written"]
    assert costs["longest"] == round(max(first["seconds"], second["seconds"]), 1)


def test_the_memory_of_the_process_and_of_its_children_is_measured(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    looks: list[float] = []
    resident = step_times.CostMeter.look

    def look(meter: step_times.CostMeter) -> None:
        resident(meter)
        looks.append(meter.cost.children_mb)

    def wait_for_a_look(_: WithChild) -> None:
        seen = len(looks)
        while len(looks) < seen + 2:
            pass

    monkeypatch.setattr(step_times.CostMeter, "look", look)
    monkeypatch.setattr(step_times, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(WithChild, "wait_for_a_look", wait_for_a_look)
    # A worker that an earlier test has started may still be there.
    others = sum(child.memory_info().rss for child in psutil.Process().children(recursive=True)) / 1e6
    Runner(settings, lambda _: None, lambda _: None).run(WithChild())
    (row,) = times(settings, "publish")
    assert 150 < row["children_mb"] - others < 400 and row["process_mb"] > 120


def test_only_the_latest_rows_of_a_step_stay(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(step_times, "MOST_ROWS", 3)
    runner = Runner(settings, lambda _: None, lambda _: None, fresh=True)
    for _ in range(5):
        runner.run(Publish())
    started = [row["started_at"] for row in times(settings, "publish")]
    assert len(started) == 3 and started == sorted(started)


def test_a_damaged_record_costs_the_time_of_the_step_and_not_its_result(settings: Settings):
    sentences: list[str] = []
    runner = Runner(settings, lambda _: None, sentences.append, fresh=True)
    runner.run(Publish())
    path = partition_file(settings.lake, STEP_TIMES, {"step_name": "publish"})
    path.write_bytes(path.read_bytes()[:-40])
    (report,) = runner.run(Publish())
    assert report.rows > 100
    (sentence,) = (sentence for sentence in sentences if "not recorded" in sentence)
    assert str(path) in sentence and "t2s lake repair" in sentence
    with pytest.raises(InputError):
        times(settings, "publish")
