"""The worker runs in a group of its own, its own sentence reaches the user, and nothing of it outlives us."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from t2s_pipeline.errors import MissingWorkerError
from t2s_pipeline.launching import WorkerError, failure, plain_launch, stop_group, worker_command
from t2s_pipeline.settings import Settings


def interpreter(folder: Path, body: str) -> Settings:
    """Settings whose "worker interpreter" is a shell script: the launcher must not care what it starts."""
    script = folder / "python"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return Settings(folder / "home", script)


def test_missing_worker_is_one_sentence(tmp_path: Path):
    with pytest.raises(MissingWorkerError, match="make setup"):
        plain_launch(Settings(tmp_path, tmp_path / "nowhere"))(["train"])


def test_command_and_environment_reach_the_worker(tmp_path: Path):
    settings = interpreter(tmp_path, f'echo "$@" > {tmp_path}/seen; echo "$T2S_HOME" >> {tmp_path}/seen')
    plain_launch(settings)(["train", "--experiment", "think2seg-mini"])
    arguments, home = (tmp_path / "seen").read_text().splitlines()
    assert arguments == "-u -m t2s_pipeline.worker train --experiment think2seg-mini"
    assert home == str(settings.home)
    assert worker_command(settings, ["x"])[0] == str(settings.worker_python)


def test_the_workers_own_sentence_is_the_error(tmp_path: Path, capfd: pytest.CaptureFixture):
    settings = interpreter(tmp_path, 'echo "step 1" >&2; echo "error: No dataset here: ingest it." >&2; exit 1')
    with pytest.raises(WorkerError) as caught:
        plain_launch(settings)(["generate"])
    assert str(caught.value) == "No dataset here: ingest it."
    assert "step 1" in capfd.readouterr().err


def test_a_crash_shows_its_last_lines():
    error = failure(["train", "--home", "h"], 3, ["Traceback", "ValueError: boom"])
    assert "exit code 3" in str(error) and "ValueError: boom" in str(error)
    assert "SIGKILL" in str(failure(["train"], -9, [])) and "memory" in str(failure(["train"], -9, []))


def test_stopping_ends_every_process_of_the_group(tmp_path: Path):
    # The leader ignores SIGTERM and has a child: both must be gone when stop_group returns.
    code = (
        "import os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = os.fork()\n"
        "print(child or '', flush=True) if child else None\n"
        "time.sleep(60)\n"
    )
    leader = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert int(leader.stdout.readline()) > 0
    began = time.monotonic()
    stop_group(leader.pid, leader, grace=0.3)
    assert leader.returncode == -9
    assert time.monotonic() - began < 10
    # The child holds the other end of this pipe: it closes only when the child is gone too.
    assert leader.stdout.read() == ""
