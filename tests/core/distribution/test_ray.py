"""Actors of a real Ray cluster share tasks: each is done once, whatever is killed. Nothing outlives its launcher."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import BuiltinFunctionType

import psutil
import pytest
import ray

from t2s_pipeline.core.distribution import ray_crew
from t2s_pipeline.core.distribution.pools import Cluster, large_pool
from t2s_pipeline.core.distribution.ray_crew import BEAT_SECONDS, PATIENCE, RayTeam
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.datasets import reading
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.lake.schema import SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.pseudo_labels import table as label_table
from t2s_pipeline.pseudo_labels.labellings import labelling
from t2s_pipeline.vision.image_files import ReadFile
from t2s_pipeline.worker.failures import WorkerError
from t2s_pipeline.worker.launcher import plain_launch
from t2s_pipeline.worker.ray_job import PYTHON
from tests.core.distribution.test_processes import TASKS, results
from tests.core.distribution.workloads import Deadly, Faulty, Squares, nothing, slow_square, wrong_piece
from tests.faults.clusters import ENDS_WITHIN, LocalCluster, actors, local_cluster
from tests.processes import has_ended

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    """A head, and two nodes with one processor each."""
    with local_cluster(2) as running:
        yield running


@pytest.fixture
def team(cluster: LocalCluster, tmp_path: Path) -> RayTeam:
    (tmp_path / "marks").mkdir()
    return RayTeam(cluster.address, None, tmp_path, nothing, SILENCE)


DATA = REPO / "tests" / "data"
SILENCE = 300.0
SQUARES = {n: n * n for n in range(9)}


def test_every_task_is_done_once_and_the_actors_stay_for_the_next_command(team, tmp_path):
    first = results(team, Squares(tmp_path / "marks", 2))
    assert {number: square for number, (square, *_) in first.items()} == SQUARES
    workers = {process for _, process, *_ in first.values()}
    second = results(team, Squares(tmp_path / "marks", 2))
    assert {process for _, process, *_ in second.values()} <= workers and len(workers) == 2
    assert len(list((tmp_path / "tmp" / "leases").iterdir())) == 1
    assert isinstance(print, BuiltinFunctionType), "Ray leaves the functions of Python as they are"


def test_the_tasks_of_an_actor_that_is_killed_are_done_by_another(team, tmp_path):
    assert results(team, Deadly(tmp_path / "marks", 2)) == SQUARES


def test_the_tasks_of_an_actor_that_is_stopped_are_done_by_another(team, tmp_path):
    impatient = replace(team, silence=2 * BEAT_SECONDS)
    assert results(impatient, Deadly(tmp_path / "marks", 1, signal.SIGSTOP)) == SQUARES
    [mark] = (tmp_path / "marks").iterdir()
    assert has_ended(int(mark.name.partition("-")[0])), "it gives its device back"


def test_a_task_that_ends_three_actors_ends_the_work_with_a_sentence(team, tmp_path):
    with pytest.raises(T2SError, match="Window 3 ended its worker 3 times"):
        results(team, Deadly(tmp_path / "marks", 100))
    _, remaining = psutil.wait_procs(actors(), timeout=ENDS_WITHIN)
    assert remaining == []


def test_an_error_of_a_task_is_that_of_a_single_process(team):
    with pytest.raises(T2SError, match=r"^This image is no image\.$"):
        results(team, Faulty(can_be_corrected=True))


def test_the_tasks_of_a_node_that_is_killed_are_done_elsewhere(cluster, team, tmp_path):
    def take(number, square):
        if not taken:
            cluster.kill(0)
        taken[number] = square[0]

    taken: dict[int, int] = {}
    # More tasks than are done before the node is missed.
    team.do(Squares(tmp_path / "marks", 2), [(n, n) for n in range(500)], take)
    assert taken == {n: n * n for n in range(500)}
    cluster.add()


def test_a_large_split_is_read_and_labelled_by_the_cluster_as_by_this_machine(cluster, tmp_path, monkeypatch):
    shared = Cluster(cluster.address, tmp_path)
    monkeypatch.setattr(reading, "ENOUGH_FOR_PROCESSES", 1)
    monkeypatch.setattr(label_table, "ENOUGH_FOR_PROCESSES", 1)
    monkeypatch.setattr(label_table, "PIECE", 1)
    scenes = dataset_at("real", DATA / "real_scenes")
    ours: dict[Path, ReadFile] = {}
    theirs: dict[Path, ReadFile] = {}
    records = list(reading.read_records(scenes, "test", read=ours))
    assert list(reading.read_records(scenes, "test", read=theirs, cluster=shared)) == records and ours == theirs
    ingest_split(tmp_path / "lake", scenes, "test", cluster=shared)
    samples = read_partition(tmp_path / "lake", SAMPLES, {"dataset": "real", "split": "test"})
    labels = label_table.label_samples(samples, labelling("seg-zero"), cluster=shared)
    assert labels == label_table.label_samples(samples, labelling("seg-zero")) and labels.num_rows


def test_calls_that_are_lost_with_a_node_are_made_elsewhere(cluster, tmp_path):
    with large_pool(1, Cluster(cluster.address, tmp_path)) as pool:
        done = pool.in_order(slow_square, range(200))
        first = next(done)
        cluster.kill(0)
        assert [first, *done] == [n * n for n in range(200)]
    assert not ray.is_initialized(), "a command that goes on does not end with the cluster"
    cluster.add()


def test_an_error_of_a_call_is_that_of_a_single_process(cluster, tmp_path):
    with (
        pytest.raises(InputError, match=r"^This piece is no piece\.$"),
        large_pool(1, Cluster(cluster.address, tmp_path)) as pool,
    ):
        list(pool.in_order(wrong_piece, range(3)))


def test_a_cluster_without_room_is_a_sentence(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(PATIENCE, "1")
    # There is no machine with so many processors.
    monkeypatch.setattr(ray_crew, "PROCESSORS", 1000)
    with pytest.raises(T2SError, match="No worker has started for 1 seconds"):
        results(RayTeam(cluster.address, 1, tmp_path, nothing, SILENCE), Faulty(False), TASKS[:1])


def test_no_cluster_is_a_sentence(tmp_path):
    with pytest.raises(T2SError, match=r"The Ray cluster at nowhere:1 cannot be used"):
        RayTeam("nowhere:1", None, tmp_path, nothing, SILENCE).do(Faulty(False), TASKS, print)
    with pytest.raises(WorkerError, match=r"The Ray cluster at http://127\.0\.0\.1:9 cannot be used"):
        plain_launch(Settings(tmp_path, Path(sys.executable), ray_address="http://127.0.0.1:9"))(["generate"])


def test_the_sentence_of_a_job_is_the_error_and_its_lines_are_shown(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(PYTHON, sys.executable)
    settings = Settings(tmp_path, Path(sys.executable), ray_address=cluster.jobs_address)
    lines: list[str] = []
    arguments = ["generate", "--system", "nobody", "--dataset", "d", "--split", "val", "--home", str(tmp_path)]
    with pytest.raises(WorkerError, match=r"^There is no system 'nobody'"):
        plain_launch(settings, say=lines.append)(arguments)
    assert not any(line.startswith("error: ") or "entrypoint" in line for line in lines)
    assert list((tmp_path / "tmp" / "leases").iterdir()) == []


DRIVER = """#!{python}
import sys
from pathlib import Path
from types import BuiltinFunctionType
sys.path.insert(0, {repo!r})
from t2s_pipeline.core.distribution.ray_crew import RayTeam
from t2s_pipeline.worker import tether
from tests.core.distribution.workloads import Forever, nothing

