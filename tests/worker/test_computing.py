"""Who does the windows of a command: what T2S_DEVICES and T2S_RAY_ADDRESS say."""

import argparse
import os
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.worker

import torch  # noqa: E402

from t2s_pipeline.core.distribution.crew import ThisProcess  # noqa: E402
from t2s_pipeline.core.distribution.processes import Processes, WorkerDevice  # noqa: E402
from t2s_pipeline.core.distribution.ray_crew import RayTeam  # noqa: E402
from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.worker import computing  # noqa: E402
from t2s_pipeline.worker.computing import choose_device  # noqa: E402

ANY, CPU = argparse.Namespace(device=None), argparse.Namespace(device="cpu")


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("T2S_DEVICES", "T2S_RAY_ADDRESS", "OMP_NUM_THREADS", "T2S_WORKER_THREADS"):
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    monkeypatch.setattr(computing, "_cores", lambda: 4)
    yield
    torch.set_num_threads(before)


def team(options: argparse.Namespace = ANY, **more: bool | str):
    return computing.team_of(options, Path("/home"), **more)


def test_without_a_gpu_one_process_does_it():
    assert team() == ThisProcess("cpu")


@pytest.mark.parametrize("device", [ANY, CPU])
def test_the_threads_of_a_training_on_a_cpu_do_not_depend_on_the_machine(monkeypatch, device):
    """The last bits of its weights are the same on any number of cores."""
    for cores in (1, 4, 64):
        monkeypatch.setattr(computing, "_cores", lambda cores=cores: cores)
        assert computing.prepare(device) == "cpu" and torch.get_num_threads() == cores
        assert computing.prepare_training(device) == "cpu" and torch.get_num_threads() == 2
        assert computing.prepare_training(device, ranks=2) == "cpu" and torch.get_num_threads() == 1
    monkeypatch.setenv("T2S_WORKER_THREADS", "1")
    assert computing.prepare_training(device) == "cpu" and torch.get_num_threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert computing.prepare_training(device) == "cpu" and torch.get_num_threads() == 3


def test_a_training_on_a_gpu_keeps_the_threads_of_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert computing.prepare_training(ANY) == "cuda:0" and torch.get_num_threads() == 4


@pytest.mark.parametrize(
    ("segmenter", "threads"), [("sam2-mini", 1), ("sam2-mini-large", 1), ("sam2.1-small", 4), ("", 4)]
)
def test_a_miniature_segmenter_has_one_thread_on_a_cpu_in_one_process_or_several(monkeypatch, segmenter, threads):
    """So its scores are the same on any number of cores, and beside other work."""
    assert team(segmenter=segmenter) == ThisProcess("cpu") and torch.get_num_threads() == threads
    monkeypatch.setenv("T2S_DEVICES", "2")
    assert team(segmenter=segmenter).prepare.args == (threads,)
    monkeypatch.setenv("T2S_RAY_ADDRESS", "head:6379")
    assert team(segmenter=segmenter).prepare.args == (threads,)
    monkeypatch.delenv("T2S_RAY_ADDRESS")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert team(segmenter=segmenter).prepare.args == (3,), "who sets the threads gets them"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert team(segmenter=segmenter).prepare.args == (4,), "on a GPU they only prepare its work"


def test_so_many_processes_as_are_asked_for_each_with_all_threads(monkeypatch):
    monkeypatch.setenv("T2S_DEVICES", "2")
    shared = team()
    assert isinstance(shared, Processes) and shared.devices == (WorkerDevice("cpu"),) * 2
    assert shared.prepare.args == (4,), "the last bits of a mask's scores depend on the number of threads"
    assert team(text_only=True).prepare.args == (2,), "texts do not"
    monkeypatch.setenv("T2S_DEVICES", "all")
    assert len(team().devices) == 4
    assert team(CPU) == ThisProcess("cpu"), "the named device is the only one"


def test_every_gpu_has_a_process_that_sees_no_other(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [device.variables for device in team().devices] == [
        {"CUDA_VISIBLE_DEVICES": "5"},
        {"CUDA_VISIBLE_DEVICES": "7"},
    ]
    monkeypatch.setenv("T2S_DEVICES", "1")
    assert team() == ThisProcess("cuda:0")
    monkeypatch.setenv("T2S_DEVICES", "3")
    with pytest.raises(InputError, match="T2S_DEVICES is 3, and this machine has 2"):
        team()


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_another_number_of_devices_is_a_sentence(text, monkeypatch):
    monkeypatch.setenv("T2S_DEVICES", text)
    with pytest.raises(InputError, match="give the number of devices, or all"):
        team()


def test_a_cluster_does_what_it_can_read(monkeypatch):
    monkeypatch.setenv("T2S_RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("T2S_DEVICES", "8")
    assert isinstance(team(), RayTeam) and (team().address, team().size) == ("head:6379", 8)
    assert isinstance(team(only_here=True), Processes)
    assert team(CPU) == ThisProcess("cpu")


@pytest.mark.parametrize(
    ("listed", "device", "ranks", "visible", "left"),
    [
        (None, "cuda:2", 1, "2", "cuda:0"),
        (None, None, 1, "0", None),
        ("4,7", "cuda:1", 1, "7", "cuda:0"),
        ("4,7", None, 1, "4", None),
        ("4,7", "cuda:1", 2, "4,7", None),
        ("4,7", "cpu", 1, "4,7", "cpu"),
    ],
)
def test_a_trainer_sees_its_own_device_only(monkeypatch, listed, device, ranks, visible, left):
    """A number counts the devices that the process may use, and a rank takes its device by itself."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed or "")
    if listed is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    options = argparse.Namespace(device=device)
    choose_device(options, ranks)
    assert (os.environ["CUDA_VISIBLE_DEVICES"], options.device) == (visible, left)


def test_a_device_that_the_process_may_not_use_is_one_sentence(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    with pytest.raises(InputError, match="There is no device cuda:2: CUDA_VISIBLE_DEVICES is '4,7'"):
        choose_device(argparse.Namespace(device="cuda:2"), 1)
