"""A partition is replaced whole or not at all, remembers what it was made from, and streams."""

import hashlib
import io
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from t2s_pipeline.core.errors import DamagedFileError, InputError, NotMaterializedError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.schema import BENCHMARK_METRICS, IMAGES, REJECTS
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import (
    append_rows,
    copy_partition,
    fingerprint_of,
    list_partitions,
    open_partition,
    read_partition,
    scan,
    stored_file,
    write_partition,
)
from tests.lake.places import contents

VAL = {"dataset": "synthetic", "split": "val"}


def rejects(*sources: str, reason: str = "missing_label") -> pa.Table:
    rows = [{"source": source, "reason": reason, "detail": None} for source in sources]
    return pa.Table.from_pylist(rows, schema=REJECTS.schema)


def images(count: int, size: int = 10) -> pa.Table:
    rows = [
        {"image_id": f"{i}", "file_name": "", "width": 1, "height": 1, "sha256": "", "bytes": bytes([i % 256]) * size}
        for i in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=IMAGES.schema)


def group_sizes(lake: LakePlace) -> list[int]:
    with open_partition(lake, IMAGES, VAL) as file:
        return [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]


def test_what_is_written_is_read_back_and_remembers_its_origin(lake):
    assert write_partition(lake, REJECTS, VAL, rejects("a", "b"), "f00d") == 2
    assert read_partition(lake, REJECTS, VAL).equals(rejects("a", "b"))
    assert read_partition(lake, REJECTS, VAL, ["source"]).to_pylist() == [{"source": "a"}, {"source": "b"}]
    assert fingerprint_of(lake, REJECTS, VAL) == "f00d"
    assert contents(lake) == ["rejects/dataset=synthetic/split=val/data.parquet"]


def test_a_partition_is_replaced_not_added_to(lake):
    write_partition(lake, REJECTS, VAL, rejects("a", "b"), "old")
    write_partition(lake, REJECTS, VAL, rejects("c"), "new")
    assert read_partition(lake, REJECTS, VAL)["source"].to_pylist() == ["c"]
    assert fingerprint_of(lake, REJECTS, VAL) == "new"


def test_rows_are_appended_and_the_oldest_leave(lake):
    for source in "abc":
        append_rows(lake, REJECTS, VAL, rejects(source))
    assert read_partition(lake, REJECTS, VAL).equals(rejects("a", "b", "c"))
    append_rows(lake, REJECTS, VAL, rejects("d"), most=2)
    assert read_partition(lake, REJECTS, VAL).equals(rejects("c", "d"))
    append_rows(lake, REJECTS, VAL, rejects("e"), most=5)
    assert read_partition(lake, REJECTS, VAL).equals(rejects("c", "d", "e"))


def test_no_rows_are_a_partition_too(lake):
    assert write_partition(lake, REJECTS, VAL, [], "none") == 0
    assert read_partition(lake, REJECTS, VAL).schema.equals(REJECTS.schema)
    assert fingerprint_of(lake, REJECTS, VAL) == "none"


def test_what_is_absent_has_no_fingerprint_and_says_what_to_do(lake):
    assert fingerprint_of(lake, REJECTS, VAL) is None
    assert list_partitions(lake, REJECTS) == []
    for read in (read_partition, scan):
        with pytest.raises(NotMaterializedError, match=r"rejects has nothing for dataset=synthetic, split=val"):
            read(lake, REJECTS, VAL)


def test_a_damaged_file_counts_as_to_be_made_and_is_named_when_read(tmp_path):
    path = partition_file(tmp_path, REJECTS, VAL)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 but not really")
    assert fingerprint_of(tmp_path, REJECTS, VAL) is None
    with pytest.raises(InputError, match=r"data\.parquet is damaged"):
        read_partition(tmp_path, REJECTS, VAL)


