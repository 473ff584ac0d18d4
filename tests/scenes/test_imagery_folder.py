"""The imagery folder: what is a scene, its name, what is not complete yet, and STAC items."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t2s_pipeline.core import arrival
from t2s_pipeline.core.names import is_name
from t2s_pipeline.scenes.imagery_folder import find_scene, name_of, scenes_in
from t2s_pipeline.scenes.stac_items import read_item


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)


def put(path: Path, content: str = "raster") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def item(assets: dict[str, Any], **properties: Any) -> str:
    return json.dumps({"type": "Feature", "stac_version": "1.0.0", "properties": properties, "assets": assets})


def names(folder: Path) -> list[str]:
    return [scene.name for scene in scenes_in(folder)[0]]


def test_every_raster_is_a_scene_with_the_name_of_its_file(tmp_path: Path):
    for name in ("b.tif", "a.png", "notes.txt", "labels.geojson", ".hidden.tif", "_tmp/c.tif", "2026/May North.TIF"):
        put(tmp_path / name)
    assert names(tmp_path) == [name_of("2026/May North.TIF"), "a.png", "b.tif"]
    assert names(tmp_path / "nowhere") == []


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200))
def test_every_file_gets_a_name_that_is_one(text: str):
    assert is_name(name_of(text)) and name_of(text) == name_of(text)


def test_files_that_look_alike_have_different_names():
    assert len({name_of(text) for text in ("A B.tif", "A-B.tif", "a b.tif", "a-b.tif", "a/b.tif")}) == 5


def test_a_scene_that_was_changed_a_moment_ago_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    put(tmp_path / "a.tif")
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 3600.0)
    scenes, incomplete = scenes_in(tmp_path)
    # The time of the content says nothing: `cp -p` keeps it.
    os.utime(tmp_path / "a.tif", (0, 0))
    assert (scenes, incomplete) == ([], [tmp_path / "a.tif"]) == scenes_in(tmp_path)


def test_the_fingerprint_follows_the_raster_its_sidecars_and_its_item(tmp_path: Path):
    def current() -> str:
        scene = find_scene(tmp_path, "a.tif")
        assert scene is not None
        return scene.fingerprint

    put(tmp_path / "a.tif")
    put(tmp_path / "b.tfw")
    seen = [current()]
    for name, content in (("a.tfw", "1"), ("a.tif.aux.xml", "<x/>"), ("a.tif", "longer raster"), ("i.json", "")):
        put(tmp_path / name, content or item({"visual": {"href": "./a.tif"}}))
        seen.append(current())
    assert len(set(seen)) == 5
    put(tmp_path / "b.tfw", "of another raster")
    assert current() == seen[-1]


def test_an_item_gives_a_scene_of_the_folder_its_time(tmp_path: Path):
    put(tmp_path / "a.tif")
    put(tmp_path / "item.json", item({"image": {"href": "a.tif"}}, datetime="2026-05-01T12:00:00+02:00"))
    (scene,) = scenes_in(tmp_path)[0]
    assert scene.name == "a.tif" and scene.item is not None
    assert scene.item.time == datetime(2026, 5, 1, 10, tzinfo=UTC)


def test_an_item_brings_a_raster_from_elsewhere_under_its_own_name(tmp_path: Path):
    raster = put(tmp_path / "archive" / "B04 10m.tif")
    folder = tmp_path / "imagery"
    put(folder / "s2a.json", item({"data": {"href": raster.as_uri(), "type": "image/tiff; application=geotiff"}}))
    (scene,) = scenes_in(folder)[0]
    assert (scene.name, scene.path, scene.fault) == ("s2a.json", raster, "")


@pytest.mark.parametrize(
    ("assets", "chosen"),
    [
        ({"B04": {"href": "a.tif"}, "visual": {"href": "b.tif"}}, "b.tif"),
        ({"x": {"href": "a.tif", "roles": ["overview"]}, "y": {"href": "b.tif", "roles": ["data"]}}, "b.tif"),
        ({"x": {"href": "a.tif", "roles": ["visual"]}, "y": {"href": "b.tif", "roles": ["data"]}}, "a.tif"),
        ({"meta": {"href": "a.xml", "type": "application/xml"}, "y": {"href": "b.tif"}}, "b.tif"),
    ],
)
def test_of_several_assets_the_visual_one_is_asked(tmp_path: Path, assets: dict[str, Any], chosen: str):
    for name in ("a.tif", "b.tif"):
        put(tmp_path / name)
    read = read_item(put(tmp_path / "item.json", item(assets)))
    assert read is not None and read.raster is not None and read.raster.name == chosen and read.fault == ""


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (item({}), "names no raster"),
        (item({"B03": {"href": "a.tif"}, "B04": {"href": "b.tif"}}), "names several rasters"),
        (item({"visual": {"href": "https://example.org/a.tif"}}), "is no file on this machine"),
        (item({"visual": {"href": "/vsicurl/https://example.org/a.tif"}}), "is no file on this machine"),
        (item({"visual": {"href": "gone.tif"}}), "is no file on this machine"),
        ('{"type": "Feature", "stac_ver', "is not JSON"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_an_item_that_cannot_be_used_is_a_scene_with_one_sentence(tmp_path: Path, content: str, sentence: str):
    put(tmp_path / "item.json", content)
    (scene,) = scenes_in(tmp_path)[0]
    assert scene.name == "item.json" and sentence in scene.fault and "\n" not in scene.fault


def test_other_json_files_are_no_scenes(tmp_path: Path):
    put(tmp_path / "metadata.json", '{"type": "FeatureCollection"}')
    put(tmp_path / "list.json", "[1, 2]")
    assert scenes_in(tmp_path) == ([], [])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["href", "type", "roles", "visual", "datetime", "a"]), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_whatever_an_item_holds_it_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any):
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_text(json.dumps({"type": "Feature", "stac_version": "1.1.0", "assets": value, "properties": value}))
    read = read_item(path)
    assert read is not None and (read.raster is None) == bool(read.fault)
