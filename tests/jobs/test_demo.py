"""`t2s demo` and `t2s ui` as people meet them: real processes, one sentence when something is amiss."""

import os
import resource
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from t2s_pipeline.commands.instance import prepare  # noqa: E402
from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake import schema  # noqa: E402
from t2s_pipeline.lake.store import list_partitions  # noqa: E402
from tests.processes import PATIENCE, Doorbell, has_ended  # noqa: E402

pytestmark = pytest.mark.orchestrator

FEW = ("--train-scenes", "3", "--val-scenes", "1", "--test-scenes", "3", "--method", "think2seg")


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A T2S_HOME of the test's own and a worker interpreter that only fails."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    return {**os.environ, "T2S_HOME": str(tmp_path / "home"), "T2S_WORKER_PYTHON": str(worker(tmp_path, "exit 3"))}


def worker(folder: Path, body: str) -> Path:
    script = folder / "worker"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


def t2s(environment: dict[str, str], *arguments: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "t2s_pipeline.cli", *arguments]
    return subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=600, **options)


def runs() -> list[str]:
    with dg.DagsterInstance.get() as instance:
        return [run.status.value for run in instance.get_runs()]


def test_a_missing_folder_is_one_sentence_before_anything_starts(environment: dict[str, str]):
    done = t2s(environment, "demo", "--scenes", "/nowhere/scenes")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "There is no folder /nowhere/scenes" in done.stderr
    assert not Path(environment["T2S_HOME"]).exists()


def test_a_folder_without_splits_says_what_it_needs(environment: dict[str, str], tmp_path: Path):
    done = t2s(environment, "demo", "--scenes", str(tmp_path))
    assert done.returncode == 1
    assert "give the folder that holds train, val or test" in done.stderr


def test_an_unknown_method_is_one_sentence_before_anything_starts(environment: dict[str, str]):
    done = t2s(environment, "demo", "--method", "seg-one")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "no method 'seg-one'. There are: think2seg, seg-zero" in done.stderr


def test_a_missing_worker_environment_is_one_sentence(environment: dict[str, str]):
    done = t2s({**environment, "T2S_WORKER_PYTHON": "/nowhere/python"}, "demo")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "make setup" in done.stderr


def test_an_occupied_port_is_one_sentence(environment: dict[str, str]):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = t2s(environment, "ui", "--port", str(port))
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert f"make ui PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_failing_worker_fails_the_demo_and_keeps_what_was_finished(environment: dict[str, str], tmp_path: Path):
    worker(tmp_path, 'echo "error: The GPU is on fire: put it out." >&2; exit 1')
    done = t2s(environment, "demo", *FEW)
    assert done.returncode == 1
    assert "error: The GPU is on fire: put it out." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    settings = Settings(Path(environment["T2S_HOME"]), tmp_path)
    assert len(list_partitions(settings.lake, schema.SAMPLES)) == 3
    assert runs() == ["FAILURE"]
    again = t2s(environment, "demo", *FEW)
    assert again.stdout.count("(already done)") == 16  # the scenes, and five tables of three splits


def test_a_full_disk_is_one_sentence_and_what_was_finished_stays(environment: dict[str, str], tmp_path: Path):
    def small_files() -> None:
        # No file may grow beyond this, which the system reports as it reports a full disk. The scenes are below.
        resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, 700_000))

    few = ("--train-scenes", "12", "--val-scenes", "1", "--test-scenes", "1", "--method", "think2seg")
    done = t2s(environment, "demo", *few, preexec_fn=small_files)
    assert done.returncode == 1
    assert "error: The disk is full" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    settings = Settings(Path(environment["T2S_HOME"]), tmp_path)
    assert len(list((settings.scenes / "train" / "images").iterdir())) == 12
    assert not list_partitions(settings.lake, schema.IMAGES)
    # The record of the finished step is there, and the lake's lock.
    files = [path for path in settings.lake.rglob("*") if path.is_file() and not path.name.startswith("publishing.")]
    left = [path for path in files if schema.STEP_TIMES.name not in path.parts]
    assert not left, "something half-written is left"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_demo_takes_its_worker_along_and_is_shown_as_failed(
    environment: dict[str, str], tmp_path: Path, number: signal.Signals
):
    started = Doorbell(tmp_path / "started")
    worker(tmp_path, f'sleep 600 & echo "$$ $!" > {started.path}; wait')
    command = [sys.executable, "-m", "t2s_pipeline.cli", "demo", *FEW]
    with subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) as process:
        pids = [int(pid) for pid in started.rung(process).split()]
        process.send_signal(number)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "Stopped. Finished work is kept" in said
    assert len(pids) == 2 and all(has_ended(pid) for pid in pids)
    assert runs() == ["FAILURE"]