@given(st.data())
def test_a_file_with_any_byte_changed_is_read_or_named_but_raises_nothing_else(tmp_path_factory, data):
    lake = tmp_path_factory.mktemp("lake")
    write_partition(lake, REJECTS, VAL, rejects(*(str(i) for i in range(50))), "f00d")
    path = partition_file(lake, REJECTS, VAL)
    good = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(good[: data.draw(st.integers(0, len(good)))])
    fingerprint_of(lake, REJECTS, VAL)
    for read in (read_partition, lambda *place: list(scan(*place))):
        try:
            read(lake, REJECTS, VAL)
        except InputError as error:
            assert str(error).startswith(f"{path} is damaged")


def test_an_unpartitioned_table_is_one_file(tmp_path):
    assert partition_file(tmp_path, BENCHMARK_METRICS, {}) == tmp_path / "benchmark_metrics" / "data.parquet"
    write_partition(tmp_path, BENCHMARK_METRICS, {}, BENCHMARK_METRICS.schema.empty_table())
    assert list_partitions(tmp_path, BENCHMARK_METRICS) == [{}]


def test_partition_columns_are_those_of_the_table(tmp_path):
    for partition in ({}, {"dataset": "a"}, {"dataset": "a", "split": "b", "run": "c"}, {"run": "a", "split": "b"}):
        with pytest.raises(InputError, match="partitioned by"):
            partition_file(tmp_path, REJECTS, partition)


@pytest.mark.parametrize("value", ["", "x" * 201])
def test_values_that_cannot_be_folder_names_are_refused(tmp_path, value):
    with pytest.raises(InputError, match="empty or too long"):
        partition_file(tmp_path, REJECTS, {"dataset": value, "split": "val"})


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_any_value_stays_inside_the_lake_and_comes_back(tmp_path_factory, value):
    lake = tmp_path_factory.mktemp("lake")
    partition = {"dataset": value, "split": "val"}
    path = partition_file(lake, REJECTS, partition)
    assert path.resolve().is_relative_to(lake.resolve() / "rejects")
    write_partition(lake, REJECTS, partition, rejects("a"))
    assert list_partitions(lake, REJECTS) == [partition]
    assert read_partition(lake, REJECTS, partition).num_rows == 1


def test_partitions_are_listed_in_order(tmp_path):
    for dataset, split in [("b", "val"), ("a", "val"), ("a", "test")]:
        write_partition(tmp_path, REJECTS, {"dataset": dataset, "split": split}, rejects("x"))
    (tmp_path / "rejects" / "dataset=c" / "split=val").mkdir(parents=True)  # a folder without a file
    found = [tuple(partition.values()) for partition in list_partitions(tmp_path, REJECTS)]
    assert found == [("a", "test"), ("a", "val"), ("b", "val")]


def test_row_groups_hold_as_many_rows_as_the_table_says_however_they_arrive(lake):
    single = (batch for i in range(150) for batch in images(150).slice(i, 1).to_batches())
    write_partition(lake, IMAGES, VAL, single)
    assert group_sizes(lake) == [64, 64, 22]
    assert read_partition(lake, IMAGES, VAL).equals(images(150))
    write_partition(lake, IMAGES, VAL, images(150))
    assert group_sizes(lake) == [64, 64, 22]


def test_large_rows_make_smaller_groups(lake, monkeypatch):
    monkeypatch.setattr("t2s_pipeline.lake.row_groups.GROUP_BYTES", 1000)
    batches = (batch for i in range(10) for batch in images(10, size=400).slice(i, 1).to_batches())
    assert write_partition(lake, IMAGES, VAL, batches) == 10
    assert group_sizes(lake) == [2] * 5


