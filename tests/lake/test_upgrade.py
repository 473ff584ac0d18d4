"""A lake that release 0.1 wrote is recognized and upgraded without loss. A lake of a later release is refused."""

import hashlib
import os
import shutil
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("duckdb")

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake import schema, upgrade
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.revisions import REVISIONS
from t2s_pipeline.lake.schema import TABLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import fingerprint_of, list_partitions, read_partition, write_partition
from t2s_pipeline.lake.versions import VERSION_KEY, file_version
from t2s_pipeline.lake.views import query

pytestmark = pytest.mark.orchestrator

OLD_LAKE = REPO / "tests" / "data" / "lake_0_1"
SPLIT = {"dataset": "synthetic", "split": "val"}
STEP_20 = {"system": "run a--20", **SPLIT}
CHANGED = {
    "selections": 1,
    "checkpoints": 1,
    "completions": 2,
    "predictions": 4,
    "agreement": 1,
    "published_metrics": 1,
}
"""Table → partitions of it in the old lake, of those tables that have changed since."""
NEW_TABLES = {
    "risk_thresholds",
    "answer_settings",
    "notes",
    "scenes",
    "standing_questions",
    "scene_objects",
    "step_times",
}
"""Tables that release 0.1 did not have."""


def copy_old_lake(lake: Path) -> None:
    """Copy the old lake, with the true hashes of its images."""
    shutil.copytree(OLD_LAKE, lake)
    for path in lake.glob("images/**/data.parquet"):
        rows = pq.ParquetFile(path).read()
        hashes = pa.array([hashlib.sha256(data).hexdigest() for data in rows["bytes"].to_pylist()])
        place = rows.schema.get_field_index("sha256")
        pq.write_table(rows.set_column(place, rows.schema.field(place), hashes), path)


@pytest.fixture
def settings(tmp_path) -> Settings:
    """A home whose lake is the old one."""
    copy_old_lake(tmp_path / "lake")
    return Settings(home=tmp_path, worker_python=tmp_path / "none", sql_dir=REPO / "sql")


def files_of(lake: Path) -> dict[Path, bytes]:
    """Every file of the partitions."""
    return {path.relative_to(lake): path.read_bytes() for path in lake.rglob("data.parquet")}


def is_sealed(path: Path) -> bool:
    with CheckedFile(path) as file:
        return file.is_sealed


def counts(upgraded: list[upgrade.UpgradedPartition]) -> dict[str, int]:
    """Table → upgraded partitions."""
    return {name: sum(item.table == name for item in upgraded) for name in {item.table for item in upgraded}}


def test_the_old_lake_holds_every_table():
    assert {path.name for path in OLD_LAKE.iterdir()} - {"_staging"} == set(TABLES) - NEW_TABLES


def test_every_raised_version_has_its_revisions():
    for table in TABLES.values():
        versions = sorted(revision.version for revision in REVISIONS if revision.table == table.name)
        assert versions == list(range(2, table.version + 1)), table.name


@pytest.mark.parametrize(
    "read",
    [
        lambda settings: query(settings, "FROM leaderboard"),
        lambda settings: list_partitions(settings.lake, schema.COMPLETIONS),
        lambda settings: read_partition(settings.lake, schema.PREDICTIONS, {**STEP_20, "segmenter": "sam2-mini"}),
        lambda settings: fingerprint_of(settings.lake, schema.COMPLETIONS, STEP_20),
        lambda settings: fingerprint_of(settings.lake, schema.COMPLETIONS, {**STEP_20, "system": "not answered"}),
        lambda settings: fingerprint_of(settings.lake, schema.CHECKPOINTS, {"run": "run a"}),
        lambda settings: read_partition(settings.lake, schema.SELECTIONS, SPLIT),
        lambda settings: upgrade.require_current(settings.lake),
    ],
)
def test_reading_an_old_lake_says_what_to_do(settings, read):
    with pytest.raises(InputError, match=r"earlier release .*: run `t2s lake upgrade`"):
        read(settings)
    assert not list((settings.home / "tmp").glob("lake-*")), "the snapshot of a refused lake is removed"


