"""A Ray cluster of this machine, whose nodes a test can kill, and an evaluation that runs on it."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.worker.launcher import plain_launch

SPLITS = ("val", "test")
SMALL_BATCHES = "generation.batch_size=1"
"""A window is four batches: so a split of twenty questions has several windows."""

SYSTEMS = {"zero-shot-mini": (SMALL_BATCHES,), "zero-shot-points": (SMALL_BATCHES, "recipe.combination=pos2")}
"""System → how it differs from ``zero-shot-mini``."""

ENDS_WITHIN = 30.0
"""Seconds within which the processes of an evaluation end after it."""

TRIES = 4

STORE_BYTES = 100_000_000
RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_TQDM_PATCH_PRINT": "0", "RAY_worker_niceness": "0", "OMP_NUM_THREADS": "1"}
"""Ray's processes would be niced, and would wait for others' work; the test's own would get another print."""


@contextmanager
def local_cluster(nodes: int) -> Iterator["LocalCluster"]:
    """A cluster with this number of nodes, each with one CPU, beside a head without any."""
    from ray.cluster_utils import Cluster

    from t2s_pipeline.core.distribution.ray_connection import CONNECTIONS

    os.environ.update(RAY)
    # Jobs of the cluster start the `python` of the path.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 0,
            "object_store_memory": STORE_BYTES,
            "include_dashboard": True,
            "dashboard_port": _free_port(),
            # Another cluster of this machine may have the default one.
            "dashboard_agent_listen_port": _free_port(),
        },
    )
    local = LocalCluster(cluster)
    try:
        for _ in range(nodes):
            local.add()
        yield local
    finally:
        # Ray ends a process that is still connected a minute after the cluster has ended.
        CONNECTIONS.close()
        cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class LocalCluster:
    """A running cluster."""

    def __init__(self, cluster) -> None:
        self._cluster, self.nodes = cluster, []

    @property
    def address(self) -> str:
        """Of the head, for a driver on this machine."""
        return str(self._cluster.address)

    @property
    def jobs_address(self) -> str:
        """Where jobs are submitted."""
        return f"http://{self._cluster.head_node.webui_url}"

    def add(self) -> None:
        """Add a node. Ray gives one 30 seconds to start, which a busy machine does not always keep."""
        for attempt in range(TRIES):
            try:
                self.nodes.append(self._cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))
                return
            except Exception:  # Ray raises no other
                if attempt == TRIES - 1:
                    raise

    def kill(self, number: int) -> None:
        """Kill all processes of a node at once, as if its machine lost power."""
        node = self.nodes.pop(number)
        self._cluster.remove_node(node, allow_graceful=False)

    def kill_head(self) -> None:
        """Kill all processes of the head at once. Nobody can use the cluster after that."""
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)


def actors() -> list[psutil.Process]:
    """The workers that run now, on all nodes."""
    return [process for process in psutil.process_iter() if _name(process).startswith("ray::_Actor")]


def drivers(home: Path) -> list[psutil.Process]:
    """The processes that share out work of a T2S_HOME."""
    return [
        process
        for process in psutil.process_iter()
        if "t2s_pipeline.worker" in _name(process) and str(home) in " ".join([_name(process), _home(process)])
    ]


def _name(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _home(process: psutil.Process) -> str:
    try:
        return process.environ().get("T2S_HOME", "")
    except psutil.Error:
        return ""


def write_scenes(home: Path) -> None:
    """Paint a few scenes and read two splits into the lake."""
    settings = Settings(home, Path(sys.executable))
    runner = Runner(settings, plain_launch(settings), progress=NoProgress(), say=lambda sentence: None)
    runner.run(SyntheticScenes(1, 4, 6))
    for split in SPLITS:
        runner.run(ReadTables("synthetic", split))


def start_evaluation(home: Path, address: str) -> "subprocess.Popen[str]":
    """Start the evaluation of all systems on all splits, on a cluster; an empty address: in one process."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.clusters", str(home), address],
        env={**os.environ, **RAY, "PYTHONPATH": str(REPO)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def evaluate(home: Path, address: str) -> None:
    """Let the systems answer, and segment their answers: as the steps do, but without Dagster's environment."""
    import json

    from t2s_pipeline.methods.system import System
    from t2s_pipeline.steps.answers import Complete, Segment
    from t2s_pipeline.systems.resolve import resolve

    settings = Settings(home, Path(sys.executable), ray_address=address)
    runner = Runner(settings, plain_launch(settings), progress=NoProgress(), say=lambda sentence: None)
    for name, changes in SYSTEMS.items():
        resolved = resolve("zero-shot-mini", settings, changes).as_json()
        system = System.from_json(json.loads(json.dumps({**resolved, "name": name})))
        for split in SPLITS:
            runner.run(Complete(system, "synthetic", split))
            runner.run(Segment(system, "synthetic", split))


def contents(home: Path) -> Mapping[str, bytes | pa.Table]:
    """What an evaluation has left: the bytes of files. Of completions the rows, without the measured seconds."""
    lake = home / "lake"
    files: dict[str, bytes | pa.Table] = {}
    tables: tuple[Table, ...] = (schema.PREDICTIONS, schema.ANSWER_SETTINGS)
    for table in tables:
        for partition in list_partitions(lake, table):
            files[f"{table.name} {partition}"] = partition_file(lake, table, partition).read_bytes()
    for partition in list_partitions(lake, schema.COMPLETIONS):
        rows = read_partition(lake, schema.COMPLETIONS, partition)
        files[f"completions {partition}"] = rows.drop_columns("seconds")
    return files


def left_over(home: Path) -> list[str]:
    """What should not be there after an evaluation: processes, pieces, leases."""
    _, remaining = psutil.wait_procs([*actors(), *drivers(home)], timeout=ENDS_WITHIN)
    folders = (home / "lake" / "_staging", home / "tmp" / "leases")
    files = [path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()]
    # A lease whose holder was killed stays as a file, and nobody renews it.
    files = [path for path in files if path.suffix == ".parquet"]
    return [*map(str, files), *(f"process {process.pid} stayed" for process in remaining)]


def copy_of(home: Path, folder: Path) -> Path:
    """A copy of T2S_HOME."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home, folder)
    return folder


if __name__ == "__main__":
    from t2s_pipeline.core.errors import T2SError

    try:
        evaluate(Path(sys.argv[1]), sys.argv[2])
    except T2SError as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(1)
