"""One worker process serves many commands. A failure, an idle end and another environment mean another process."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.worker.failures import WorkerError
from t2s_pipeline.worker.launcher import KEEP, WARM_WORKERS, plain_launch
from t2s_pipeline.worker.process import WorkerProcess
from t2s_pipeline.worker.pulse import SILENCE
from t2s_pipeline.worker.serve import IDLE, KEEPS_GPU, MEMORY
from tests.processes import Doorbell, has_ended

SERVER = """
import os, signal, sys, types
from t2s_pipeline.core.children import wake_when_parent_ends
from t2s_pipeline.core.model_slot import ModelSlot
from t2s_pipeline.worker import tether
from t2s_pipeline.worker.serve import serve

MODELS = ModelSlot()

def run(arguments):
    verb, action, *rest = arguments
    with open(rest[0], "a") as log:
        log.write(f"{os.getpid()} {os.environ.get('T2S_NOTE', '')}\\n")
    print("printed by", action)
    print("shown by", action, file=sys.stderr)
    os.system("echo a child of it says so too >&2")
    if action == "gpu":
        cuda = types.SimpleNamespace(is_initialized=lambda: True, empty_cache=lambda: None)
        sys.modules["torch"] = types.SimpleNamespace(cuda=cuda)
        MODELS.get("model", lambda: print("loads a model", file=sys.stderr))
    if action == "fault":
        print("error: No dataset here: ingest it.", file=sys.stderr)
        return 1
    if action == "bug":
        raise ValueError("boom")
    if action == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    if action == "wait":
        with open(rest[1], "w") as bell:
            bell.write(f"{os.getpid()}\\n")
        signal.pause()
    return 0

tether.BEAT_SECONDS = 0.05
tether.hold(grace=60)
sys.exit(serve(run) if sys.argv[4:] == ["serve"] else run(sys.argv[4:]))
"""


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    """A worker without torch that serves: it writes its process id into a file and does what it is asked."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{SERVER}")
    script.chmod(0o755)
    yield Settings(tmp_path / "home", script)
    WARM_WORKERS.close()


def asked(settings: Settings, action: str, **variables: str) -> str:
    """Let the worker do something; the id of the process that did it and the variable T2S_NOTE that it saw."""
    log = settings.home.parent / "log"
    log.unlink(missing_ok=True)
    plain_launch(settings, variables=variables)(["generate", action, str(log)])
    return log.read_text().rstrip("\n")


def test_the_second_command_runs_in_the_process_of_the_first(settings: Settings):
    first, second = asked(settings, "a"), asked(settings, "b")
    assert first == second


def test_the_output_of_each_command_goes_where_ours_goes_now(settings: Settings, capfd: pytest.CaptureFixture):
    asked(settings, "a")
    capfd.readouterr()
    asked(settings, "b")
    assert capfd.readouterr() == ("printed by b\n", "shown by b\na child of it says so too\n")


def test_the_lines_of_a_command_can_go_elsewhere(settings: Settings, capfd: pytest.CaptureFixture):
    lines: list[str] = []
    plain_launch(settings, say=lines.append)(["ask", "a", str(settings.home.parent / "log")])
    assert lines == ["shown by a", "a child of it says so too"] and "shown" not in capfd.readouterr().err
    asked(settings, "b")
    assert len(lines) == 2, "the next command has its own"


@pytest.mark.parametrize("keeps, loads", [("", 2), ("on", 1)])
def test_models_on_a_gpu_are_dropped_after_a_command_unless_they_are_to_stay(
    settings: Settings, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, keeps: str, loads: int
):
    monkeypatch.setenv(KEEPS_GPU, keeps)
    assert asked(settings, "gpu") == asked(settings, "gpu")
    assert capfd.readouterr().err.count("loads a model") == loads


def test_a_variable_of_one_command_is_gone_in_the_next(settings: Settings):
    assert asked(settings, "a", T2S_NOTE="mine").endswith(" mine")
    assert not asked(settings, "b").endswith("mine")


