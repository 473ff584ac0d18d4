"""`t2s lake` in the terminal: what an upgrade counts, what is damaged without being a table, and what still lacks."""

from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.lake import verification  # noqa: E402
from t2s_pipeline.lake.publishing import STAGING  # noqa: E402
from t2s_pipeline.lake.schema import TABLES  # noqa: E402
from t2s_pipeline.steps.step import LakePartition  # noqa: E402
from tests.commands.test_cli import message_of, t2s  # noqa: E402
from tests.faults.lakes import write_every_table  # noqa: E402
from tests.lake.test_upgrade import copy_old_lake  # noqa: E402


def test_an_upgrade_counts_partitions_and_rows_and_names_an_old_database(tmp_path: Path):
    copy_old_lake(tmp_path / "lake")
    unsealed = t2s(tmp_path, "lake", "verify")
    assert unsealed.stdout.splitlines()[-1].endswith(" files have no digests: `t2s lake upgrade` adds them.")
    (tmp_path / "results.duckdb").touch()
    lines = t2s(tmp_path, "lake", "upgrade").stdout.splitlines()
    # Two checkpoints in the table of one run; each of two systems has answered three questions.
    assert {"checkpoints: upgraded 1 partition, 2 rows", "completions: upgraded 2 partitions, 6 rows"} <= set(lines)
    assert lines[-1] == "results.duckdb still has the former columns: `t2s database` builds it again."
    assert t2s(tmp_path, "lake", "upgrade").stdout == f"{tmp_path / 'lake'} is up to date.\n"
    assert "digests" not in t2s(tmp_path, "lake", "verify").stdout


def test_a_journal_that_cannot_be_followed_is_damage_without_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_every_table(tmp_path / "lake")
    journal = tmp_path / "lake" / STAGING / "broken-renames-1"
    journal.parent.mkdir(exist_ok=True)
    journal.write_text("{}")
    assert message_of_found(tmp_path, journal).startswith("The lake is damaged")
    monkeypatch.setattr(verification, "remove_unused", lambda lake: 1_234)
    lines = t2s(tmp_path, "lake", "repair").stdout.splitlines()
    assert lines[0] == "Removed 1,234 objects that no manifest has named for a day."
    assert lines[1].startswith(f"{journal}: a journal of renames: it was set aside. Moved to {tmp_path / 'damaged'}")
    assert lines[2:] == ["No table was damaged."]
    assert t2s(tmp_path, "lake", "repair").stdout.splitlines()[-1] == f"Nothing in {tmp_path / 'lake'} is damaged."


def message_of_found(home: Path, path: Path) -> str:
    """The message of `t2s lake verify`, which has named one file."""
    done = t2s(home, "lake", "verify")
    assert done.stdout.startswith(f"{path}: ") and ", 1 damaged\n" in done.stdout
    return message_of(type(done)(done.returncode, "", done.stderr))


SPLIT = {"dataset": "roads", "split": "val"}


@pytest.mark.parametrize(
    ("table", "partition", "command"),
    [
        ("samples", {"dataset": "synthetic", "split": "val"}, "t2s demo"),
        ("images", SPLIT, "t2s ingest roads"),
        ("label_quality", {"method": "seg-zero", **SPLIT}, "t2s judge seg-zero --dataset roads --split val"),
        ("prediction_rejects", {"system": "theirs", **SPLIT}, "t2s score theirs"),
        ("training_log", {"run": "mine"}, "t2s train mine"),
        ("scene_objects", {"scene": "a.tif"}, "t2s scenes answer"),
        ("benchmark_metrics", {}, "t2s summarize"),
        ("agreement", {"system": "mine", **SPLIT}, "t2s evaluate mine --dataset roads --split val --completions 8"),
        ("risk_thresholds", {"system": "mine", **SPLIT}, "t2s abstain mine --dataset roads"),
        ("sample_scores", {"system": "mine", **SPLIT}, "t2s evaluate mine --dataset roads --split val"),
        ("step_times", {}, "t2s demo"),
    ],
)
def test_every_table_has_a_command_that_makes_it_again(table: str, partition: dict[str, str], command: str):
    assert LakePartition(TABLES[table], partition).command == command
