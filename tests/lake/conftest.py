"""The lake of a test: in a folder, and on an object store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from t2s_pipeline.core.lake_place import LakePlace, ObjectPlace
from tests.lake import places


@pytest.fixture(scope="session")
def object_server() -> Iterator[str]:
    """The address of an object store that keeps the conditions of writes."""
    with places.served() as address:
        yield address


@pytest.fixture
def object_lake(object_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ObjectPlace:
    """An empty lake on the object store."""
    for name, value in places.environment(object_server).items():
        monkeypatch.setenv(name, value)
    return places.new_place(tmp_path / "tmp")


@pytest.fixture(params=["local", "s3"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> LakePlace:
    """An empty lake."""
    place: LakePlace = tmp_path if request.param == "local" else request.getfixturevalue("object_lake")
    return place
