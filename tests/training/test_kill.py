"""SIGKILL at any moment loses at most the steps since the last checkpoint, and changes nothing else."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.worker, pytest.mark.slow]
pytest.importorskip("torch")

from t2s_pipeline.core.settings import REPO  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.lake.schema import TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import fingerprint_of, read_partition  # noqa: E402
from t2s_pipeline.training import checkpoints  # noqa: E402
from tests.training.test_run import EXACT  # noqa: E402

STEPS = 8


def worker(home: Path, run: str) -> subprocess.Popen:
    settings = ("grpo.prompts_per_step=2", "grpo.group_size=4", "grpo.checkpoint_every=2", f"grpo.steps={STEPS}")
    words = [word for setting in (f"name={run}", *settings) for word in ("--set", setting)]
    command = [sys.executable, "-u", "-m", "t2s_pipeline.worker", "train", "--experiment", "think2seg-mini", *words]
    return subprocess.Popen(
        [*command, "--home", str(home), "--device", "cpu", "--fingerprint", "f"],
        cwd=REPO,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def rows(home: Path, run: str) -> list[dict]:
    return read_partition(home / "lake", TRAINING_LOG, {"run": run}).to_pylist()


def test_killed_at_three_random_moments_the_run_is_the_uninterrupted_one(tmp_path: Path):
    write_scenes(tmp_path / "scenes", train=12, val=1, test=1, workers=1, progress=False)
    ingest_split(tmp_path / "lake", dataset_at("synthetic", tmp_path / "scenes"), "train")
    whole = worker(tmp_path, "whole")
    _, said = whole.communicate()
    assert whole.returncode == 0, said
    expected = rows(tmp_path, "whole")
    step = sum(row["seconds"] for row in expected) / STEPS

    chance = random.Random()
    print("seed", seed := chance.randrange(10**6))  # pytest shows it when the test fails
    chance.seed(seed)
    folder = tmp_path / "runs" / "torn"
    for _ in range(3):
        process = worker(tmp_path, "torn")
        for line in process.stderr:
            if "images" in line:
                break
        try:
            # Anywhere in the next three steps: drawing, judging, updating, saving.
            process.wait(timeout=chance.uniform(0, 3 * step))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.stderr.close()
        process.wait()
        found = checkpoints.latest(folder)
        if found is not None and found.final:
            break
        # What readers see is whole, and not marked as finished.
        assert fingerprint_of(tmp_path / "lake", TRAINING_LOG, {"run": "torn"}) in (None, "")
    last = worker(tmp_path, "torn")
    _, said = last.communicate()
    assert last.returncode == 0, said
    found = rows(tmp_path, "torn")
    for name in (*EXACT, "samples"):
        assert [row[name] for row in found] == [row[name] for row in expected], name
    assert not checkpoints.staging(folder).exists()