tether.hold(grace=2)
team = RayTeam({address!r}, None, Path({home!r}), nothing, 300)
team.do(Forever(Path({home!r}) / "marks"), enumerate(range(4)), print)
"""


@pytest.mark.parametrize("kind", ["job", "driver"])
def test_nothing_outlives_a_launcher_that_is_killed(cluster, tmp_path, kind):
    (tmp_path / "marks").mkdir()
    script = tmp_path / "python"
    address = "auto" if kind == "job" else cluster.address
    script.write_text(DRIVER.format(python=sys.executable, repo=str(REPO), address=address, home=str(tmp_path)))
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(REPO), PYTHON: str(script)}
    launching = (
        "from pathlib import Path; from t2s_pipeline.worker.launcher import plain_launch;"
        "from t2s_pipeline.core.settings import Settings;"
        f"plain_launch(Settings(Path({str(tmp_path)!r}), Path(), ray_address={cluster.jobs_address!r}))(['generate'])"
    )
    command = [sys.executable, "-c", launching] if kind == "job" else [sys.executable, str(script)]
    launcher = subprocess.Popen(command, env=environment, cwd=REPO, stderr=subprocess.DEVNULL)
    while len(list((tmp_path / "marks").iterdir())) < 2:
        assert launcher.poll() is None
        time.sleep(0.1)
    drivers = [process for process in psutil.process_iter() if str(script) in " ".join(_command(process))]
    processes = [psutil.Process(int(path.name)) for path in (tmp_path / "marks").iterdir()] + drivers
    assert len(processes) >= 3
    launcher.kill()
    launcher.wait()
    _, remaining = psutil.wait_procs(processes, timeout=ENDS_WITHIN)
    assert remaining == []


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