@pytest.mark.parametrize("table", ["checkpoints", "agreement", "selections"])
def test_sql_refuses_a_table_whose_old_files_lie_where_new_ones_do(settings, table):
    for folder in settings.lake.iterdir():
        if folder.name != table:
            shutil.rmtree(folder)
    with pytest.raises(InputError, match=f"{settings.lake}/{table}.*t2s lake upgrade"):
        query(settings, f"FROM {table}")


def test_tables_that_did_not_change_are_read_as_they_are(settings):
    assert read_partition(settings.lake, schema.IMAGES, SPLIT).num_rows == 3
    assert fingerprint_of(settings.lake, schema.SAMPLES, SPLIT) == "samples synthetic val"


def test_an_upgrade_keeps_every_row_and_every_fingerprint(settings):
    before = files_of(settings.lake)
    assert not any(is_sealed(settings.lake / path) for path in before)
    upgraded = upgrade.upgrade(settings)
    after = files_of(settings.lake)
    assert len(upgraded) == len(after) == len(before)
    changed = [item for item in upgraded if TABLES[item.table].version > 1]
    assert counts(changed) == CHANGED and sum(item.rows for item in changed) == 6 + 2 + 2 * 3 + 4 * 3 + 3 + 1
    for path, content in before.items():
        new = Path(str(path).replace("/checkpoint=", "/system="))
        old_rows = pq.read_table(pa.BufferReader(content))
        rows = pq.read_table(pa.BufferReader(after[new]))
        table = TABLES[path.parts[0]]
        assert is_sealed(settings.lake / new), path
        assert rows.schema.metadata[b"t2s_fingerprint"] == old_rows.schema.metadata[b"t2s_fingerprint"]
        # A new column needs no new version: readers take it as null.
        assert rows.column_names == table.schema.names
        partition = dict(unquote(part).split("=", 1) for part in new.parts[1:-1])
        assert set(read_partition(settings.lake, table, partition).column_names) == set(table.schema.names)
        for name in set(rows.column_names) & set(old_rows.column_names) - {"rule"}:
            assert rows[name] == old_rows[name], (path, name)


def test_what_was_renamed_is_found_under_its_new_name(settings):
    upgrade.upgrade(settings)
    lake = settings.lake
    upgrade.require_current(lake)
    assert {row["system"] for row in list_partitions(lake, schema.COMPLETIONS)} == {"zero-shot-mini", "run a--20"}
    assert fingerprint_of(lake, schema.COMPLETIONS, STEP_20) == "completions run a--20 synthetic val"
    steps = query(settings, "SELECT system, step FROM checkpoints ORDER BY step").to_pylist()
    assert steps == [{"system": "run a--20", "step": 20}, {"system": "run a", "step": 40}]
    rules = query(settings, "SELECT rule, count(*) AS n FROM selections GROUP BY rule ORDER BY rule").to_pylist()
    assert rules == [{"rule": "by_hash", "n": 3}, {"rule": "first", "n": 3}]
    assert set(
        read_partition(lake, schema.AGREEMENT, {"system": "zero-shot-mini", **SPLIT})["completions"].to_pylist()
    ) == {4}
    assert not list(lake.glob("*/checkpoint=*")), "no empty folder remains"
    assert not list(lake.glob("_staging/completions/*")), "pieces that cannot be continued are removed"


def test_upgrading_again_does_nothing(settings):
    upgrade.upgrade(settings)
    pieces = StagedPartition(settings.lake, schema.COMPLETIONS, STEP_20, "new")
    pieces.put(0, pa.Table.from_pylist([{"sample_id": "a"}], schema=schema.COMPLETIONS.schema))
    files = files_of(settings.lake)
    assert upgrade.upgrade(settings) == []
    assert files_of(settings.lake) == files
    assert pieces.numbers() == {0}


