"""A training whose ranks are processes of a real Ray cluster: the numbers of torchrun, and no run lost with a rank."""

import sys
from argparse import Namespace
from pathlib import Path

import psutil
import pytest

pytestmark = [pytest.mark.worker, pytest.mark.slow]
pytest.importorskip("torch")
import ray  # noqa: E402

from t2s_pipeline.core.errors import T2SError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.lake.schema import TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import read_partition  # noqa: E402
from t2s_pipeline.methods.experiments import experiment  # noqa: E402
from t2s_pipeline.training import checkpoints  # noqa: E402
from t2s_pipeline.worker import ray_training  # noqa: E402
from t2s_pipeline.worker.failures import WorkerError  # noqa: E402
from t2s_pipeline.worker.launcher import plain_launch  # noqa: E402
from t2s_pipeline.worker.ray_job import PYTHON  # noqa: E402
from tests.faults.clusters import ENDS_WITHIN, LocalCluster, local_cluster  # noqa: E402

MEASURED = ("seconds", "generate_seconds", "reward_seconds", "update_seconds", "tokens_per_second", "peak_mb")
"""Columns that differ between two runs of the same training."""


EXPERIMENT = experiment("think2seg-mini")


@pytest.fixture(scope="module")
def cluster():
    """A head, and two nodes with one processor each."""
    with local_cluster(2) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=8, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    return home


def train(home: Path, run: str, address: str, say=lambda line: None, **settings: object) -> list[dict]:
    """The training log of a run, without what differs from run to run; an empty address: torchrun on this machine."""
    words = [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]
    launch = plain_launch(Settings(home, Path(sys.executable), ray_address=address), say=say)
    command = ["train", "--experiment", "think2seg-mini", "--set", f"name={run}", *words]
    launch([*command, "--home", str(home), "--fingerprint", "f"])
    rows = read_partition(home / "lake", TRAINING_LOG, {"run": run})
    return rows.drop_columns(MEASURED).to_pylist()


def ranks_of_the_cluster() -> list[psutil.Process]:
    return [one for one in psutil.process_iter() if " ".join(_command(one)).startswith("ray::RayTrainWorker")]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_two_ranks_of_a_cluster_train_as_those_of_torchrun_do(cluster: LocalCluster, home: Path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv(PYTHON, sys.executable)
    settings = {"grpo__steps": 2, "grpo__group_size": 4, "compute__processes": 2}
    here = train(home, "here", "", **settings)
    lines: list[str] = []
    # From a machine outside: a job of the cluster is the driver.
    there = train(home, "there", cluster.jobs_address, lines.append, **settings)
    assert there == here and [row["step"] for row in there] == [1, 2]
    assert any("2/2" in line for line in lines), "what the first rank reports is shown by the launcher"
    _, remaining = psutil.wait_procs(ranks_of_the_cluster(), timeout=ENDS_WITHIN)
    assert remaining == []


def test_a_run_goes_on_when_a_rank_is_killed(cluster: LocalCluster, home: Path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings = {"grpo__steps": 3, "grpo__group_size": 4, "grpo__checkpoint_every": 1}
    killed: list[int] = []

    def kill_after_a_checkpoint(line: str) -> None:
        if "is complete at step 1" in line and not killed:
            [rank] = ranks_of_the_cluster()
            killed.append(rank.pid)
            rank.kill()

    undisturbed = train(home, "undisturbed", "", **settings)
    assert train(home, "disturbed", cluster.address, kill_after_a_checkpoint, **settings) == undisturbed
    assert killed and checkpoints.latest(home / "runs" / "disturbed").final


def test_a_run_that_gets_no_further_is_given_up(cluster: LocalCluster, tmp_path: Path, monkeypatch):
    steps = iter([10, 10, 10, 20, 20, 20])
    monkeypatch.setattr(ray_training, "_train", lambda *_: "its machine is gone")
    monkeypatch.setattr(ray_training, "_step", lambda *_: next(steps))
    with pytest.raises(T2SError, match=r"ended 3 times without a new checkpoint after step 20 \(its machine is gone\)"):
        ray_training.train_on_cluster(Namespace(fresh=False), EXPERIMENT, tmp_path, cluster.address, NoProgress())
    assert next(steps, None) is None, "a new checkpoint allows for more losses"
    assert not ray.is_initialized(), "Ray ends a process that is still connected when the cluster ends"


def test_a_fault_that_a_person_can_correct_is_the_sentence_of_the_rank(cluster: LocalCluster, home: Path):
    with pytest.raises(WorkerError, match=r"^There is no prompter .*nowhere"):
        train(home, "wrong", cluster.address, prompter="/nowhere")