def test_a_killed_demo_is_shown_as_failed_by_the_next_one(environment: dict[str, str], tmp_path: Path):
    started = Doorbell(tmp_path / "started")
    worker(tmp_path, f"echo $$ > {started.path}; sleep 600")
    command = [sys.executable, "-m", "t2s_pipeline.cli", "demo", *FEW]
    with subprocess.Popen(command, cwd=REPO, env=environment, stdout=subprocess.DEVNULL) as process:
        group = int(started.rung(process))
        process.kill()
    os.killpg(group, signal.SIGKILL)
    assert runs() == ["STARTED"]
    worker(tmp_path, "exit 3")
    # It gets the slot that the killed one held, or it would wait for ever.
    assert t2s(environment, "demo", *FEW).returncode == 1
    assert runs() == ["FAILURE", "FAILURE"]


def occupy(instance, partition: str = "") -> str:
    """A run that holds the slot of the pool; its id."""
    run = dg.DagsterRun(job_name="training", run_id=str(uuid.uuid4()), tags={"dagster/partition": partition})
    instance.add_run(run)
    storage = instance.event_log_storage
    storage.initialize_concurrency_limit_to_default("gpu")
    assert storage.claim_concurrency_slot("gpu", run.run_id, "trained").is_claimed
    return run.run_id


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", [("demo", *FEW), ("train", "think2seg-mini")])
def test_who_waits_for_the_slot_says_for_whom_and_stops_at_once(
    environment: dict[str, str], number: signal.Signals, command: tuple[str, ...]
):
    prepare(Settings(Path(environment["T2S_HOME"]), Path()))
    with dg.DagsterInstance.get() as instance:
        holder = occupy(instance, "vision-reasoner-mini")
        words = [sys.executable, "-m", "t2s_pipeline.cli", *command]
        with subprocess.Popen(words, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) as process:
            line = next(line for line in process.stdout if line.startswith("Waiting"))
            assert f"The run {holder[:8]} (training vision-reasoner-mini, step trained) holds it since 20" in line
            process.send_signal(number)
            output, _ = process.communicate(timeout=PATIENCE)  # the other run would hold the slot for ever
        assert process.returncode == 1 and "Stopped. Finished work is kept" in output
        info = instance.event_log_storage.get_concurrency_info("gpu")
        assert [slot.run_id for slot in info.claimed_slots] == [holder]
        assert [step.run_id for step in info.pending_steps] == [holder]


def test_a_slot_that_is_given_back_is_taken(environment: dict[str, str], tmp_path: Path):
    worker(tmp_path, 'echo "error: it was started" >&2; exit 1')
    prepare(Settings(Path(environment["T2S_HOME"]), Path()))
    with dg.DagsterInstance.get() as instance:
        holder = occupy(instance)
        words = [sys.executable, "-m", "t2s_pipeline.cli", "demo", *FEW]
        with subprocess.Popen(words, cwd=REPO, env=environment, stdout=subprocess.PIPE, text=True) as process:
            next(line for line in process.stdout if line.startswith("Waiting"))
            instance.event_log_storage.free_concurrency_slots_for_run(holder)
            assert "it was started" in process.communicate(timeout=120)[0]
