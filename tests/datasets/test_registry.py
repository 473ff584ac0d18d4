"""A dataset's key picks its reader; a folder of a user's own gets a key from its name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.registry import EMBEDDED, dataset_at, folder_name, layout_of
from tests.data.make_earthreason import HERE


def test_any_other_key_is_read_as_a_folder_in_earthreason_layout():
    assert layout_of("my-own") is layout_of("earthreason")


def test_splits_are_those_that_are_there_in_their_order(tmp_path):
    assert dataset_at("mine", HERE).splits == ["train", "val", "test"]
    (tmp_path / "test").mkdir()
    (tmp_path / "other").mkdir()
    assert dataset_at("mine", tmp_path).splits == ["test"]


def test_a_missing_folder_and_one_without_splits_say_what_was_expected(tmp_path):
    with pytest.raises(InputError, match=r"There is no folder .*nowhere"):
        dataset_at("mine", tmp_path / "nowhere")
    with pytest.raises(InputError, match="holds train, val or test, each with images"):
        dataset_at("mine", tmp_path)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("real_scenes", "real-scenes"),
        ("Real  Scenes (2)", "real-scenes-2"),
        ("EarthReason", "earthreason"),
        ("--x--", "x"),
        ("a" * 99, "a" * 64),
    ],
)
def test_a_key_is_the_folders_name_made_plain(name, key):
    assert folder_name(Path("/data") / name) == key


@given(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=40))
def test_a_key_is_always_fit_for_a_partition_or_refused(name):
    try:
        key = folder_name(Path("/data") / name)
    except InputError:
        return
    assert key.strip("-") == key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert key != EMBEDDED


@pytest.mark.parametrize("name", ["synthetic", "Synthetic!", "!!!"])
def test_the_embedded_scenes_name_and_an_empty_key_are_refused(name):
    with pytest.raises(InputError, match="rename the folder"):
        folder_name(Path("/data") / name)