def test_types_are_cast_and_columns_put_in_order(lake):
    loose = pa.table({"detail": ["d"], "reason": pa.array(["r"]).dictionary_encode(), "source": ["s"]})
    write_partition(lake, REJECTS, VAL, loose)
    assert read_partition(lake, REJECTS, VAL).schema.equals(REJECTS.schema)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (pa.table({"source": ["a"], "reason": ["b"]}), "missing columns .'detail'."),
        (rejects("a").append_column("extra", pa.array([1])), "unknown ones .'extra'."),
        (pa.table({"source": [[1]], "reason": ["b"], "detail": ["c"]}), "column source does not fit string"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_change_nothing(lake, rows, words):
    write_partition(lake, REJECTS, VAL, rejects("old"), "old")
    with pytest.raises(InputError, match=words):
        write_partition(lake, REJECTS, VAL, rows, "new")
    assert fingerprint_of(lake, REJECTS, VAL) == "old"
    assert contents(lake) == ["rejects/dataset=synthetic/split=val/data.parquet"]


def test_a_source_that_fails_half_way_changes_nothing(lake):
    write_partition(lake, IMAGES, VAL, images(3), "old")

    def failing():
        yield from images(100).to_batches()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_partition(lake, IMAGES, VAL, failing(), "new")
    assert read_partition(lake, IMAGES, VAL).equals(images(3))
    assert contents(lake) == ["images/dataset=synthetic/split=val/data.parquet"]


def test_a_partition_can_be_copied_and_knows_its_size_and_which_is_newer(lake, tmp_path):
    assert stored_file(lake, REJECTS, VAL) is None
    assert not copy_partition(lake, REJECTS, VAL, tmp_path / "copy.parquet")
    write_partition(lake, REJECTS, VAL, rejects("a", "b"), "f")
    write_partition(lake, IMAGES, VAL, images(300, 2000))
    first, second = (stored_file(lake, table, VAL) for table in (REJECTS, IMAGES))
    assert first.order < second.order
    for table, file, rows in ((REJECTS, first, rejects("a", "b")), (IMAGES, second, images(300, 2000))):
        assert copy_partition(lake, table, VAL, tmp_path / "copy.parquet")
        assert (tmp_path / "copy.parquet").stat().st_size == file.size
        assert pq.read_table(tmp_path / "copy.parquet").replace_schema_metadata(None).equals(rows)


def test_a_scan_goes_on_with_the_file_it_began_with(lake):
    write_partition(lake, IMAGES, VAL, images(150))
    batches = scan(lake, IMAGES, VAL, ["image_id"])
    first = next(batches)
    write_partition(lake, IMAGES, VAL, images(1))
    rest = list(batches)
    assert first.num_rows == 64
    assert first.num_rows + sum(batch.num_rows for batch in rest) == 150
    assert [batch.num_rows for batch in scan(lake, IMAGES, VAL)] == [1]


WRITE_PAST_A_LIMIT = """
    import os, resource, sys
    from pathlib import Path
    import pyarrow as pa
    from t2s_pipeline.core.errors import T2SError
    from t2s_pipeline.lake.schema import IMAGES
    from t2s_pipeline.lake.staging import StagedPartition
    from t2s_pipeline.lake.store import write_partition
    lake, kind = Path(sys.argv[1]), sys.argv[2]
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
    row = {"image_id": "", "file_name": "", "width": 1, "height": 1, "sha256": "", "bytes": os.urandom(400_000)}
    rows = pa.Table.from_pylist([row], schema=IMAGES.schema)
    partition = {"dataset": "synthetic", "split": "val"}
    try:
        if kind == "staged":
            StagedPartition(lake, IMAGES, partition, "new").put(0, rows)
        else:
            write_partition(lake, IMAGES, partition, rows, "new")
    except T2SError as error:
        sys.exit(str(error))
"""


@pytest.mark.parametrize("kind", ["whole", "staged"])
def test_no_room_on_the_disk_is_one_sentence_and_leaves_what_was_there(tmp_path, kind):
    write_partition(tmp_path, IMAGES, VAL, images(3), "old")
    script = textwrap.dedent(WRITE_PAST_A_LIMIT)
    done = subprocess.run([sys.executable, "-c", script, tmp_path, kind], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The disk is full (File too large) while writing ")
    assert "free some space at " in done.stderr
    assert "Traceback" not in done.stderr
    assert fingerprint_of(tmp_path, IMAGES, VAL) == "old"
    assert contents(tmp_path) == ["images/dataset=synthetic/split=val/data.parquet"]


def test_staged_pieces_survive_and_commit_makes_them_the_partition(lake):
    staged = StagedPartition(lake, REJECTS, VAL, "f1")
    staged.put(12, rejects("d"))
    staged.put(0, rejects("a", "b"))
    assert list_partitions(lake, REJECTS) == []
    again = StagedPartition(lake, REJECTS, VAL, "f1")
    assert again.numbers() == {0, 12}
    again.put(3, rejects("c"))
    assert again.commit() == 4
    assert read_partition(lake, REJECTS, VAL)["source"].to_pylist() == ["a", "b", "c", "d"]
    assert fingerprint_of(lake, REJECTS, VAL) == "f1"
    assert contents(lake) == ["rejects/dataset=synthetic/split=val/data.parquet"]


def test_pieces_of_other_bounds_are_dropped(tmp_path):
    StagedPartition(tmp_path, REJECTS, VAL, "f", "two rows each").put(0, rejects("a", "b"))
    assert StagedPartition(tmp_path, REJECTS, VAL, "f", "three rows each").numbers() == set()


def test_pieces_of_another_fingerprint_are_dropped_and_those_of_another_partition_kept(lake):
    StagedPartition(lake, REJECTS, VAL, "old").put(0, rejects("a"))
    StagedPartition(lake, REJECTS, {"dataset": "synthetic", "split": "test"}, "old").put(7, rejects("b"))
    new = StagedPartition(lake, REJECTS, VAL, "new")
    assert new.numbers() == set()
    # On an object store, another machine may be using them.
    assert StagedPartition(lake, REJECTS, VAL, "old").numbers() == (set() if isinstance(lake, Path) else {0})
    other = StagedPartition(lake, REJECTS, {"dataset": "synthetic", "split": "test"}, "old")
    assert other.numbers() == {7}


def test_nothing_staged_commits_to_an_empty_partition(lake):
    assert StagedPartition(lake, REJECTS, VAL, "f").commit() == 0
    assert read_partition(lake, REJECTS, VAL).num_rows == 0


def test_a_piece_that_does_not_fit_is_refused_and_stages_nothing(lake):
    staged = StagedPartition(lake, REJECTS, VAL, "f")
    with pytest.raises(InputError):
        staged.put(0, pa.table({"nonsense": [1]}))
    assert staged.numbers() == set()


def test_an_image_in_a_file_without_digests_is_compared_with_its_hash(tmp_path):
    """An earlier release wrote no digests. A PNG that was made from another file has its own checksums."""
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(buffer, "PNG")
    made = buffer.getvalue()
    stored = {"a": b"a jpeg file", "b": made}
    hashes = {"a": hashlib.sha256(b"a jpeg file").hexdigest(), "b": hashlib.sha256(b"a 16-bit file").hexdigest()}
    path = partition_file(tmp_path, IMAGES, VAL)

    def write(files: dict[str, bytes]) -> None:
        row = {"file_name": "", "width": 1, "height": 1}
        rows = [{**row, "image_id": name, "sha256": hashes[name], "bytes": data} for name, data in files.items()]
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=IMAGES.schema), path)

    def reads() -> list[list[bytes]]:
        batches = list(scan(tmp_path, IMAGES, VAL, ["bytes"]))
        assert all(batch.schema.names == ["bytes"] for batch in batches)
        return [read_partition(tmp_path, IMAGES, VAL, ["bytes"])["bytes"].to_pylist(), batches[0]["bytes"].to_pylist()]

    write(stored)
    assert reads() == [list(stored.values())] * 2
    for name, data in (("a", b"A jpeg file"), ("b", made[:60] + b"?" + made[61:]), ("b", made[:-5])):
        write({**stored, name: data})
        with pytest.raises(DamagedFileError, match=f"the bytes of image {name} differ"):
            read_partition(tmp_path, IMAGES, VAL, ["bytes"])
        with pytest.raises(DamagedFileError, match=f"the bytes of image {name} differ"):
            list(scan(tmp_path, IMAGES, VAL))
        assert read_partition(tmp_path, IMAGES, VAL, ["image_id"]).num_rows == 2
