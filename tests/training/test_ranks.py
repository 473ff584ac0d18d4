"""Two ranks, for real: torchrun, gloo and two CPU processes; DeepSpeed's ZeRO too where its one kernel can be built."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.worker, pytest.mark.slow]
torch = pytest.importorskip("torch")

from t2s_pipeline.core.settings import REPO  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.lake.schema import TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import read_partition  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.training import checkpoints  # noqa: E402
from tests.small_models import save_prompter, save_segmenter  # noqa: E402


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=12, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    save_prompter(home / "prompter")
    save_segmenter(home / "segmenter.safetensors")
    return home


def train(home: Path, run: str, stop_at: str = "", **settings: object) -> list[dict]:
    """The training log of a run of its own process (or of two that it starts).

    ``stop_at`` is what it says when it gets SIGTERM; else it runs to its end.
    """
    words = [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
    command = [sys.executable, "-u", "-m", "t2s_pipeline.worker", "train", "--experiment", "think2seg-mini"]
    process = subprocess.Popen(
        [*command, "--set", f"name={run}", *words, "--home", str(home), "--device", "cpu", "--fingerprint", "f"],
        cwd=REPO,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    for line in process.stderr:
        said.append(line)
        if stop_at and stop_at in line:
            process.terminate()
    assert (process.wait() == 0) == (not stop_at), "".join(said)[-4000:]
    return read_partition(home / "lake", TRAINING_LOG, {"run": run}).to_pylist()


def test_two_ranks_earn_what_one_does_and_each_sees_prompts_of_its_own(home: Path):
    # A rate so low that both stay at the base: what they earn differs by the draws of completions alone.
    settings = {"grpo__steps": 3, "grpo__group_size": 8, "grpo__learning_rate": 1e-7}
    one = train(home, "one", **settings)
    two = train(home, "two", **settings, compute__processes=2)
    # The same four prompts a step in the same order; the first rank has the first two.
    assert [row["samples"] for row in one] == [row["samples"] for row in two]
    assert all(len(set(row["samples"])) == 4 for row in two)
    rewards = np.array([[row["reward"] for row in rows] for rows in (one, two)])
    assert not np.array_equal(*rewards), "two ranks must not repeat the draws of one"
    # 96 completions each, on the same prompts: the standard error of the difference of the means.
    within = np.mean([row["reward_std"] for row in (*one, *two)])
    assert abs(rewards[0].mean() - rewards[1].mean()) < 4 * within * np.sqrt(2 / 96)
    # One folder, one log, one writer.
    assert [row["step"] for row in two] == [1, 2, 3]
    assert checkpoints.latest(home / "runs" / "two").final
    assert not checkpoints.staging(home / "runs" / "two").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="DeepSpeed is installed on Linux only")
@pytest.mark.skipif(shutil.which("g++") is None, reason="DeepSpeed builds its CPU communication with g++")
@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_splits_over_two_ranks_saves_whole_weights_and_goes_on(home: Path, stage: int):
    settings = {
        "prompter": home / "prompter",
        "segmenter": f"sam2-mini@{home / 'segmenter.safetensors'}",
        "grpo__prompts_per_step": 2,
        "grpo__group_size": 2,
        "grpo__max_new_tokens": 4,
        "grpo__checkpoint_every": 1,
        "grpo__learning_rate": 1e-3,
        # Untrained models earn nothing, and advantages of 0 move nothing but through the KL term.
        "grpo__weight_decay": 0.1,
        "compute__processes": 2,
        "compute__zero": stage,
    }
    run = f"zero{stage}"
    if stage == 3:  # stopped and gone on with; once is enough for a test of minutes
        assert len(train(home, run, stop_at=f"{run}--1 is complete", **settings, grpo__steps=50)) < 50
        assert not checkpoints.staging(home / "runs" / run).exists()
    rows = train(home, run, **settings, grpo__steps=3)
    # The optimizer's state is split over the ranks, and found again by each.
    assert [row["step"] for row in rows] == [1, 2, 3]
    trained = load_prompter(str(checkpoints.latest(home / "runs" / run).path)).model.state_dict()
    base = load_prompter(str(home / "prompter")).model.state_dict()
    assert trained.keys() == base.keys()
    assert any(not torch.equal(trained[name], base[name]) for name in base)
