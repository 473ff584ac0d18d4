"""What the checks say of a split that is sound, and of one with each fault."""

from pathlib import Path

import pyarrow as pa
import pytest

from t2s_pipeline.checks import dataset_checks
from t2s_pipeline.checks.claims import CheckResult
from t2s_pipeline.checks.table_checks import CHECKS, checks_of
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.refsegrs import REFSEGRS
from t2s_pipeline.datasets.registry import BENCHMARKS, dataset_at
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.schema import IMAGES, SAMPLES
from t2s_pipeline.lake.store import read_partition, write_partition
from tests.data import make_earthreason, make_phrases, make_rrsis_d

TEST = {"dataset": "refsegrs", "split": "test"}


@pytest.fixture
def lake(tmp_path) -> Path:
    for split in ("train", "test"):
        ingest_split(tmp_path, dataset_at("refsegrs", make_phrases.REFSEGRS), split)
    return tmp_path


def finding(lake: Path, table: str, name: str, partition: Partition = TEST) -> CheckResult:
    return next(check for check in checks_of(table) if check.name == name).on(lake, partition)


def test_every_readers_splits_pass_every_blocking_check(tmp_path):
    for name, root in (
        ("earthreason", make_earthreason.HERE),
        ("risbench", make_phrases.RISBENCH),
        ("refsegrs", make_phrases.REFSEGRS),
        ("rrsis-d", make_rrsis_d.HERE),
    ):
        for split in ("train", "val"):
            ingest_split(tmp_path, dataset_at(name, root), split)
            for table in ("images", "samples", "selections", "rejects"):
                for check in checks_of(table):
                    found = check.on(tmp_path, {"dataset": name, "split": split})
                    assert found.passed or not check.blocking, (name, split, check.name, found.sentence)


def test_a_difference_from_the_published_count_tells_both_numbers_and_what_is_missing(lake):
    ingest_split(lake, dataset_at("refsegrs", make_phrases.REFSEGRS), "val")
    found = finding(lake, "samples", "as_many_as_published", {**TEST, "split": "val"})
    assert not found.passed
    assert found.sentence == "1 samples where 431 were published, 1 set aside, 429 not in the files at all"
    assert (found.numbers["samples"], found.numbers["published"]) == (1, 431)
    assert found.numbers["missing"] == "output_phrase_val.txt:2: missing_image"


def test_the_published_count_is_met_exactly(lake, monkeypatch):
    monkeypatch.setitem(REFSEGRS.samples, "test", 2)
    assert finding(lake, "samples", "as_many_as_published").passed
    monkeypatch.delitem(REFSEGRS.samples, "test")
    assert finding(lake, "samples", "as_many_as_published").passed  # nobody published one


def test_the_published_counts_are_the_papers():
    totals = {name: sum(benchmark.samples.values()) for name, benchmark in BENCHMARKS.items()}
    assert totals == {"earthreason": 5434, "rrsis-d": 17_402, "risbench": 52_471, "refsegrs": 4420} | {
        "synthetic-referring": 950
    }


def test_empty_targets_are_counted_beside_the_published_number(lake, tmp_path):
    found = finding(lake, "samples", "empty_targets_counted")
    assert (found.passed, found.sentence) == (True, "0 empty targets")
    ingest_split(lake, dataset_at("earthreason", make_earthreason.HERE), "train")
    found = finding(lake, "samples", "empty_targets_counted", {"dataset": "earthreason", "split": "train"})
    assert (found.passed, found.sentence) == (False, "1 empty targets, 60 were published")


def test_an_image_of_train_in_test_is_named_from_both_sides(lake):
    found = finding(lake, "images", "not_in_train_and_test")
    assert not found.passed
    assert (found.numbers["shared"], found.numbers["images"]) == (1, "9 is 1 of train")
    other = finding(lake, "images", "not_in_train_and_test", {**TEST, "split": "train"})
    assert other.numbers["images"] == "1 is 9 of test"


def test_another_datasets_images_are_no_leak(lake):
    ingest_split(lake, REFSEGRS.dataset(make_phrases.REFSEGRS, "copy"), "train")
    assert finding(lake, "images", "not_in_train_and_test", {"dataset": "copy", "split": "train"}).passed


def rewritten(lake: Path, **changes: object) -> None:
    """The test split's first sample with other values."""
    rows = read_partition(lake, SAMPLES, TEST).to_pylist()
    rows[0] |= changes
    write_partition(lake, SAMPLES, TEST, pa.Table.from_pylist(rows, schema=SAMPLES.schema))


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("masks_fit_their_images", {"mask": {"height": 20, "width": 12, "counts": "`7"}}),
        ("masks_fit_their_images", {"image_id": "none"}),
        ("questions_have_words", {"questions": ["road", " "]}),
        ("questions_have_words", {"questions": []}),
        ("ids_are_unique", {"sample_id": "9"}),
        ("masks_decode", {"mask": {"height": 12, "width": 20, "counts": "5"}}),
        ("masks_decode", {"mask_area": 25}),
    ],
)
def test_a_fault_is_found(lake, check, changes):
    assert finding(lake, "samples", check).passed
    rewritten(lake, **changes)
    assert not finding(lake, "samples", check).passed


def test_a_long_list_is_cut_and_says_so():
    listed = dataset_checks._listed([str(n) for n in range(60)])
    assert listed.splitlines()[-1] == "… and 10 more"
    assert len(listed.splitlines()) == dataset_checks.LISTED + 1


def test_every_check_of_a_table_has_a_name_of_its_own():
    names = [(check.table, check.name) for check in CHECKS]
    assert len(names) == len(set(names))
    assert {IMAGES.name, SAMPLES.name} <= {table for table, _ in names}
