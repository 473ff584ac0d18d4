"""A dataset's files are found where the environment or the user said, and every fault is one sentence."""

import json
import shutil

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog
from t2s_pipeline.datasets.custom_coco import CustomCoco
from t2s_pipeline.datasets.custom_table import CustomTable
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import BENCHMARKS
from tests.data import make_custom, make_phrases, make_rrsis_d
from tests.data.make_earthreason import HERE as EARTHREASON

TREES = {
    "earthreason": EARTHREASON,
    "rrsis-d": make_rrsis_d.HERE,
    "risbench": make_phrases.RISBENCH,
    "refsegrs": make_phrases.REFSEGRS,
    "synthetic-referring": make_phrases.RISBENCH,  # the same layout
}


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("T2S_HOME", str(tmp_path / "home"))
    return Settings.from_env()


def test_every_benchmark_has_a_variable_and_a_tree_here():
    assert set(BENCHMARKS) == set(TREES)
    assert {benchmark.root_variable for benchmark in BENCHMARKS.values()} == {
        "T2S_EARTHREASON_ROOT",
        "T2S_RRSIS_D_ROOT",
        "T2S_RISBENCH_ROOT",
        "T2S_REFSEGRS_ROOT",
        "T2S_SYNTHETIC_REFERRING_ROOT",
    }


def test_a_root_variable_of_no_benchmark_is_no_dataset(settings, monkeypatch):
    monkeypatch.setenv("T2S_NOTHING_ROOT", "/nowhere")
    assert catalog.known_datasets(Settings.from_env()) == ["synthetic"]


@pytest.mark.parametrize("key", TREES)
def test_a_benchmark_is_found_by_its_variable_below_an_extra_folder(key, tmp_path, monkeypatch):
    shutil.copytree(TREES[key], tmp_path / "downloads" / "extra" / "it", symlinks=True)
    monkeypatch.setenv("T2S_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(BENCHMARKS[key].root_variable, str(tmp_path / "downloads"))
    found = catalog.find_dataset(Settings.from_env(), key)
    assert found.root == (tmp_path / "downloads" / "extra" / "it").resolve()
    assert found.origin == BENCHMARKS[key].root_variable
    assert found.splits == ["train", "val", "test"]


@pytest.mark.parametrize("key", TREES)
def test_a_benchmark_that_was_named_once_is_remembered(key, settings):
    catalog.add_benchmark(settings, key, TREES[key])
    assert catalog.find_dataset(settings, key).root == TREES[key]
    assert key in catalog.known_datasets(settings)


def test_the_environment_comes_first_and_a_contradiction_is_told(settings, tmp_path, monkeypatch):
    copy = shutil.copytree(make_phrases.REFSEGRS, tmp_path / "copy")
    catalog.add_benchmark(settings, "refsegrs", make_phrases.REFSEGRS)
    monkeypatch.setenv("T2S_REFSEGRS_ROOT", str(copy))
    assert catalog.find_dataset(Settings.from_env(), "refsegrs").root == copy.resolve()
    with pytest.raises(InputError, match="T2S_REFSEGRS_ROOT names"):
        catalog.add_benchmark(Settings.from_env(), "refsegrs", make_phrases.REFSEGRS)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "it holds a list and no object"),
        ('{"mine": 7}', "entry of the dataset mine .* has other keys"),
        ('{"mine": {"images": "/nowhere", "annotations": "/nowhere"}}', "/nowhere of the dataset mine is missing"),
        ('{"mine": "/nowhere"}', "/nowhere of the dataset mine is missing"),
        ('{"mine": "/dev"}', "is not in the layout"),
    ],
)
def test_a_list_of_datasets_that_was_mangled_is_one_sentence(settings, content, words):
    settings.home.mkdir()
    (settings.home / "datasets.json").write_text(content)
    with pytest.raises(InputError, match=words):
        catalog.find_dataset(settings, "mine")


def test_a_benchmark_nobody_named_says_how_to_name_it(settings):
    with pytest.raises(InputError, match=r"t2s ingest rrsis-d --root FOLDER.* T2S_RRSIS_D_ROOT"):
        catalog.find_dataset(settings, "rrsis-d")


def custom(split: str = "test") -> CustomTable:
    return CustomTable(
        make_custom.HERE / "images", make_custom.HERE / "masks", make_custom.HERE / "questions.csv", split
    )


def test_data_of_ones_own_is_remembered_by_its_paths(settings):
    key = catalog.add_custom(settings, "My Harbours", custom())
    assert key == "my-harbours"
    found = catalog.find_dataset(settings, key)
    assert (found.reader, found.root, found.splits) == (custom(), make_custom.HERE, ["val", "test"])
    assert catalog.add_custom(settings, "My Harbours", custom()) == key  # the same files again
    coco = CustomCoco(make_custom.HERE / "images", make_custom.HERE / "instances.json", "val")
    assert catalog.find_dataset(settings, catalog.add_custom(settings, "coco", coco)).reader == coco
    assert json.loads((settings.home / "datasets.json").read_text()).keys() == {"my-harbours", "coco"}


@pytest.mark.parametrize("name", ["synthetic", "rrsis-d", "!!!", ""])
def test_a_name_that_is_taken_or_none_is_refused(settings, name):
    with pytest.raises(InputError, match="cannot be the name"):
        catalog.add_custom(settings, name, custom())


def test_other_files_under_a_name_in_use_are_refused(settings):
    catalog.add_custom(settings, "mine", custom())
    ingest_split(settings.lake, catalog.find_dataset(settings, "mine"), "val")
    with pytest.raises(InputError, match="consists of other files"):
        catalog.add_custom(settings, "mine", custom("val"))


def test_a_name_under_which_nothing_could_be_read_is_free_for_the_right_files(settings, tmp_path):
    (tmp_path / "masks").mkdir()
    wrong = CustomTable(make_custom.HERE / "images", tmp_path / "masks", make_custom.HERE / "questions.csv", "val")
    key = catalog.add_custom(settings, "mine", wrong)
    ingest_split(settings.lake, catalog.find_dataset(settings, key), "val")
    assert catalog.add_custom(settings, "mine", custom()) == key
    assert catalog.find_dataset(settings, key).reader == custom()


def test_a_folder_called_as_a_benchmark_of_another_layout_gets_a_name_of_its_own(settings, tmp_path):
    shutil.copytree(EARTHREASON, tmp_path / "RISBench")
    key = catalog.add_dataset(settings, tmp_path / "RISBench")
    assert key.startswith("risbench-")
    assert catalog.find_dataset(settings, key).splits == ["train", "val", "test"]


def test_everything_that_can_be_read_is_offered_and_a_fault_is_told(settings):
    catalog.add_custom(settings, "mine", custom())
    settings_file = settings.home / "datasets.json"
    settings_file.write_text(json.dumps({**json.loads(settings_file.read_text()), "gone": "/nowhere"}))
    offered, faults = catalog.readable_splits(settings)
    assert {("rrsis-d", "val"), ("synthetic", "train"), ("mine", "val"), ("mine", "test")} <= set(offered)
    assert len(offered) == len(set(offered)) == 6 * 3 + 2
    assert len(faults) == 1 and "/nowhere" in faults[0]
