"""A lake on an object store: writers in conflict, killed writers, snapshots, what is removed, and what is refused."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from t2s_pipeline.core.errors import InputError, NotMaterializedError, ObjectStoreError, T2SError
from t2s_pipeline.core.lake_place import ObjectPlace, lake_place
from t2s_pipeline.core.settings import REPO, Settings
from t2s_pipeline.lake import manifests, object_client
from t2s_pipeline.lake.checked_file import CheckedFile
from t2s_pipeline.lake.object_client import ObjectClient, client_of
from t2s_pipeline.lake.schema import IMAGES, NOTES, REJECTS
from t2s_pipeline.lake.snapshot import take_snapshot
from t2s_pipeline.lake.staging import StagedPartition
from t2s_pipeline.lake.store import (
    FINGERPRINT_KEY,
    append_rows,
    fingerprint_of,
    list_partitions,
    read_partition,
    row_count,
    scan,
    write_partition,
)
from t2s_pipeline.lake.verification import remove_unused, set_aside, verify
from tests.faults import kills
from tests.faults.lakes import rows_of
from tests.lake import places
from tests.object_server import BUCKET, DENIED

VAL = {"dataset": "x", "split": "val"}


def settings_of(lake: ObjectPlace, home: Path) -> Settings:
    return Settings(home, home / "none", REPO / "sql", lake_address=str(lake))


def marks(lake: ObjectPlace) -> set[bytes]:
    """The fingerprints of the tables that belong together, in one snapshot."""
    snapshot = take_snapshot(lake, lake.scratch, kills.TABLES)
    try:
        files = [file for table in kills.TABLES for file in snapshot.files[table.name]]
        return {CheckedFile(file.copy).entries[FINGERPRINT_KEY] for file in files}
    finally:
        snapshot.remove()


def test_names_that_an_object_store_would_take_for_others_come_back(object_lake):
    values = ["a/b", "a b", "ä", "%2F", "a=b", "..", "'", "#?&", "a\\b", "*"]
    for value in values:
        write_partition(object_lake, REJECTS, {"dataset": value, "split": "s"}, rows_of(REJECTS), value)
    assert [each["dataset"] for each in list_partitions(object_lake, REJECTS)] == sorted(values)
    assert [fingerprint_of(object_lake, REJECTS, {"dataset": value, "split": "s"}) for value in values] == values


def test_two_writers_in_conflict_lose_nothing(object_lake):
    """Each of two machines replaces its own partitions, and both append to one."""

    def write(writer: int) -> None:
        for number in range(6):
            write_partition(object_lake, REJECTS, {"dataset": f"{writer}", "split": f"{number}"}, rows_of(REJECTS), "f")
            row = pa.Table.from_pylist([{"source": f"{writer} {number}", "reason": "r"}], schema=REJECTS.schema)
            append_rows(object_lake, REJECTS, VAL, row)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    everything = {(f"{writer}", f"{number}") for writer in range(2) for number in range(6)} | {("x", "val")}
    assert {tuple(each.values()) for each in list_partitions(object_lake, REJECTS)} == everything
    sources = read_partition(object_lake, REJECTS, VAL)["source"].to_pylist()
    assert sorted(sources) == sorted(f"{writer} {number}" for writer in range(2) for number in range(6))


def test_a_writer_that_never_gets_its_turn_gives_up_with_a_sentence(object_lake, monkeypatch):
    monkeypatch.setattr(ObjectClient, "put_if", lambda *_: False)
    monkeypatch.setattr(manifests, "MOST_WAIT", 0)
    with pytest.raises(
        ObjectStoreError, match=r"s3://lakes/.* was changed by others 100 times .*: run the same command"
    ):
        write_partition(object_lake, REJECTS, VAL, rows_of(REJECTS))


@pytest.mark.parametrize("lost", [True, False])
def test_a_commit_whose_answer_was_lost_is_not_made_again(object_lake, monkeypatch, lost):
    real = ObjectClient._put_if
    answers = [False]

    def put_if(self, name, data, etag):
        written = real(self, name, data, etag)
        return answers.pop() if lost and name == manifests.ROOT and answers else written

    write_partition(object_lake, NOTES, VAL, rows_of(NOTES))
    monkeypatch.setattr(ObjectClient, "_put_if", put_if)
    write_partition(object_lake, REJECTS, VAL, rows_of(REJECTS))
    assert manifests.read_root(client_of(object_lake)).commit == 2
    assert read_partition(object_lake, REJECTS, VAL).equals(rows_of(REJECTS))


@pytest.mark.parametrize(
    ("writer", "steps", "number_of_readers"),
    [("together", [1, 8, 16, 18, 20, 22], 8), ("staged", [1, 9, 60], 0)],
)
def test_a_writer_killed_before_a_request_leaves_all_old_or_all_new(object_lake, writer, steps, number_of_readers):
    lakes = [replace(object_lake, prefix=f"{object_lake.prefix}/{step}") for step in steps]
    for lake in lakes:
        kills.together(lake, 1)
    command = [sys.executable, "-m", "tests.lake.object_kills", writer, object_lake.scratch, BUCKET]
    enough = threading.Event()

    def read(number: int) -> list[set[bytes]]:
        seen = []
        while not enough.is_set() or not seen:
            seen.append(marks(lakes[(number + len(seen)) % len(lakes)]))
        return seen

    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read, number) for number in range(number_of_readers)]
        prefixes = [lake.prefix for lake in lakes]
        done = subprocess.run([*command, *prefixes], capture_output=True, text=True, cwd=REPO, check=False)
        enough.set()
        assert all(len(seen) == 1 for reader in readers for seen in reader.result())
    assert done.returncode == 0, done.stderr
    killed = [line == "1" for line in done.stdout.splitlines()]
    assert killed == sorted(killed, reverse=True)
    assert killed[0] and not killed[-1]
    states = [[fingerprint_of(lake, table, kills.SPLIT) for table in kills.TABLES] for lake in lakes]
    if writer == "together":
        assert states == sorted(states)
        assert {tuple(state) for state in states} == {("1", "1"), ("2", "2")}
    for lake in (lakes[0], lakes[-2]):  # the next writer is not disturbed
        kills.WRITERS[writer](lake, 2)
        for table in kills.TABLES:
            assert read_partition(lake, table, kills.SPLIT).equals(rows_of(table, 2))


def test_an_object_is_removed_a_day_after_nobody_can_use_it(object_lake, monkeypatch):
    client = client_of(object_lake)
    client.put("somebody/else.parquet", b"")
    client.put("rejects/dataset=x/split=val/0123456789abcdef0123456789abcdef.parquet", b"of a killed writer")
    write_partition(object_lake, REJECTS, VAL, rows_of(REJECTS, 1), "1")
    write_partition(object_lake, REJECTS, VAL, rows_of(REJECTS, 2), "2")
    began = scan(object_lake, REJECTS, VAL)
    write_partition(object_lake, REJECTS, VAL, rows_of(REJECTS, 3), "3")
    StagedPartition(object_lake, REJECTS, VAL, "f").put(0, rows_of(REJECTS))
    assert remove_unused(object_lake) == 0

    latest = manifests.read_root(client).manifests["rejects"]
    real = ObjectClient.listed

    def long_ago(self, folder=""):
        """Everything was written a day ago, but for the last manifest: its predecessor was in use until now."""
        for item in real(self, folder):
            yield item if item.name == latest else replace(item, written=item.written - timedelta(hours=25))

    monkeypatch.setattr(ObjectClient, "listed", long_ago)
    assert remove_unused(object_lake) == 3  # the killed writer's, the first object, and the first manifest
    assert pa.Table.from_batches(began).equals(rows_of(REJECTS, 2))
    assert read_partition(object_lake, REJECTS, VAL).equals(rows_of(REJECTS, 3))
    monkeypatch.setattr(ObjectClient, "now", lambda self: datetime.now(UTC) + timedelta(days=2))
    assert remove_unused(object_lake) == 2  # the second object and its manifest
    assert read_partition(object_lake, REJECTS, VAL).equals(rows_of(REJECTS, 3))
    assert StagedPartition(object_lake, REJECTS, VAL, "f").numbers() == {0}
    monkeypatch.setattr(ObjectClient, "now", lambda self: datetime.now(UTC) + timedelta(days=15))
    assert remove_unused(object_lake) == 1
    assert {item.name for item in real(client)} >= {"somebody/else.parquet", manifests.ROOT, latest}


def test_pieces_that_another_machine_has_committed_are_not_missed(object_lake):
    ours, theirs = (StagedPartition(object_lake, REJECTS, VAL, "f") for _ in range(2))
    for staged in (ours, theirs):
        staged.put(0, rows_of(REJECTS))
    assert theirs.commit() == len(rows_of(REJECTS))
    assert ours.commit() == len(rows_of(REJECTS))
    lost = StagedPartition(object_lake, REJECTS, VAL, "g")
    lost.put(0, rows_of(REJECTS))
    client_of(object_lake).delete([item.name for item in client_of(object_lake).listed("_staging")])
    with pytest.raises(T2SError, match="pieces of table rejects were removed by another process: run the same"):
        lost.commit()
    assert fingerprint_of(object_lake, REJECTS, VAL) == "f"


def test_damage_is_named_and_taken_out_and_nothing_else_is(object_lake, tmp_path):
    for table in (REJECTS, NOTES, IMAGES):
        write_partition(object_lake, table, VAL, rows_of(table), "f")
    client = client_of(object_lake)
    names = {name.split("/")[0]: name for name in (item.name for item in client.listed()) if name.endswith(".parquet")}
    data = bytearray(client.get(names["rejects"])[0])
    data[100] ^= 1
    client.put(names["rejects"], bytes(data))
    client.delete([names["notes"]])
    assert fingerprint_of(object_lake, NOTES, VAL) is None  # to be made again
    state = verify(object_lake)
    assert sorted(part.path for part in state.damaged) == sorted(
        client.address(names[name]) for name in ("notes", "rejects")
    )
    assert (state.files, state.without_digests) == (3, 0)
    settings = settings_of(object_lake, tmp_path)
    for place in set_aside(settings, state.damaged):
        assert place.is_relative_to(tmp_path / "damaged") and place.is_file()
    assert verify(object_lake).damaged == ()
    assert [list_partitions(object_lake, table) for table in (REJECTS, NOTES, IMAGES)] == [[], [], [VAL]]


@pytest.mark.parametrize("name", [manifests.ROOT, "manifest"])
def test_a_manifest_that_is_damaged_is_a_sentence_everywhere(object_lake, name):
    write_partition(object_lake, REJECTS, VAL, rows_of(REJECTS))
    client = client_of(object_lake)
    name = manifests.read_root(client).manifests["rejects"] if name == "manifest" else name
    client.put(name, client.get(name)[0].replace(b'"commit": 1', b'"commit": 7'))
    manifests._read_manifest.cache_clear()
    for use in (fingerprint_of, read_partition, row_count):
        with pytest.raises(ObjectStoreError, match=rf"{name} differs from its digest: restore an earlier version"):
            use(object_lake, REJECTS, VAL)


def test_a_reader_gets_the_columns_that_it_reads_only(object_lake, monkeypatch):
    row = {"file_name": "", "width": 1, "height": 1, "sha256": ""}
    rows = [{**row, "image_id": f"{number}", "bytes": os.urandom(200_000)} for number in range(20)]
    write_partition(object_lake, IMAGES, VAL, pa.Table.from_pylist(rows, schema=IMAGES.schema))
    sizes = []
    real = ObjectClient.ranges

    def ranges(self, name, parts):
        sizes.append(sum(length for _, length in parts))
        return real(self, name, parts)

    monkeypatch.setattr(ObjectClient, "ranges", ranges)
    assert read_partition(object_lake, IMAGES, VAL, ["image_id"]).num_rows == 20
    assert sum(sizes) < 100_000
    assert len(read_partition(object_lake, IMAGES, VAL)["bytes"][7].as_py()) == 200_000
    assert sum(sizes) > 4_000_000


@pytest.mark.parametrize(
    "address",
    [
        "s3:/lakes/x",
        "lakes",
        "/data/lake",
        "s3://key:hidden@lakes/x",
        "s3://lakes/a/../b",
        "s3://lakes//x",
        "gs://lakes/x",
    ],
)
def test_an_address_that_is_none_is_refused_without_being_repeated(tmp_path, address):
    with pytest.raises(InputError, match="T2S_LAKE is not an address of a lake: write s3://BUCKET") as error:
        lake_place(tmp_path, address)
    assert "hidden" not in str(error.value)


def test_an_address_is_the_bucket_and_what_names_begin_with(tmp_path):
    assert str(lake_place(tmp_path, "s3://a-bucket/of/mine/")) == "s3://a-bucket/of/mine"
    assert lake_place(tmp_path, "s3://a-bucket") == ObjectPlace("a-bucket", "", tmp_path / "tmp")
    assert lake_place(tmp_path, "") == tmp_path / "lake"


def refused(lake: ObjectPlace) -> str:
    """The one sentence with which every use of the lake is refused."""
    with pytest.raises(ObjectStoreError) as writing:
        write_partition(lake, REJECTS, VAL, rows_of(REJECTS))
    with pytest.raises((ObjectStoreError, NotMaterializedError)) as reading:
        read_partition(lake, REJECTS, VAL)
    for error in (writing, reading):
        assert places.SECRET not in str(error.value) and DENIED not in str(error.value)
        assert error.value.__cause__ is None or DENIED not in str(error.value.__cause__)
    return str(writing.value)


def test_what_cannot_be_used_is_refused_with_a_sentence(object_lake, monkeypatch):
    assert refused(replace(object_lake, bucket="no-bucket")).startswith(
        "There is no bucket no-bucket at the object store"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", DENIED)
    assert "denies access to s3://lakes/" in refused(object_lake)
    monkeypatch.setattr(object_client, "RETRIES", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://user:{places.SECRET}@127.0.0.1:9")
    assert "the object store at http://127.0.0.1:9 cannot be reached. Check AWS_ENDPOINT_URL" in refused(object_lake)
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.setenv("AWS_REGION", "elsewhere")
    assert refused(object_lake).endswith("needs the extra `s3` in both environments. `make setup` installs it.")


def test_a_server_that_ignores_conditions_is_refused(tmp_path, monkeypatch):
    with places.served("unconditional") as address:
        for name, value in places.environment(address).items():
            monkeypatch.setenv(name, value)
        lake = places.new_place(tmp_path)
        assert "ignores the conditions of a write (If-None-Match, If-Match)" in refused(lake)
        assert list_partitions(lake, REJECTS) == []
