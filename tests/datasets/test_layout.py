"""A name never leads out of its folder; links in it are followed; folders are found where they are unpacked."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.annotated_images import UniqueIds
from t2s_pipeline.datasets.layout import NamedFiles, located
from t2s_pipeline.vision.image_files import UnusableFileError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with files and links, and a neighbour that only links of the folder lead to."""
    root = tmp_path_factory.mktemp("root")
    inside = root / "inside"
    for path in ("inside/a.png", "inside/b/a.jpg", "inside/b/c/d.TIF", "outside/a.png", "outside/secret.png"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    (inside / "out").symlink_to(root / "outside")
    (inside / "secret.png").symlink_to(root / "outside" / "secret.png")
    (inside / "again.png").symlink_to(inside / "a.png")
    (inside / "round").symlink_to(inside)
    return inside


PARTS = st.sampled_from([*"a a.png b c d.tif out secret.png round again.png .. . /".split(), ""])


@given(st.lists(PARTS, max_size=5).map("/".join) | st.text(max_size=12) | st.lists(PARTS, max_size=4).map("\\".join))
def test_any_name_is_a_file_of_the_folder_or_refused(folder, name):
    try:
        found = NamedFiles(folder).find(name, "image")
    except UnusableFileError as error:
        assert error.reason in ("unsafe_name", "missing_image", "ambiguous_name")
        return
    assert os.path.normpath(found).startswith(f"{folder}{os.sep}")
    assert found.is_file()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.png", "a.png"),
        ("a", "a.png"),
        ("a.JPG", "a.png"),
        ("b/a.jpg", "b/a.jpg"),
        ("b\\a.png", "b/a.jpg"),
        ("b/c/d.tif", "b/c/d.TIF"),
        ("again.png", "again.png"),
        ("out/a.png", "out/a.png"),
        ("secret.png", "secret.png"),
        ("round/round/a.png", "round/round/a.png"),
    ],
)
def test_a_name_is_taken_as_it_stands_or_with_another_ending(folder, name, found):
    assert NamedFiles(folder).find(name, "image") == folder / found


@pytest.mark.parametrize("name", ["../outside/a.png", "/etc/hosts", "b/../../outside/a", ""])
def test_a_name_that_leads_out_is_refused(folder, name):
    with pytest.raises(UnusableFileError) as told:
        NamedFiles(folder).find(name, "image")
    assert told.value.reason == "unsafe_name"


def holds_mark(folder) -> list[str]:
    return ["val"] if (folder / "mark").is_file() else []


@pytest.mark.parametrize("below", ["", "extra", "extra/top"])
def test_a_layout_is_found_up_to_two_folders_below(tmp_path, below):
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    (tmp_path / below / "mark").touch()
    (tmp_path / "__MACOSX" / "extra").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "extra" / "mark").touch()
    assert located(tmp_path, holds_mark) == tmp_path / below


def test_one_that_is_deeper_is_not_found_and_two_are_not_chosen_between(tmp_path):
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "mark").touch()
    assert located(tmp_path, holds_mark) is None
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mark").touch()
    with pytest.raises(InputError, match=r"several datasets \(x, y\)"):
        located(tmp_path, holds_mark)


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "b"])))
def test_ids_are_unique_and_the_first_is_as_wanted(wanted):
    ids = UniqueIds()
    given_ids = [ids.unique(name) for name in wanted]
    assert len(set(given_ids)) == len(wanted)
    assert all(one.startswith(name) for one, name in zip(given_ids, wanted, strict=True))
    if wanted:
        assert given_ids[0] == wanted[0]
