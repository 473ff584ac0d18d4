"""A split goes into the lake in one pass, the same every time, however large, and is known by its contents."""

import hashlib
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets import reading
from t2s_pipeline.datasets.dataset import Dataset
from t2s_pipeline.datasets.earthreason import EarthReason
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.reading import require_unchanged, split_files
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.lake.schema import IMAGES, REJECTS, SAMPLES
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.target_shape import shape_of
from tests.data.make_earthreason import HERE, Split, file_of, picture
from tests.datasets.reading import read_tables

VAL = {"dataset": "look-alike", "split": "val"}


def at(root: Path) -> Dataset:
    return dataset_at("look-alike", root)


LOOK_ALIKE = at(HERE)


def test_the_lake_holds_what_the_reader_read_under_one_fingerprint(tmp_path):
    ingest_split(tmp_path, LOOK_ALIKE, "val", "f00d")
    tables = read_tables("look-alike", HERE, "val")
    assert read_partition(tmp_path, IMAGES, VAL).equals(tables.images)
    assert read_partition(tmp_path, SAMPLES, VAL).equals(tables.samples)
    assert read_partition(tmp_path, REJECTS, VAL).equals(tables.rejects)
    assert {fingerprint_of(tmp_path, table, VAL) for table in (IMAGES, SAMPLES, REJECTS)} == {"f00d"}
    assert (tables.images.num_rows, tables.samples.num_rows) == (3, 3)
    assert sum(map(len, tables.samples["questions"].to_pylist())) == 6
    assert tables.rejects["reason"].to_pylist().count("corrupt_image") == 3


def test_processes_read_what_threads_read(tmp_path, monkeypatch):
    by_threads, by_processes = {}, {}
    of_threads = list(reading.read_records(LOOK_ALIKE, "val", read=by_threads))
    monkeypatch.setattr(reading, "ENOUGH_FOR_PROCESSES", 1)
    assert list(reading.read_records(LOOK_ALIKE, "val", read=by_processes)) == of_threads
    assert by_processes == by_threads and len(by_threads) > 3


def test_progress_counts_every_source(tmp_path):
    seen: list[int] = []

    class Counting:
        def start(self, what: str, total: int, done: int = 0) -> None:
            seen.append(-total)

        def advance(self, done: int, note: str = "") -> None:
            seen.append(done)

        def say(self, message: str, warning: bool = False) -> None: ...

        def result(self, **metadata: object) -> None: ...

    ingest_split(tmp_path, LOOK_ALIKE, "train", progress=Counting())
    assert seen == [-11, *range(1, 12)]


def test_order_does_not_depend_on_which_file_was_read_first(tmp_path):
    first = read_tables("look-alike", HERE, "val")
    for _ in range(3):
        again = read_tables("look-alike", HERE, "val")
        assert again.samples.equals(first.samples)
        assert again.rejects.equals(first.rejects)


def test_a_split_that_is_not_there_writes_nothing(tmp_path):
    with pytest.raises(InputError):
        ingest_split(tmp_path / "lake", Dataset("look-alike", tmp_path, EarthReason()), "val")
    assert not (tmp_path / "lake").exists()


@pytest.fixture
def copy(tmp_path) -> Path:
    shutil.copytree(HERE, tmp_path / "copy")
    return tmp_path / "copy"


def test_a_copy_with_other_times_is_the_same_data(copy):
    for path in (copy / "test").rglob("*"):
        os.utime(path, (0, 0))
    assert split_files(at(copy), "test").fingerprint == split_files(LOOK_ALIKE, "test").fingerprint


@pytest.mark.parametrize("folder", ["images", "labels", "QAs"])
def test_one_changed_byte_of_the_same_length_is_other_data(copy, folder):
    path = sorted((copy / "test" / folder).iterdir())[0]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert split_files(at(copy), "test").fingerprint != split_files(LOOK_ALIKE, "test").fingerprint


def test_renamed_added_and_removed_files_are_other_data(copy):
    marks = {split_files(at(copy), "test").fingerprint}
    (copy / "test" / "QAs" / "first.json").rename(copy / "test" / "QAs" / "third.json")
    marks.add(split_files(at(copy), "test").fingerprint)
    (copy / "test" / "QAs" / "third.json").unlink()
    marks.add(split_files(at(copy), "test").fingerprint)
    (copy / "test" / "images" / "notes.txt").write_text("would become a reject")
    marks.add(split_files(at(copy), "test").fingerprint)
    assert len(marks) == 4


def test_other_splits_and_clutter_do_not_count(copy):
    (copy / "test" / "images" / ".DS_Store").write_bytes(b"x")
    (copy / "test" / "images" / "Thumbs.db").write_bytes(b"x")
    (copy / "val" / "QAs" / "good.json").unlink()
    assert split_files(at(copy), "test").fingerprint == split_files(LOOK_ALIKE, "test").fingerprint


