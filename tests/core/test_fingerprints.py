"""The fingerprint changes with what it is made of, and with nothing else."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core.fingerprints import code_fingerprint, fingerprint

PARTS = st.dictionaries(st.sampled_from("abcdef"), st.integers() | st.text() | st.booleans() | st.none(), min_size=1)


@dataclass(frozen=True)
class Knobs:
    seed: int
    rate: float


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """An importable package that would fail if it were imported."""
    folder = tmp_path / "fingerprinted"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text('"""Parents are imported."""\n')
    (folder / "alone.py").write_text("raise RuntimeError('imported')\n")
    (folder / "inner" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "inner" / "part.py").write_text("X = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    # The parent package of an earlier test, elsewhere.
    monkeypatch.delitem(sys.modules, "fingerprinted", raising=False)
    return folder


def test_code_is_read_without_being_imported(package):
    assert len(code_fingerprint("fingerprinted.alone", "fingerprinted.inner")) == 64


def test_any_change_inside_a_package_counts(package):
    before = code_fingerprint("fingerprinted.inner")
    (package / "inner" / "part.py").write_text("X = 2\n")
    changed = code_fingerprint("fingerprinted.inner")
    (package / "inner" / "new.py").write_text("")
    assert len({before, changed, code_fingerprint("fingerprinted.inner")}) == 3


def test_what_is_outside_does_not_count(package):
    before = code_fingerprint("fingerprinted.inner")
    (package / "alone.py").write_text("Y = 2\n")
    (package / "inner" / "notes.txt").write_text("not code")
    (package / "inner" / "part.py").write_bytes(b"X = 1\r\n")
    assert code_fingerprint("fingerprinted.inner") == before


def test_order_and_repetition_of_names_do_not_count(package):
    assert code_fingerprint("fingerprinted.alone", "fingerprinted.inner") == code_fingerprint(
        "fingerprinted.inner", "fingerprinted.alone", "fingerprinted.inner"
    )


def test_moving_code_from_one_file_to_another_counts(package):
    before = code_fingerprint("fingerprinted.inner")
    (package / "inner" / "part.py").rename(package / "inner" / "renamed.py")
    assert code_fingerprint("fingerprinted.inner") != before


@pytest.mark.parametrize("name", ["fingerprinted.missing", "no_such_package_anywhere", "sys"])
def test_a_name_without_source_is_refused(package, name):
    with pytest.raises(ModuleNotFoundError):
        code_fingerprint(name)


@given(PARTS)
def test_order_of_parts_does_not_count_and_values_do(parts):
    assert fingerprint(**parts) == fingerprint(**dict(reversed(parts.items())))
    name, value = next(iter(parts.items()))
    assert fingerprint(**parts) != fingerprint(**{**parts, name: [value]})


def test_values_have_one_form():
    assert fingerprint(a=Knobs(1, 0.5)) == fingerprint(a={"seed": 1, "rate": 0.5})
    assert fingerprint(a=(1, 2)) == fingerprint(a=[1, 2])
    assert fingerprint(a={"y", "x"}) == fingerprint(a=["x", "y"])
    assert fingerprint(a=Path("x/y")) == fingerprint(a="x/y")
    assert fingerprint(a="1") != fingerprint(a=1)


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="object cannot be part"):
        fingerprint(a=object())
    with pytest.raises(ValueError):
        fingerprint(a=float("nan"))
