"""The whole way with the real worker and the embedded models, on a few scenes: from files to pictures."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake import schema  # noqa: E402
from t2s_pipeline.lake.store import list_partitions, read_partition  # noqa: E402

WORKER = Settings.from_env().worker_python
pytestmark = [
    pytest.mark.orchestrator,
    pytest.mark.slow,
    pytest.mark.skipif(not WORKER.exists(), reason=f"no worker environment at {WORKER}: make setup"),
]

FEW = ("--train-scenes", "12", "--val-scenes", "2", "--test-scenes", "4", "--set", "grpo.steps=2")
SYSTEMS = {"zero-shot-mini", "think2seg-mini", "seg-zero-mini", "vision-reasoner-mini", "remote-reasoner-mini"}


def t2s(home: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "t2s_pipeline.cli", *arguments]
    environment = {**os.environ, "T2S_HOME": str(home), "T2S_SIDE_BY_SIDE": "2"}
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=1800)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T2S_HOME in which the demo has run; what it said is in ``said``."""
    home = tmp_path_factory.mktemp("home")
    done = t2s(home, "demo", *FEW)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (home / "said").write_text(done.stdout)
    return home


def test_it_ends_with_the_leaderboard_the_page_and_the_way_to_the_ui(home: Path):
    said = (home / "said").read_text()
    assert "synthetic-test, strict protocol, 4 samples" in said
    assert "synthetic-val, reference protocol, 2 samples" in said
    assert str(home / "report" / "index.html") in said
    assert "make ui" in said
    assert "Traceback" not in said


def test_every_table_of_the_way_is_there(home: Path):
    lake = home / "lake"
    for table in (schema.COMPLETIONS, schema.PREDICTIONS):
        found = {(where["system"], where["split"]) for where in list_partitions(lake, table)}
        assert found == {(system, split) for system in SYSTEMS for split in ("val", "test")}
    log = read_partition(lake, schema.TRAINING_LOG, {"run": "think2seg-mini"})
    assert log["step"].to_pylist() == [1, 2]
    metrics = read_partition(lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    assert {row["system"] for row in metrics} == SYSTEMS
    assert all(0 <= row["giou_low"] <= row["giou"] <= row["giou_high"] <= 100 for row in metrics)


def test_the_answers_are_the_models_own(home: Path):
    where = {"system": "zero-shot-mini", "dataset": "synthetic", "split": "test"}
    samples = read_partition(home / "lake", schema.SAMPLES, {"dataset": "synthetic", "split": "test"})
    completions = read_partition(home / "lake", schema.COMPLETIONS, where)
    assert len(completions) == sum(len(questions) for questions in samples["questions"].to_pylist())
    predictions = read_partition(home / "lake", schema.PREDICTIONS, {**where, "segmenter": "sam2-mini"})
    assert len(predictions) == len(completions)
    assert "error" not in predictions["status"].to_pylist()


def test_the_workers_progress_is_in_the_run_page(home: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with dg.DagsterInstance.get() as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.SUCCESS
        said = [entry.user_message for entry in instance.all_logs(run.run_id)]
    assert any("think2seg-mini: steps 2/2" in line for line in said)


def test_sql_answers(home: Path):
    done = t2s(home, "sql", "select system, giou from leaderboard where protocol = 'strict'", "--json")
    assert {row["system"] for row in json.loads(done.stdout)} == SYSTEMS


def test_the_second_time_nothing_is_redone(home: Path):
    before = times_of_results(home)
    again = t2s(home, "demo", *FEW)
    assert again.returncode == 0
    assert times_of_results(home) == before


def times_of_results(home: Path) -> dict[Path, int]:
    """When each file of the lake was written, but for the record of what steps took: the page is always built."""
    files = (path for path in (home / "lake").rglob("*.parquet") if "step_times" not in path.parts)
    return {path: path.stat().st_mtime_ns for path in files}


def test_sql_says_what_each_step_took(home: Path):
    done = t2s(home, "sql", "select step_name, seconds, process_mb, children_mb from step_costs", "--json")
    costs = {row["step_name"]: row for row in json.loads(done.stdout)}
    assert {"tables", "label", "train", "complete", "segment", "judge", "score", "summarize", "report"} <= costs.keys()
    assert all(row["seconds"] >= 0 and row["process_mb"] > 50 for row in costs.values())
    assert costs["train"]["children_mb"] > 200, "the worker has imported torch"


def test_real_scenes_take_the_place_of_the_embedded_ones_and_a_corrupt_image_is_set_aside(home: Path, tmp_path: Path):
    folder = tmp_path / "Some real scenes"
    shutil.copytree(REPO / "tests" / "data" / "real_scenes", folder)
    picture = sorted((folder / "test" / "images").iterdir())[0]
    picture.write_bytes(picture.read_bytes()[:2000])
    done = t2s(home, "demo", *FEW, "--scenes", str(folder))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "some-real-scenes-test, strict protocol, 1 samples" in done.stdout
    assert "synthetic-test, strict" not in done.stdout, "the board is of the folder that was evaluated"
    where = {"dataset": "some-real-scenes", "split": "test"}
    (reject,) = read_partition(home / "lake", schema.REJECTS, where).to_pylist()
    assert picture.name in reject["source"]
    (image,) = read_partition(home / "lake", schema.IMAGES, where).to_pylist()
    answered = {**where, "system": "think2seg-mini", "segmenter": "sam2-mini"}
    for table, partition in ((schema.SAMPLES, where), (schema.PREDICTIONS, answered)):
        masks = [row["mask"] for row in read_partition(home / "lake", table, partition).to_pylist() if row["mask"]]
        assert {(mask["width"], mask["height"]) for mask in masks} <= {(image["width"], image["height"])}
    assert "some-real-scenes" in (home / "report" / "index.html").read_text()