def test_the_fingerprint_of_a_split_decodes_no_picture(tmp_path, monkeypatch):
    split = Split(tmp_path, "val")
    split.sample("0000", 0, image=file_of(picture(0, 64, 64), "PNG"))
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("a picture was opened"))
    split_files(at(tmp_path), "val")


def read_of(dataset: Dataset, split: str) -> dict:
    read: dict = {}
    list(reading.read_records(dataset, split, read=read))
    return read


def test_files_that_were_read_are_not_hashed_again(copy, monkeypatch):
    read, fingerprint = read_of(at(copy), "test"), split_files(at(copy), "test").fingerprint
    hashed: list[Path] = []
    plain = Path.open
    monkeypatch.setattr(Path, "open", lambda path, *rest, **named: hashed.append(path) or plain(path, *rest, **named))
    assert split_files(at(copy), "test", read=read).fingerprint == fingerprint
    assert set(hashed).isdisjoint(path for path, file in read.items() if file.sha256)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_file_that_changes_after_it_was_read_is_hashed_again(copy, is_replaced):
    """Its size and its time are those of the file that was read."""
    read, before = read_of(at(copy), "test"), split_files(at(copy), "test")
    path = sorted((copy / "test" / "images").iterdir())[0]
    status, data = path.stat(), bytearray(path.read_bytes())
    data[-1] ^= 1
    if is_replaced:
        path.rename(copy / "away")
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = split_files(at(copy), "test", read=read)
    assert after.fingerprint == split_files(at(copy), "test").fingerprint != before.fingerprint
    with pytest.raises(InputError, match=f"{path.name} changed or disappeared"):
        require_unchanged(at(copy), after, read)


def test_every_file_is_hashed_whole(tmp_path, monkeypatch):
    Split(tmp_path, "val").sample("0000", 0, image=file_of(picture(0, 64, 64), "PNG"))
    path = tmp_path / "val" / "images" / "0000.jpg"
    path = path if path.exists() else next((tmp_path / "val" / "images").iterdir())
    for size in (0, 1, 6, 7, 8, 21, 22):
        path.write_bytes(bytes(range(size)))
        for block in (7, 1024):
            monkeypatch.setattr(reading, "BLOCK", block)
            hashes = split_files(at(tmp_path), "val").hashes
            assert hashes[path.relative_to(tmp_path).as_posix()] == hashlib.sha256(bytes(range(size))).digest()


INGEST_AND_MEASURE = """
    import resource, sys
    from pathlib import Path
    from t2s_pipeline.datasets import batches, ingest
    from t2s_pipeline.datasets.registry import dataset_at
    from t2s_pipeline.lake import row_groups
    from t2s_pipeline.lake.schema import IMAGES
    from t2s_pipeline.lake.store import read_partition
    batches.BYTES_AT_ONCE = row_groups.GROUP_BYTES = 8_000_000
    def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lake, root = Path(sys.argv[1]), Path(sys.argv[2])
    ingest.ingest_split(lake, dataset_at("warm", root), "test")
    before = peak()
    ingest.ingest_split(lake, dataset_at("large", root), "train")
    images = read_partition(lake, IMAGES, {"dataset": "large", "split": "train"}, ["image_id"])
    print(images.num_rows, peak() - before)
"""


def test_images_stream_through_and_are_never_all_in_memory(tmp_path):
    """60 uncompressed images of 3 MB, 180 MB together, pass through batches and row groups of 8 MB."""
    large = file_of(picture(0, 1000, 1000), "TIFF")
    blank = file_of(Image.new("1", (1000, 1000)), "PNG")
    for name, count in (("train", 60), ("test", 10)):
        split = Split(tmp_path, name)
        for n in range(count):
            # A decoder stops at the picture's end; a byte after it makes another file of it.
            split.sample(f"{n:04}", 0, image=large + bytes([n]), label=blank)
    script = textwrap.dedent(INGEST_AND_MEASURE)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "lake", tmp_path], capture_output=True, text=True, check=True
    )
    images, megabytes = done.stdout.split()
    assert int(images) == 60
    # How many pieces wait for the writer depends on which thread is faster.
    assert float(megabytes) < 140


def test_the_shape_of_each_target_is_a_column(tmp_path):
    ingest_split(tmp_path, LOOK_ALIKE, "val", "f00d")
    rows = read_partition(tmp_path, SAMPLES, VAL, ["mask", "is_empty", "morphology", "slenderness"]).to_pylist()
    assert len(rows) > 1
    for row in rows:
        shape = shape_of(masks.decode(masks.Rle.from_arrow(row["mask"])))
        expected = (None, None) if row["is_empty"] else (shape.morphology, shape.slenderness)
        assert (row["morphology"], row["slenderness"]) == expected
