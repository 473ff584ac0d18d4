"""Registered objects: they have a name, a name is refused twice, and modules that the environment names add more."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from t2s_pipeline.core import registry
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.registry import EXTENSIONS, Registry


@dataclass(frozen=True)
class Animal:
    name: str


animals = Registry("animal", [Animal("cat"), Animal("dog")])


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    assert animals.named("dog") == Animal("dog")
    with pytest.raises(InputError, match=r"There is no animal 'cow'\. There are: cat, dog"):
        animals.named("cow")


def test_a_name_cannot_be_taken_twice() -> None:
    with pytest.raises(InputError, match="two objects of the kind animal with the name 'cat'"):
        animals.register(Animal("cat"))
    assert list(animals) == ["cat", "dog"]


def test_a_module_of_ones_own_is_imported_before_the_first_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more_animals.py").write_text(
        "from tests.core.test_registry import Animal, animals\n"
        "assert 'dog' in animals\n"
        "animals.register(Animal('owl'))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv(EXTENSIONS, "more_animals")
    assert list(animals) == ["cat", "dog", "owl"]
    assert animals["owl"] == Animal("owl")


def test_a_module_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXTENSIONS, "no_such_module_here")
    with pytest.raises(InputError, match="no_such_module_here, which cannot be found"):
        registry.import_extensions()
