"""Where the worker answers: `--set compute.devices=`, `--ray`, and the fields of the resource in Dagster."""

from pathlib import Path

import pytest

pytest.importorskip("dagster")

from assets.resources import WorkerLauncher
from t2s_pipeline.commands.evaluate import computing
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.worker.process import worker_environment


def test_devices_and_cluster_are_taken_from_the_options_and_reach_the_worker(tmp_path: Path):
    before = Settings(tmp_path, tmp_path / "python", devices="1", ray_address="old:1")
    settings, rest = computing(before, ["segmenter=sam", "compute.devices = 4"], "new:2")
    assert (settings.devices, settings.ray_address, rest) == ("4", "new:2", ["segmenter=sam"])
    environment = worker_environment(settings)
    assert (environment["T2S_DEVICES"], environment["T2S_RAY_ADDRESS"]) == ("4", "new:2")
    assert computing(before, [], None) == (before, [])


def test_the_resource_says_where_a_run_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("T2S_RAY_ADDRESS", "head:6379")
    assert WorkerLauncher().settings.ray_address == "head:6379"
    assert WorkerLauncher(kind="process").settings.ray_address == ""
    assert WorkerLauncher(kind="ray", ray_address="http://a:1", devices="all").settings.devices == "all"
    monkeypatch.delenv("T2S_RAY_ADDRESS")
    with pytest.raises(InputError, match="set ray_address, or T2S_RAY_ADDRESS"):
        _ = WorkerLauncher(kind="ray").settings