class Stops:
    """Stops an upgrade before the n-th time that it renames or removes the file of a partition."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
        self.remaining = n
        self._replace, self._unlink = os.replace, Path.unlink
        monkeypatch.setattr(os, "replace", self._stopping_replace)
        monkeypatch.setattr(Path, "unlink", lambda path, missing_ok=False: self._stopping_unlink(path, missing_ok))

    def _stopping_replace(self, source: Path, target: Path) -> None:
        self._count(Path(target))
        self._replace(source, target)

    def _stopping_unlink(self, path: Path, missing_ok: bool) -> None:
        self._count(path)
        self._unlink(path, missing_ok)

    def _count(self, path: Path) -> None:
        if path.name == "data.parquet":
            self.remaining -= 1
            if self.remaining == 0:
                raise KeyboardInterrupt


@pytest.fixture(scope="module")
def upgraded_files(tmp_path_factory) -> dict[Path, bytes]:
    """The files of the old lake after an upgrade that nothing stopped."""
    home = tmp_path_factory.mktemp("home")
    copy_old_lake(home / "lake")
    upgrade.upgrade(Settings(home=home, worker_python=home / "none", sql_dir=REPO / "sql"))
    return files_of(home / "lake")


@pytest.mark.parametrize("n", [*range(1, 10 + 6 + 1), 17, 23, 25])
def test_an_upgrade_that_was_stopped_goes_on(settings, monkeypatch, upgraded_files, n):
    """Ten files are written and six former ones removed; then those of the other tables get their digests."""
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        Stops(patch, n)
        upgrade.upgrade(settings)
    upgrade.upgrade(settings)
    assert files_of(settings.lake) == upgraded_files


def test_a_damaged_file_is_named_and_left_and_the_others_are_upgraded(settings):
    damaged = next(settings.lake.glob("completions/checkpoint=run*/**/data.parquet"))
    damaged.write_bytes(b"PAR1 cut off")
    with pytest.raises(InputError, match=r"checkpoint=run%20a--20.*t2s lake repair"):
        upgrade.upgrade(settings)
    assert damaged.exists()
    assert read_partition(settings.lake, schema.COMPLETIONS, {**STEP_20, "system": "zero-shot-mini"}).num_rows == 3


def newer(lake: Path, table: str, partition: dict[str, str]) -> Path:
    """Write a file as a later release would."""
    path = partition_file(lake, TABLES[table], partition)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {VERSION_KEY: str(TABLES[table].version + 1)}
    pq.write_table(TABLES[table].schema.empty_table().replace_schema_metadata(metadata), path)
    return path


@pytest.mark.parametrize(("table", "partition"), [("images", SPLIT), ("completions", STEP_20)])
def test_a_later_release_s_lake_is_refused_and_not_touched(settings, table, partition):
    upgrade.upgrade(settings)
    path = newer(settings.lake, table, partition)
    files = files_of(settings.lake)
    rows = TABLES[table].schema.empty_table()
    for attempt in (
        lambda: upgrade.upgrade(settings),
        lambda: read_partition(settings.lake, TABLES[table], partition),
        lambda: fingerprint_of(settings.lake, TABLES[table], partition),
        lambda: write_partition(settings.lake, TABLES[table], partition, rows),
        lambda: query(settings, f"FROM {table}"),
    ):
        with pytest.raises(InputError, match="written by a later release"):
            attempt()
    assert path.exists() and files_of(settings.lake) == files


def test_folders_that_a_later_release_renamed_are_not_taken_for_nothing(settings):
    upgrade.upgrade(settings)
    (settings.lake / "completions" / "system=zero-shot-mini").rename(settings.lake / "completions" / "answerer=mini")
    with pytest.raises(InputError, match="answerer, which is no partition column of table completions"):
        list_partitions(settings.lake, schema.COMPLETIONS)


@pytest.mark.parametrize("table", [schema.IMAGES, schema.COMPLETIONS])
def test_each_file_names_its_version(tmp_path, table):
    partition = {column: "x" for column in table.partition_by}
    write_partition(tmp_path, table, partition, table.schema.empty_table(), "mine")
    path = partition_file(tmp_path, table, partition)
    assert pq.read_metadata(path).metadata[VERSION_KEY] == str(table.version).encode()
    assert file_version(table, path) == table.version
