"""The same work again and again: memory, open files and processes that are kept, and what stays on disk."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.methods.experiments import BASELINE
from t2s_pipeline.steps.evaluation import evaluate
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.worker.launcher import plain_launch
from tests.processes import PATIENCE

DATASET, SPLIT = "synthetic", "test"
REPOSITORY = {"repositoryLocationName": "t2s_pipeline", "repositoryName": "__repository__"}
STARTING = 5
"""The first rounds fill caches. Growth is counted from here on."""


@dataclass(frozen=True)
class Held:
    """What a process and its descendants hold at one moment.

    Attributes:
        memory_mb: of all of them together, in MB: their private pages. So it does not depend on what else runs here and
            shares libraries with them.
        handles: open files and sockets.
        processes: how many they are.
        disk_mb: of T2S_HOME.
    """

    memory_mb: float
    handles: int
    processes: int
    disk_mb: float


def held(root: psutil.Process, home: Path) -> Held:
    """What a process, its descendants and T2S_HOME hold now."""
    memory = handles = processes = 0
    for process in (root, *root.children(recursive=True)):
        try:
            memory += process.memory_full_info().uss
            handles += process.num_fds()
            processes += 1
        except psutil.NoSuchProcess:
            continue
    return Held(memory / 1e6, handles, processes, _size(home) / 1e6)


def _size(home: Path) -> int:
    """Bytes of all files. Some vanish meanwhile: a schedule or a sensor is at work."""
    size = 0
    for folder, _, names in os.walk(home):  # it passes over folders that are gone
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(folder, name).lstat().st_size
    return size


def scenes_and_tables(home: Path) -> Settings:
    """A T2S_HOME with a few scenes, read into the lake."""
    os.environ["T2S_HOME"] = str(home)
    settings = Settings.from_env()
    runner = Runner(settings, plain_launch(settings), progress=NoProgress())
    runner.run(SyntheticScenes(1, 1, 3))
    runner.run(ReadTables(DATASET, SPLIT))
    return settings


def evaluations(home: Path, count: int) -> list[Held]:
    """Evaluate a system ``count`` times with one worker, which is kept; what is held after each time."""
    settings = scenes_and_tables(home)
    runner = Runner(settings, plain_launch(settings), fresh=True, progress=NoProgress(), say=lambda *_, **__: None)
    system = resolve(BASELINE, settings)
    rounds = []
    for _ in range(count):
        evaluate(runner, system, DATASET, SPLIT)
        rounds.append(held(psutil.Process(), home))
    return rounds


class Page:
    """`t2s ui`, and what its web server answers."""

    def __init__(self, settings: Settings) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._home = settings.home
        self._log = (settings.home.parent / "ui.log").open("w")
        command = [sys.executable, "-m", "t2s_pipeline.cli", "ui", "--port", str(self._port)]
        self._ui = subprocess.Popen(command, cwd=REPO, stdout=self._log, stderr=self._log, start_new_session=True)
        self.process = psutil.Process(self._ui.pid)

    def ask(self, query: str, **variables: object) -> dict:
        """The data that GraphQL returns."""
        token = (self._home / "ui_token").read_text("utf-8").strip()
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", "X-T2S-Token": token}
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def until(self, holds: Callable[[], bool]) -> None:
        """Ask again and again; Dagster announces nothing of what is waited for."""
        for _ in range(int(PATIENCE)):
            try:
                if holds():
                    return
            except (urllib.error.URLError, ConnectionError, FileNotFoundError):
                pass  # not up yet
            if self._ui.poll() is not None:
                break
            try:
                self._ui.wait(1)
            except subprocess.TimeoutExpired:
                continue
        raise RuntimeError(f"It did not come to that: {Path(self._log.name).read_text()[-3000:]}")

    def evaluate(self) -> str:
        """Launch the job `evaluate`, as the button does, and wait for its end; its status."""
        tags = {"dagster/partition": f"{DATASET}-{SPLIT}|{BASELINE}"}
        tags |= {"dagster/partition/system": BASELINE, "dagster/partition/split": f"{DATASET}-{SPLIT}"}
        ops = {name: {"config": {"fresh": True}} for name in ("completions", "predictions")}
        parameters = {
            "selector": {**REPOSITORY, "jobName": "evaluate"},
            "mode": "default",
            "runConfigData": {"ops": ops},
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        answer = self.ask(
            "mutation($p: ExecutionParams!) { launchRun(executionParams: $p) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }",
            p=parameters,
        )["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise RuntimeError(f"The run was not launched: {answer}")
        query = "query($r: ID!) { runOrError(runId: $r) { ... on Run { status } } }"
        ends = ("SUCCESS", "FAILURE", "CANCELED")

        def status() -> str:
            return self.ask(query, r=answer["run"]["runId"])["runOrError"]["status"]

        self.until(lambda: status() in ends)
        return status()

    def is_up(self) -> bool:
        """Whether our code is loaded."""
        loaded = self.ask("{ repositoriesOrError { ... on RepositoryConnection { nodes { name } } } }")
        return bool(loaded["repositoriesOrError"].get("nodes"))

    def add_partition(self, definition: str, key: str) -> None:
        """Add a key, as a person does in the dialogue of an asset."""
        answer = self.ask(
            "mutation($r: RepositorySelector!, $d: String!, $k: String!) { addDynamicPartition(repositorySelector: $r, "
            "partitionsDefName: $d, partitionKey: $k) { __typename } }",
            r=REPOSITORY,
            d=definition,
            k=key,
        )["addDynamicPartition"]
        if answer["__typename"] != "AddDynamicPartitionSuccess":
            raise RuntimeError(f"The partition was not added: {answer}")

    def stop(self) -> list[psutil.Process]:
        """Stop it as Ctrl-C does; the processes that stay."""
        everything = self.process.children(recursive=True)
        self.process.send_signal(2)
        self._ui.wait(PATIENCE)
        _, alive = psutil.wait_procs(everything, timeout=PATIENCE)
        self._log.close()
        return alive


@contextmanager
def page(settings: Settings) -> Iterator[Page]:
    """`t2s ui`, ready for evaluations."""
    served = Page(settings)
    try:
        served.until(served.is_up)
        served.add_partition("system", BASELINE)
        served.add_partition("evaluated_split", f"{DATASET}-{SPLIT}")
        yield served
    finally:
        for process in served.stop():
            process.kill()


def runs(home: Path, count: int) -> tuple[list[Held], int]:
    """Launch ``count`` evaluations in the web UI, one after the other; what is held after each, and how many failed."""
    settings = scenes_and_tables(home)
    rounds, failed = [], 0
    with page(settings) as served:
        for _ in range(count):
            failed += served.evaluate() != "SUCCESS"
            rounds.append(held(served.process, home))
    return rounds, failed


def row(name: str, rounds: list[Held], failed: int) -> str:
    """The row of the table of counts: what was held at the beginning and at the end."""
    first, last = rounds[min(STARTING, len(rounds) - 1)], rounds[-1]
    return (
        f"| {name} | {len(rounds):,} | failed: {failed}; memory {first.memory_mb:.0f} → {last.memory_mb:.0f} MB; open "
        f"files {first.handles} → {last.handles}; processes {first.processes} → {last.processes}; T2S_HOME "
        f"{first.disk_mb:.1f} → {last.disk_mb:.1f} MB |"
    )
