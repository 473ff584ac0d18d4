"""The worker runs in a group of its own, its own sentence reaches the user, and nothing of it outlives us."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from t2s_pipeline.core.errors import MissingWorkerError
from t2s_pipeline.core.lake_place import LAKE
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.worker import launcher
from t2s_pipeline.worker.failures import WorkerError, failure
from t2s_pipeline.worker.launcher import plain_launch
from t2s_pipeline.worker.options import THREADS
from t2s_pipeline.worker.process import worker_command, worker_environment
from t2s_pipeline.worker.stopping import stop
from tests.processes import has_ended


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
    shown = capfd.readouterr().err
    # Who catches the error prints its sentence; it must not be on the terminal already.
    assert "step 1" in shown and "No dataset here" not in shown


def test_a_crash_shows_its_last_lines():
    error = failure(["train", "--home", "h"], 3, ["Traceback", "ValueError: boom"])
    assert "exit code 3" in str(error) and "ValueError: boom" in str(error)
    assert "SIGKILL" in str(failure(["train"], -9, [])) and "memory" in str(failure(["train"], -9, []))


def test_a_missing_package_is_one_sentence_that_says_what_to_do(tmp_path: Path):
    traceback = ["Traceback (most recent call last):", '  File "x.py", line 1', "    import torch"]
    told = failure(["train"], 1, [*traceback, "ModuleNotFoundError: No module named 'torch'"])
    assert "No module named 'torch'" in str(told) and "make setup" in str(told) and "Traceback" not in str(told)
    told = failure(["train"], 1, [*traceback, "ImportError: libcudart.so.12: cannot open shared object file"])
    assert "libcudart.so.12" in str(told) and "make setup" in str(told)


def test_the_sentence_is_found_above_what_torchrun_adds():
    said = ["step 1", "error: No dataset here: ingest it.", "torch.distributed…ChildFailedError:", "=" * 60]
    assert str(failure(["train"], 1, said)) == "No dataset here: ingest it."


DEAF_FAMILY = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    # As torchrun starts ranks: in a session of its own, which no signal to the leader's group reaches.
    os.setsid()
    os.fork()
os.write(1, b"%d\\n" % os.getpid())
time.sleep(600)
"""


def test_stopping_ends_every_process_whatever_its_session(tmp_path: Path):
    # The leader, its child in another session and a grandchild there, all deaf to SIGTERM.
    command = [sys.executable, "-c", DEAF_FAMILY]
    leader = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    pids = [int(leader.stdout.readline()) for _ in range(3)]
    assert len(set(pids)) == 3
    stop(leader, grace=0.3)
    assert leader.returncode == -9
    # They hold the other end of this pipe: it closes only when all of them are gone.
    assert leader.stdout.read() == ""
    stop(leader, grace=0.3)


TETHERED = """
import os, sys, time
from t2s_pipeline.worker import tether
if os.fork() == 0:
    os.setsid()
tether.hold(grace=60)
os.write(1, b"%d\\n" % os.getpid())
time.sleep(600)
"""


def test_a_worker_does_not_outlive_a_killed_launcher(tmp_path: Path):
    # The launcher is killed and can tidy up nothing; its worker and what that started notice by the pipe.
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{TETHERED}")
    script.chmod(0o755)
    launcher = (
        "from pathlib import Path; from t2s_pipeline.worker.launcher import plain_launch;"
        "from t2s_pipeline.core.settings import Settings;"
        f"plain_launch(Settings(Path({str(tmp_path)!r}), Path({str(script)!r})))(['train'])"
    )
    process = subprocess.Popen([sys.executable, "-c", launcher], cwd=REPO, stdout=subprocess.PIPE, text=True)
    assert len({int(process.stdout.readline()) for _ in range(2)}) == 2
    process.kill()
    assert process.stdout.read() == ""


def test_the_worker_writes_bytecode_also_in_a_container_that_forbids_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    assert "PYTHONDONTWRITEBYTECODE" not in worker_environment(Settings.from_env())


def test_a_worker_uses_the_lake_of_its_settings_and_not_that_of_our_environment(monkeypatch, tmp_path):
    """A checkpoint is evaluated again in a temporary home, whose lake is a folder: the accepted answers stay."""
    monkeypatch.setenv(LAKE, "s3://lakes/accepted")
    temporary = replace(Settings.from_env(), home=tmp_path, lake_address="")
    assert worker_environment(temporary)[LAKE] == ""
    pytest.importorskip("ray")
    from t2s_pipeline.worker.ray_job import RayJob

    assert RayJob(temporary, ["generate"], {}, print)._environment()[LAKE] == ""
    assert RayJob(Settings.from_env(), ["generate"], {}, print)._environment()[LAKE] == "s3://lakes/accepted"


INTERRUPTED_START = """
import itertools, signal, subprocess, sys
from pathlib import Path
from t2s_pipeline.core import interrupts
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.worker import launcher, process

CODE = {module.__file__ for module in (interrupts, launcher, process)}
started = []

class Noted(subprocess.Popen):
    def __init__(self, *arguments, **keywords):
        super().__init__(*arguments, **keywords)
        started.append(self.pid)

def interrupted(line, launch):
    # The signal comes at that line of ours after the start of the child, or when it is waited for.
    lines, before, is_late = 0, len(started), False

    def trace(frame, event, _):
        nonlocal lines, is_late
        if frame.f_code.co_filename not in CODE:
            return None
        if event == "line" and len(started) > before:
            lines += 1
            if lines == line or frame.f_code.co_name == "_follow":
                is_late = lines != line
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
        return trace

    sys.settrace(trace)
    try:
        launch([sys.argv[3]])
    except KeyboardInterrupt:
        return is_late
    finally:
        sys.settrace(None)

subprocess.Popen = Noted
signal.signal(signal.SIGTERM, signal.default_int_handler)
launch = launcher.plain_launch(Settings(Path(sys.argv[1]), Path(sys.argv[2])), grace=5.0)
for line in itertools.count(1):
    if interrupted(line, launch):
        break
print(*started)
"""


@pytest.mark.parametrize("command", ["train", "ask"])
def test_a_signal_at_any_line_while_the_worker_starts_stops_the_worker_too(tmp_path: Path, command: str):
    # This worker does not watch its launcher's socket.
    worker = tmp_path / "worker"
    worker.write_text("#!/bin/sh\nexec sleep 600\n")
    worker.chmod(0o755)
    arguments = [sys.executable, "-c", INTERRUPTED_START, str(tmp_path), str(worker), command]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=REPO, timeout=300)
    assert done.returncode == 0, done.stderr
    started = [int(pid) for pid in done.stdout.split()]
    assert len(started) > 8 and all(has_ended(pid) for pid in started)


def test_threads_are_stated_for_the_commands_of_a_block_and_no_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with launcher.training_with(1), launcher.answering_with(3):
        assert launcher._threads("train") == {THREADS: "1"} and launcher._threads("generate") == {THREADS: "3"}
        assert launcher._threads("segment") == {}
        monkeypatch.setenv("OMP_NUM_THREADS", "4")
        assert launcher._threads("train") == {}, "who sets the threads gets them"
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert launcher._threads("train") == {} and launcher._threads("generate") == {}