def test_another_environment_means_another_process(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    first = int(asked(settings, "a"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert int(asked(settings, "b")) != first
    assert has_ended(first), "two kinds would pile up"


def test_it_can_be_turned_off(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEEP, "off")
    assert asked(settings, "a") != asked(settings, "b")


def test_a_users_mistake_is_one_sentence(settings: Settings, capfd: pytest.CaptureFixture):
    with pytest.raises(WorkerError) as caught:
        asked(settings, "fault")
    assert str(caught.value) == "No dataset here: ingest it."
    assert "No dataset" not in capfd.readouterr().err


@pytest.mark.parametrize("action, sentence", [("bug", "ValueError: boom"), ("crash", "SIGKILL")])
def test_after_a_failure_the_next_command_has_a_process_of_its_own(settings: Settings, action: str, sentence: str):
    first = asked(settings, "a")
    with pytest.raises(WorkerError, match=sentence):
        asked(settings, action)
    assert asked(settings, "b") != first
    assert has_ended(int(first))


def test_a_process_that_ended_while_it_was_idle_is_replaced(settings: Settings):
    first = int(asked(settings, "a"))
    os.kill(first, signal.SIGKILL)
    assert has_ended(first)
    assert int(asked(settings, "b")) != first


def test_a_request_that_comes_as_the_idle_process_ends_is_not_lost(settings: Settings, monkeypatch):
    first = int(asked(settings, "a"))
    os.kill(first, signal.SIGKILL)
    assert has_ended(first)
    # The moment between the look and the request: the launcher still takes the process for alive.
    monkeypatch.setattr(WorkerProcess, "is_alive", True)
    assert int(asked(settings, "b")) != first


def test_an_idle_process_ends_by_itself(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(IDLE, "0.01")
    assert has_ended(int(asked(settings, "a")))


def test_a_process_that_has_grown_too_large_is_not_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(MEMORY, "0.001")
    assert asked(settings, "a") != asked(settings, "b")


def test_threads_have_a_process_each_and_both_are_kept(settings: Settings):
    log, together = settings.home.parent / "both", threading.Barrier(2)

    def launch() -> None:
        together.wait()
        plain_launch(settings)(["generate", "a", str(log)])

    for _ in range(2):
        threads = [threading.Thread(target=launch) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(log.read_text().split()) == 4
    assert len(set(log.read_text().split())) <= 2


def test_a_worker_that_hangs_is_ended_with_a_sentence(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(SILENCE, "1.5")
    with pytest.raises(WorkerError, match=r"has not answered for . seconds.*stopped \(SIGSTOP\) or hangs"):
        asked(settings, "stop")
    # The same for a command with a process of its own.
    with pytest.raises(WorkerError, match=r"stopped \(SIGSTOP\) or hangs"):
        plain_launch(settings)(["train", "stop", str(settings.home.parent / "log")])


LAUNCHER = """
import sys
from pathlib import Path
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.worker.launcher import plain_launch
launch = plain_launch(Settings(Path({home!r}), Path({python!r})))
launch([{verb!r}, "a", {log!r}])
launch([{verb!r}, "wait", {log!r}, {bell!r}])
"""


@pytest.mark.parametrize("verb", ["generate", "train"])
@pytest.mark.parametrize("stopped", [False, True])
def test_no_worker_outlives_a_killed_launcher_even_one_that_is_stopped(
    settings: Settings, tmp_path: Path, verb: str, stopped: bool
):
    bell = Doorbell(tmp_path / "bell")
    names = {"home": str(settings.home), "python": str(settings.worker_python), "log": str(tmp_path / "log")}
    code = LAUNCHER.format(verb=verb, bell=str(bell.path), **names)
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stderr=subprocess.DEVNULL) as launcher:
        worker = int(bell.rung(launcher))
        if stopped:
            os.kill(worker, signal.SIGSTOP)
        launcher.kill()
    assert has_ended(worker)


def test_a_launcher_that_ends_by_itself_leaves_no_idle_worker(settings: Settings, tmp_path: Path):
    names = {"home": str(settings.home), "python": str(settings.worker_python), "log": str(tmp_path / "log")}
    code = LAUNCHER.format(verb="generate", bell="", **names).rsplit("launch(", 1)[0]
    subprocess.run([sys.executable, "-c", code], cwd=REPO, check=True, capture_output=True)
    pid = int((tmp_path / "log").read_text())
    assert not Path(f"/proc/{pid}").exists()


def test_the_messages_are_lines_of_json(tmp_path: Path):
    import socket

    from t2s_pipeline.worker.channel import Receiver, Reply, Request, send

    ours, theirs = socket.socketpair()
    long = Request(["generate", "x" * 300_000], {"A": "ä\n"})
    writer = threading.Thread(target=lambda: (send(ours, long, files=(1, 2)), send(ours, Reply(0, True)), ours.close()))
    writer.start()
    receiver, messages = Receiver(theirs), []
    while not receiver.has_ended:
        messages += receiver.read()
    writer.join()
    assert messages == [long, Reply(0, True)]
    assert len(receiver.files) == 2 and json.dumps(messages[0].arguments)
    for file in receiver.take_files(2):
        os.close(file)
