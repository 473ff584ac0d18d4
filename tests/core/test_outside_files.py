"""Whatever lies under the name of a file is read within limits, or named in one sentence. Nothing blocks."""

import json
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.outside_files import (
    DEPTH,
    OutsideFileError,
    bounded_json,
    home_expanded,
    is_there,
    open_outside,
    outside_bytes,
    outside_object,
    outside_text,
    outside_toml,
    path_inside,
    require_shallow,
    shown,
)


def linked_to(target: str):
    return lambda path: path.symlink_to(target)


def bound_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


def leads_to_itself(path: Path) -> None:
    path.symlink_to(path)


NO_FILES = [
    (Path.mkdir, "it is a folder"),
    (os.mkfifo, "it is a pipe"),
    (bound_socket, "it is a socket"),
    (linked_to("/dev/zero"), "it is a device"),
    (linked_to("/nowhere/at/all"), "it is a link to a file that does not exist"),
    (leads_to_itself, "symbolic links"),
    (lambda path: None, "there is no such file"),
    (lambda path: path.write_bytes(b"x" * 11), "it has more than 10 bytes"),
]


@pytest.mark.parametrize(("put", "reason"), NO_FILES)
def test_what_is_no_file_within_the_limit_is_named_and_not_read(tmp_path, monkeypatch, put, reason):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "settings.json"
    put(path)
    with pytest.raises(OutsideFileError, match=reason) as error:
        outside_bytes(path, limit=10)
    assert str(path) in str(error.value) and error.value.path == path


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\udcff" * 300])
def test_a_name_that_no_file_can_have_is_a_missing_file(tmp_path, name):
    with pytest.raises(OutsideFileError):
        open_outside(tmp_path / name)
    assert not is_there(tmp_path / name)


def test_a_link_to_a_file_is_followed(tmp_path):
    (tmp_path / "real.json").write_text('{"a": 1}')
    (tmp_path / "link.json").symlink_to("real.json")
    assert outside_object(tmp_path / "link.json") == {"a": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe{}", "it is not UTF-8"),
        (b"{", "it is not JSON"),
        (b"[1]", "it holds a list and no object"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "more than 64 levels"),
        (b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}", "more than 64 levels"),
        (b'{"a": ' * 100_000, "more than 64 levels"),
    ],
)
def test_content_that_is_no_object_of_settings_is_named(tmp_path, content, reason):
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(OutsideFileError, match=reason):
        outside_object(path)


@pytest.mark.parametrize("content", ["a = ", "a = " + "[" * 100_000 + "]" * 100_000, "a = " + "[" * 70 + "]" * 70])
def test_toml_that_is_none_or_too_deep_is_named(tmp_path, content):
    path = tmp_path / "models.toml"
    path.write_text(content)
    with pytest.raises(OutsideFileError, match=r"models\.toml cannot be read: it is (not TOML|nested too deeply)"):
        outside_toml(path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa")
    assert outside_text(tmp_path / "a.txt") == "a"


def test_json_of_64_levels_is_read_and_of_65_is_not():
    assert bounded_json("[" * DEPTH + "]" * DEPTH)
    with pytest.raises(ValueError, match="more than 64 levels"):
        bounded_json("[" * (DEPTH + 1) + "]" * (DEPTH + 1))


@pytest.mark.parametrize("digits", [18, 19, 20, 400, 5000])
def test_a_number_of_many_digits_is_a_float_and_no_fault(digits):
    (number,) = bounded_json(f"[{'9' * digits}]")
    assert isinstance(number, int if digits <= 18 else float)
    assert bounded_json(f"[-{'9' * digits}]") == [-number]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18) + 1, 10**18 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES)
def test_an_ordinary_value_comes_back_as_json_gives_it(value):
    text = json.dumps(value)
    assert bounded_json(text) == bounded_json(text.encode()) == value


@given(st.text() | st.binary())
def test_any_text_is_a_value_or_one_kind_of_fault(text):
    try:
        bounded_json(text)
    except ValueError:
        pass


def test_a_value_that_lies_inside_of_itself_is_too_deep():
    value: list[object] = []
    value.append(value)
    with pytest.raises(ValueError, match="more than 64 levels"):
        require_shallow(value)


def test_a_value_whose_parts_double_at_each_level_is_walked_in_a_moment():
    value: list[object] = []
    for _ in range(DEPTH - 1):
        value = [value, value]
    require_shallow(value)


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "a/../../b", "..\\a", "a\0b", "a" * 256, "b/" + "a" * 256])
def test_a_name_in_a_file_never_leads_out_of_its_folder(tmp_path, name):
    with pytest.raises(OutsideFileError):
        path_inside(tmp_path, name)


@given(st.text())
def test_every_name_that_is_taken_lies_below_the_folder(name):
    try:
        path = path_inside(Path("/root"), name)
    except OutsideFileError:
        return
    assert os.path.normpath(path).startswith("/root")


def test_a_tilde_that_names_no_user_stays_as_it_is():
    assert home_expanded("~no-such-user/a") == Path("~no-such-user/a")


@given(
    st.recursive(
        st.text() | st.integers() | st.floats() | st.none() | st.booleans() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_a_value_in_a_message_is_short_and_on_one_line(value):
    text = shown(value)
    assert len(text) <= 1000 and text.isprintable()


def test_a_value_that_would_explode_is_shown_at_once():
    value: object = "x"
    for _ in range(64):
        value = [value, value]
    assert shown(value) == "a list of 2"
    assert shown(10**10_000) == "a number of about 9966 digits"
