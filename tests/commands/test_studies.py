"""`t2s studies`: from painted scenes to the page of the tables, with the real worker; what fails is named."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.lake.table import Table  # noqa: E402
from t2s_pipeline.methods.miniature_tables import BASE, MINIATURE_TABLES, UNTRAINED, MiniatureTable  # noqa: E402
from t2s_pipeline.worker import launcher  # noqa: E402
from t2s_pipeline.worker.failures import WorkerError  # noqa: E402
from tests.commands.test_cli import message_of, t2s  # noqa: E402
from tests.stand_in_worker import StandIn  # noqa: E402

WORKER = Settings.from_env().worker_python
needs_worker = pytest.mark.skipif(not WORKER.exists(), reason=f"no worker environment at {WORKER}: make setup")

SMALL = f"{BASE}+sam2-mini-small"
LARGE = f"{BASE}+sam2-mini-large"
SEEDED = f"{BASE}-seed1+sam2-mini"


def test_the_plan_names_the_systems_and_the_hours(tmp_path: Path):
    kept = ("--kept", tmp_path / "kept")
    done = t2s(tmp_path, "studies", "plan", "--seeds", 2, "--only", "5-coarse", "--only", "4", *kept)
    lines = done.stdout.splitlines()
    assert lines[0] == "4: Table 4: the size of the prompter, on synthetic-studies"
    assert f"  {LARGE}" in lines
    # The base and the small prompter with two seeds: 4 trainings of 110 s. With both other segmenters of the base, 8
    # evaluations of 40 s. Together 760 s.
    assert lines[-2] == "4 trainings and 8 evaluations (4 of trained systems): about 13 minutes."
    lines = t2s(tmp_path, "studies", "plan", "--seeds", 9, "--only", "5-coarse", *kept).stdout.splitlines()
    # 9 trainings of 110 s and 27 evaluations of 40 s are 2,070 s, 34.5 minutes.
    assert lines[-2] == "9 trainings and 27 evaluations (9 of trained systems): about 34 minutes."


def test_a_table_that_does_not_exist_is_one_sentence(tmp_path: Path):
    words = f"There is no table '2'. There are: {', '.join(MINIATURE_TABLES)}."
    assert message_of(t2s(tmp_path, "studies", "run", "--only", "2", "--out", tmp_path / "page.md")) == words
    assert not (tmp_path / "page.md").exists()


def table_with(name: str, *systems: str) -> MiniatureTable:
    """A table with some of its systems only."""
    table = MINIATURE_TABLES[name]
    return replace(table, systems=tuple(system for system in table.systems if system.name in systems))


def rows_of(page: Path) -> dict[str, list[str]]:
    """The cells of the first row of each system."""
    rows: dict[str, list[str]] = {}
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("| `"):
            name, *cells = (cell.strip() for cell in line.split("|")[1:-1])
            rows.setdefault(name.strip("`"), cells)
    return rows


class Fails(StandIn):
    """A worker that answers with the true masks, and cannot train the second seed of the base."""

    def train(self, options: dict[str, str], mark: str) -> None:
        if options["--experiment"] == f"{BASE}-seed1":
            raise WorkerError("the training stopped")
        super().train(options, mark)

    def _write(self, table: Table, where: dict[str, str], *content: Any) -> None:
        """The masks of a variant are those of its own segmenter."""
        _, plus, segmenter = where.get("system", "").partition("+")
        if "segmenter" in where and plus:
            where["segmenter"] = segmenter
        super()._write(table, where, *content)


def test_a_system_that_fails_is_named_and_the_others_are_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    worker = Fails(Settings(tmp_path, Path(sys.executable), REPO / "sql"))
    monkeypatch.setenv("T2S_WORKER_PYTHON", sys.executable)
    monkeypatch.setattr(launcher, "plain_launch", lambda settings: worker)
    monkeypatch.setitem(MINIATURE_TABLES, "1", table_with("1", UNTRAINED, BASE))
    page = tmp_path / "page.md"
    tables = ("--only", "1", "--only", "5-coarse", "--only", "beyond-referring")
    monkeypatch.setitem(MINIATURE_TABLES, "beyond-referring", table_with("beyond-referring", BASE))
    shared = ("--seeds", 2, "--kept", tmp_path / "kept")
    command = ("studies", "run", *shared, *tables, "--share", 0.001, "--set", "grpo.steps=2", "--out", page)
    done = t2s(tmp_path, *command)
    # The second seed of the base fails, so it is evaluated on no dataset; what answers with its checkpoint has none.
    assert done.stderr.endswith(
        f"t2s: 3 systems failed, the others are done: {BASE}-seed1, {SEEDED}-large, {SEEDED}-small.\n"
    )
    assert f"{BASE}-seed1 failed: the training stopped\n" in done.stdout
    # Every answer is the true mask.
    rows = rows_of(page)
    for system in (UNTRAINED, BASE, SMALL, LARGE):
        assert rows[system][0] == "1" and rows[system][2].startswith("100.00 ["), system
    trained = [call[1] for call in worker.calls if call[0] == "train"]
    assert trained == [BASE, f"{BASE}-seed1"] and worker.overrides
    before = len(worker.calls)
    t2s(tmp_path, *command)
    assert {call[:2] for call in worker.calls[before:]} == {("train", f"{BASE}-seed1")}
    # Without the lake, what was kept counts as done: the base on two datasets, its two variants, and the untrained one.
    assert t2s(tmp_path, "studies", "keep", *shared).stdout == f"5 results were added to {tmp_path / 'kept'}.\n"
    elsewhere = t2s(tmp_path / "elsewhere", "studies", "plan", *shared, "--only", "1").stdout.splitlines()
    assert elsewhere[-3:-1] == [
        "1 trainings and 1 evaluations (1 of trained systems): about 2 minutes.",
        f"The results of 2 evaluations are in {tmp_path / 'kept'}. They are not repeated.",
    ]
    t2s(tmp_path / "elsewhere", "studies", "page", *shared, "--out", tmp_path / "again.md")
    assert rows_of(tmp_path / "again.md") == rows


@pytest.mark.slow
@needs_worker
def test_the_whole_way_leads_to_the_page_and_nothing_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One training of one step with the real worker, and the base."""
    monkeypatch.setitem(MINIATURE_TABLES, "1", table_with("1", UNTRAINED, BASE))
    page = tmp_path / "page.md"
    steps = ("grpo.steps=1", "grpo.prompts_per_step=1", "grpo.group_size=2", "grpo.max_new_tokens=60")
    changes = [word for step in steps for word in ("--set", step)]
    shared = ("--seeds", 1, "--only", "1", "--kept", tmp_path / "kept", "--share", 0.001)
    command = ("studies", "run", *shared, *changes, "--out", page)
    done = t2s(tmp_path, *command)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"The page is {page}."), done
    rows = rows_of(page)
    for system in (UNTRAINED, BASE):
        assert rows[system][0] == "1" and int(rows[system][1]) >= 1, rows
        assert 0 <= float(rows[system][2].split()[0]) <= 100
    (checkpoint,) = (tmp_path / "runs" / BASE).glob("checkpoint-*")
    assert checkpoint.name == "checkpoint-1"
    files = [checkpoint / "model.safetensors", *sorted((tmp_path / "lake" / "completions").rglob("*.parquet"))]
    times = {file: file.stat().st_mtime_ns for file in files}
    first = page.read_bytes()
    assert t2s(tmp_path, *command).returncode == 0
    assert {file: file.stat().st_mtime_ns for file in files} == times and page.read_bytes() == first
