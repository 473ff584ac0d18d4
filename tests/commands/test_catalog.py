"""What is done from the terminal is in Dagster's catalog: materializations with their numbers, and partitions."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

dg = pytest.importorskip("dagster")

from t2s_pipeline.commands.catalog import waiting_files  # noqa: E402
from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from tests.data.make_earthreason import HERE  # noqa: E402
from tests.processes import has_ended  # noqa: E402

pytestmark = pytest.mark.orchestrator

SCENES = HERE.parent / "real_scenes"


class Terminal:
    """A T2S_HOME, a DAGSTER_HOME of the user's own, and `t2s` with both."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(folder / "home", folder / "python")
        self.history = folder / "history"
        self.history.mkdir()
        (self.history / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        inherited = {name: value for name, value in os.environ.items() if name != "T2S_CATALOG"}
        self.environment = {**inherited, "T2S_HOME": str(self.settings.home), "DAGSTER_HOME": str(self.history)}

    def t2s(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, then wait for the process that records what it did."""
        before = set(_recorders())
        command = [sys.executable, "-m", "t2s_pipeline.cli", *arguments]
        done = subprocess.run(command, cwd=REPO, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for pid in set(_recorders()) - before:
            assert has_ended(pid)
        return done

    def materializations(self, asset: str) -> dict[str | None, dg.AssetMaterialization]:
        """Partition → its latest materialization."""
        with dg.DagsterInstance.from_config(str(self.history)) as instance:
            records = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
        events = [record.asset_materialization for record in reversed(records)]
        return {event.partition: event for event in events}


def _recorders() -> list[int]:
    """The processes that record for a command; the command itself has ended, so they are nobody's children."""
    processes = psutil.process_iter(["cmdline"])
    return [each.pid for each in processes if "t2s_pipeline.commands.processes.catalog" in (each.info["cmdline"] or ())]


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A terminal in which real scenes were read and labelled."""
    used = Terminal(tmp_path_factory.mktemp("terminal"))
    used.t2s("ingest", str(SCENES))
    used.t2s("label", "seg-zero", "vision-reasoner", "--dataset", "real-scenes", "--split", "val")
    yield used


def test_each_table_of_each_split_is_materialized_with_its_numbers(terminal: Terminal):
    splits = {"real-scenes-val", "real-scenes-test"}
    for table in ("images", "samples", "selections", "rejects"):
        assert set(terminal.materializations(table)) == splits, table
    val = terminal.materializations("samples")["real-scenes-val"]
    assert val.metadata["samples"].value == val.metadata["dagster/row_count"].value == 2
    assert val.metadata["preview"].value.startswith("![the first 2 images]")
    labels = terminal.materializations("pseudo_labels")["real-scenes-val"]
    assert {"seg-zero instances", "vision-reasoner instances"} <= set(labels.metadata)


def test_the_partitions_are_offered_in_the_ui(terminal: Terminal):
    with dg.DagsterInstance.from_config(str(terminal.history)) as instance:
        assert set(instance.get_dynamic_partitions("dataset_split")) == {"real-scenes-val", "real-scenes-test"}


def test_nothing_waits_and_the_users_own_instance_is_used_as_it_is(terminal: Terminal):
    assert waiting_files(terminal.settings) == []
    assert not (terminal.settings.home / "dagster").exists()
    assert (terminal.history / "dagster.yaml").read_text() == "telemetry:\n  enabled: false\n"
    assert (terminal.settings.logs / "catalog.log").read_text() == ""


def test_finished_work_is_recorded_once(terminal: Terminal):
    with dg.DagsterInstance.from_config(str(terminal.history)) as instance:
        before = len(instance.fetch_materializations(dg.AssetKey("images"), limit=100).records)
    assert "already done" in terminal.t2s("ingest", str(SCENES)).stdout
    with dg.DagsterInstance.from_config(str(terminal.history)) as instance:
        assert len(instance.fetch_materializations(dg.AssetKey("images"), limit=100).records) == before


def test_summaries_and_the_page_are_recorded(terminal: Terminal):
    assert str(terminal.settings.page) in terminal.t2s("report").stdout
    page = terminal.materializations("report")[None]
    assert page.metadata["page"].value == str(terminal.settings.page)
    assert "t2s leaderboard" in terminal.t2s("summarize", "--fresh").stdout
    assert terminal.materializations("published_metrics")[None].metadata["dagster/row_count"].value == 171


def test_the_recording_can_be_turned_off(tmp_path: Path):
    silent = Terminal(tmp_path)
    silent.environment["T2S_CATALOG"] = "off"
    silent.t2s("ingest", str(SCENES))
    assert waiting_files(silent.settings) == [] and list(silent.history.iterdir()) == [silent.history / "dagster.yaml"]
