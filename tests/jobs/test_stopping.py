"""Terminate in the web UI ends every process of a training and frees its slot; a killed run is shown as failed.

With Dagster's own web server, daemon and run launcher, as `t2s ui` starts them.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytest.importorskip("dagster")

from t2s_pipeline.core.settings import REPO
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.worker.process_ids import PROCESS
from tests.processes import PATIENCE, Doorbell, has_ended

pytestmark = [pytest.mark.orchestrator, pytest.mark.slow]

RUN = "think2seg-mini"

DEAF_WORKER = """#!{python}
# Deaf to SIGTERM, with a rank in a session of its own, as torchrun starts them: only SIGKILL ends these.
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
rank = os.fork()
if rank == 0:
    os.setsid()
    time.sleep(3600)
with open({bell!r}, "w") as bell:
    bell.write(f"{{os.getpid()}} {{rank}}\\n")
time.sleep(3600)
"""


class Ui:
    """`t2s ui` with a worker that would run for ever; ``bell`` rings when one has started."""

    def __init__(self, folder: Path) -> None:
        self.home, self.bell = folder / "home", Doorbell(folder / "bell")
        # Rung more than once: without a writer that stays, the first one's leaving would count as a ring.
        self.held = os.open(self.bell.path, os.O_WRONLY)
        write_scenes(self.home / "scenes", train=2, val=1, test=1, workers=1, progress=False)
        ingest_split(self.home / "lake", dataset_at("synthetic", self.home / "scenes"), "train")
        worker = folder / "worker"
        worker.write_text(DEAF_WORKER.format(python=sys.executable, bell=str(self.bell.path)))
        worker.chmod(0o755)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = {**os.environ, "T2S_HOME": str(self.home), "T2S_WORKER_PYTHON": str(worker)}
        command = [sys.executable, "-m", "t2s_pipeline.cli", "ui", "--port", str(self.port)]
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(command, cwd=REPO, env=environment, stdout=self.log, stderr=self.log)

    def ask(self, query: str, **variables) -> dict:
        body = json.dumps({"query": query, "variables": variables}).encode()
        token = (self.home / "ui_token").read_text().strip()
        headers = {"Content-Type": "application/json", "X-T2S-Token": token}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def launch(self) -> str:
        """Train the partition, as the button does."""
        parameters = {
            "selector": {
                "repositoryLocationName": "t2s_pipeline",
                "repositoryName": "__repository__",
                "jobName": "training",
            },
            "mode": "default",
            # Deaf as it is, the worker is killed only after its time of grace.
            "runConfigData": {"resources": {"worker": {"config": {"grace_seconds": 1.0}}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": RUN}]},
        }
        told = self.ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p=parameters,
        )["launchRun"]
        assert told["__typename"] == "LaunchRunSuccess", told
        return told["run"]["runId"]

    def started(self) -> list[int]:
        return [int(pid) for pid in self.bell.rung(self.process).split()]

    def terminate(self, run: str) -> None:
        told = self.ask("mutation($r: String!) { terminateRun(runId: $r) { __typename } }", r=run)
        assert told["terminateRun"]["__typename"] == "TerminateRunSuccess"

    def status(self, run: str) -> str:
        told = self.ask("query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }", r=run)
        return told["runOrError"]["status"]

    def process_of(self, run: str) -> int:
        """Of the process that runs a run, as its tag says."""
        told = self.ask("query($r: ID!) { runOrError(runId: $r) { ... on Run { tags { key value } } } }", r=run)
        tags = {tag["key"]: tag["value"] for tag in told["runOrError"]["tags"]}
        return int(tags[PROCESS].partition("@")[0])

    def slots_taken(self) -> int:
        query = '{ instance { concurrencyLimit(concurrencyKey: "gpu") { activeSlotCount claimedSlots { runId } } } }'
        return self.ask(query)["instance"]["concurrencyLimit"]["activeSlotCount"]

    def partitions(self) -> list[str]:
        query = '{ assetNodeOrError(assetKey: {path: ["training_log"]}) { ... on AssetNode { partitionKeys } } }'
        return self.ask(query)["assetNodeOrError"]["partitionKeys"]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    served = Ui(tmp_path_factory.mktemp("ui"))
    try:
        until(lambda: answers(served), served)
        yield served
    finally:
        everything = psutil.Process(served.process.pid).children(recursive=True)
        served.process.send_signal(signal.SIGINT)
        _, left = psutil.wait_procs(everything, timeout=30)
        for process in left:
            process.kill()
        served.process.kill()
        served.process.wait()
        os.close(served.held)


def answers(served: Ui) -> bool:
    try:
        return RUN in served.partitions()
    except (urllib.error.URLError, ConnectionError, KeyError, FileNotFoundError):  # no token yet
        return False


def until(holds, served: Ui) -> None:
    """Dagster announces none of what is waited for here, so it is asked again and again."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert served.process.poll() is None, Path(served.log.name).read_text()[-3000:]
        assert time.monotonic() < deadline, Path(served.log.name).read_text()[-3000:]
        time.sleep(0.2)


def test_a_new_instance_offers_every_experiment_as_a_partition(ui: Ui):
    offered = ui.partitions()
    assert {"think2seg-mini", "think2seg-rs-3b", "think2seg-rs-3b-bbox+pos4"} <= set(offered)


def test_terminating_ends_every_process_frees_the_slot_and_the_next_run_starts(ui: Ui):
    first = ui.launch()
    worker, rank = ui.started()
    assert ui.status(first) == "STARTED" and ui.slots_taken() == 1
    ui.terminate(first)
    assert has_ended(worker) and has_ended(rank)
    until(lambda: ui.status(first) == "CANCELED", ui)
    until(lambda: ui.slots_taken() == 0, ui)
    second = ui.launch()
    worker, rank = ui.started()
    assert ui.slots_taken() == 1
    ui.terminate(second)
    assert has_ended(worker) and has_ended(rank)
    until(lambda: ui.status(second) == "CANCELED", ui)


def test_a_killed_run_is_shown_as_failed_and_frees_the_slot(ui: Ui):
    run = ui.launch()
    worker, rank = ui.started()
    try:
        os.kill(ui.process_of(run), signal.SIGKILL)
        until(lambda: ui.status(run) == "FAILURE", ui)
        until(lambda: ui.slots_taken() == 0, ui)
    finally:
        # The stand-in does not watch the pipe that the real worker watches (tests/test_launching.py).
        for pid in (worker, rank):
            os.kill(pid, signal.SIGKILL)
