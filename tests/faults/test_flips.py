"""A flipped bit is never computed with. `make faults` flips at least 1,000; these are fewer."""

import importlib.util
import os

import pytest

from t2s_pipeline.core.errors import DamagedFileError
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.digests import chunks
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.schema import IMAGES, TABLES
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import read_partition
from tests.faults.flips import PYTHON, SQL, flips
from tests.faults.lakes import partition_of, rows_of, write_every_table

SEED = int(os.environ.get("T2S_FAULT_SEED", "0"))


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    home = tmp_path_factory.mktemp("home")
    write_every_table(home / "lake")
    return Settings(home, home / "python", REPO / "sql")


def test_no_row_that_python_reads_is_wrong(settings):
    outcomes = flips(settings, 200, PYTHON, SEED)
    assert outcomes["wrong"] == 0 and outcomes["named"] > 300


@pytest.mark.skipif(importlib.util.find_spec("duckdb") is None, reason="needs DuckDB")
def test_no_row_that_sql_reads_is_wrong(settings):
    outcomes = flips(settings, 40, SQL, SEED + 1)
    assert outcomes["wrong"] == 0 and outcomes["named"] > 30


def test_every_byte_of_a_small_file_is_covered(tmp_path):
    table = TABLES["rejects"]
    write_every_table(tmp_path)
    path = partition_file(tmp_path, table, partition_of(table))
    good = path.read_bytes()
    for place in range(len(good)):
        path.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        with pytest.raises(DamagedFileError, match="repair"):
            read_partition(tmp_path, table, partition_of(table))


def test_a_file_that_was_cut_off_is_named_wherever_it_ends(tmp_path):
    table = TABLES["rejects"]
    write_every_table(tmp_path)
    path = partition_file(tmp_path, table, partition_of(table))
    good = path.read_bytes()
    for length in range(0, len(good), 7):
        path.write_bytes(good[:length])
        with pytest.raises(DamagedFileError):
            read_partition(tmp_path, table, partition_of(table))


def test_damage_in_one_column_does_not_disturb_the_others(tmp_path):
    write_every_table(tmp_path)
    path = partition_file(tmp_path, IMAGES, partition_of(IMAGES))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"bytes 3bytes 3", b"bytes 3bytes 4", 1))
    assert read_partition(tmp_path, IMAGES, partition_of(IMAGES), ["width"]).num_rows == len(rows_of(IMAGES))
    with pytest.raises(DamagedFileError, match="column bytes in row group 0 differs"):
        read_partition(tmp_path, IMAGES, partition_of(IMAGES), ["bytes"])


def test_damage_is_noticed_by_who_reads_a_part_of_a_column(tmp_path):
    table = TABLES["samples"]
    write_every_table(tmp_path)
    path = partition_file(tmp_path, table, partition_of(table))
    with CheckedFile(path) as file:
        chunk = next(chunk for chunk in chunks(file.metadata, 0) if chunk.column == "mask")
    data = path.read_bytes()
    path.write_bytes(data[: chunk.start + 50] + bytes([data[chunk.start + 50] ^ 1]) + data[chunk.start + 51 :])
    with pytest.raises(DamagedFileError, match="column mask"):
        read_partition(tmp_path, table, partition_of(table), ["mask.width"])


def test_a_staged_piece_that_is_damaged_is_not_made_part_of_a_partition(tmp_path):
    table = TABLES["rejects"]
    staged = StagedPartition(tmp_path, table, partition_of(table), "f")
    staged.put(0, rows_of(table))
    (piece,) = (tmp_path / "_staging").rglob("*.parquet")
    data = piece.read_bytes()
    piece.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    with pytest.raises(DamagedFileError, match="is damaged"):
        staged.commit()
