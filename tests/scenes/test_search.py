"""A scene of any size is searched: the tiling does not show, and neither does a stop."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes.answering import ObjectMask
from t2s_pipeline.scenes.piece import SceneObject
from t2s_pipeline.scenes.search import MOST_MASKS, Search, ViewAnswer
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import Tiling
from tests.scenes.painted import ByColour, is_target, painted, save

ONE_QUESTION = "Where are the objects?"


def search(
    path: Path, tiling: Tiling, folder: Path, answerer: ByColour | None = None, draws: int = 0
) -> tuple[list[ViewAnswer], list[SceneObject]]:
    with open_scene(path) as scene:
        return Search(scene, ONE_QUESTION, tiling, draws, folder).run(answerer or ByColour(), NoProgress())


def mask_of(item: SceneObject, height: int, width: int) -> np.ndarray:
    return item.at(np.arange(width) + 0.5, np.arange(height) + 0.5)


BOXES = [
    (10, 12, 50, 40),
    (60, 5, 80, 30),
    (118, 90, 160, 140),
    (30, 150, 75, 200),
    (200, 20, 250, 60),
    (5, 90, 25, 120),
]


@pytest.mark.parametrize(
    "tiling",
    [Tiling(64, 16), Tiling(80, 24, origin=(13, 7)), Tiling(96, 48, origin=(31, 50)), Tiling(128, 32)],
    ids=str,
)
def test_the_tiling_does_not_show(tiling: Tiling, tmp_path: Path):
    """Every object is found once, with all of its pixels, wherever the tiles begin."""
    image = painted(220, 270, BOXES)
    _, objects = search(save(tmp_path / "scene.tif", image), tiling, tmp_path)
    assert len(objects) == len(BOXES)
    masks = [mask_of(item, 220, 270) for item in objects]
    assert np.array_equal(np.logical_or.reduce(masks), is_target(image))
    assert sum(int(mask.sum()) for mask in masks) == int(is_target(image).sum())


def test_an_object_larger_than_a_tile_is_one_object(tmp_path: Path):
    image = painted(400, 400, [(20, 150, 380, 230), (180, 20, 200, 40)])
    _, objects = search(save(tmp_path / "scene.tif", image), Tiling(80, 16), tmp_path)
    assert len(objects) == 2
    river = max(objects, key=lambda item: item.area)
    truth = is_target(painted(400, 400, [(20, 150, 380, 230)]))
    mask = mask_of(river, 400, 400)
    assert (mask & truth).sum() / (mask | truth).sum() > 0.97


@settings(max_examples=15)
@given(
    tile=st.integers(48, 130),
    share=st.floats(0.2, 0.5),
    origin=st.tuples(st.integers(0, 200), st.integers(0, 200)),
    boxes=st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(8, 26), st.integers(8, 26)), max_size=12
    ),
)
def test_no_object_is_lost_or_found_twice(
    tile: int, share: float, origin: tuple[int, int], boxes: list[tuple[int, int, int, int]], tmp_path_factory
):
    """Objects in cells of 28 pixels never touch, so every one is an object of its own."""
    placed = {(x, y): (x * 28, y * 28, x * 28 + w, y * 28 + h) for x, y, w, h in boxes}
    folder = tmp_path_factory.mktemp("search")
    path = save(folder / "scene.tif", painted(280, 280, list(placed.values())))
    _, objects = search(path, Tiling(tile, int(share * tile), origin=origin), folder)
    assert len(objects) == len(placed)


def test_a_small_scene_is_asked_once(tmp_path: Path):
    answerer = ByColour()
    views, objects = search(
        save(tmp_path / "s.tif", painted(90, 120, [(5, 5, 30, 30)])), Tiling(96, 8), tmp_path, answerer
    )
    assert answerer.asked == [(90, 120)]
    assert [view.status for view in views] == ["ok"] and len(objects) == 1


def test_a_stopped_search_goes_on(tmp_path: Path):
    path, tiling = save(tmp_path / "scene.tif", painted(220, 270, BOXES)), Tiling(64, 16)
    first = ByColour(stops_at=9, batch=1)
    with pytest.raises(KeyboardInterrupt):
        search(path, tiling, tmp_path / "work", first)
    # A killed process leaves an unfinished line.
    with (tmp_path / "work" / "views.jsonl").open("ab") as file:
        file.write(b'{"view": {"x": 1')
    second = ByColour()
    views, objects = search(path, tiling, tmp_path / "work", second)
    assert len(first.asked) == 9 and len(second.asked) == len(views) - 9
    _, at_once = search(path, tiling, tmp_path / "other")
    assert [item.as_json() for item in objects] == [item.as_json() for item in at_once]
    third = ByColour()
    search(path, tiling, tmp_path / "work", third)
    assert third.asked == []


def test_a_failed_view_is_told_and_asked_again(tmp_path: Path):
    path, tiling = save(tmp_path / "scene.tif", painted(220, 270, BOXES)), Tiling(64, 16)
    views, _ = search(path, tiling, tmp_path / "work", ByColour(fails_at=frozenset({5}), batch=1))
    assert [(index, view.detail) for index, view in enumerate(views) if view.status == "failed"] == [
        (5, "RuntimeError: out of memory")
    ]
    again = ByColour()
    views, objects = search(path, tiling, tmp_path / "work", again)
    assert len(again.asked) == 1 and len(objects) == len(BOXES)
    assert "failed" not in {view.status for view in views}


def test_absent_pixels_are_not_searched(tmp_path: Path):
    image = painted(128, 256, [(150, 20, 200, 60)])
    image[:, :140] = 0
    answerer = ByColour()
    views, _ = search(save(tmp_path / "s.tif", image, nodata=0), Tiling(64, 8), tmp_path, answerer)
    absent = [view for view in views if view.status == "absent"]
    assert absent and all(view.view.x + view.view.width <= 140 for view in absent)
    assert len(answerer.asked) == len(views) - len(absent)


def test_sampled_answers_agree_or_not(tmp_path: Path):
    path = save(tmp_path / "scene.tif", painted(90, 120, [(5, 5, 30, 30)]))
    _, (item,) = search(path, Tiling(96, 8), tmp_path, draws=4)
    assert item.agreement == 0.5


def test_a_file_that_changes_while_it_is_read_is_no_answer(tmp_path: Path):
    path = save(tmp_path / "scene.tif", painted(90, 120, [(5, 5, 30, 30)]))
    with open_scene(path) as scene:
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(InputError, match="changed while it was read"):
            Search(scene, ONE_QUESTION, Tiling(96, 8), 0, tmp_path).run(ByColour(), NoProgress())


def test_a_coarser_resolution_finds_the_same_objects(tmp_path: Path):
    image = painted(440, 540, [tuple(2 * value for value in box) for box in BOXES])
    _, objects = search(save(tmp_path / "scene.tif", image), Tiling(80, 24, factor=2.0), tmp_path)
    union = np.logical_or.reduce([mask_of(item, 440, 540) for item in objects])
    truth = is_target(image)
    assert len(objects) == len(BOXES)
    assert (union & truth).sum() / (union | truth).sum() > 0.9


@dataclass
class Leaky(ByColour):
    """Of one image that it segments, the first mask goes on over the whole image."""

    leaks_at: int = 0
    segmented: int = 0

    def segment(self, image: np.ndarray, prompts: Sequence[PromptObject]) -> list[ObjectMask]:
        """The masks, of which the first one can be wrong."""
        first, *others = super().segment(image, prompts)
        if self.segmented == self.leaks_at:
            first = ObjectMask(np.ones(image.shape[:2], bool), 0.5)
        self.segmented += 1
        return [first, *others]


@pytest.mark.parametrize("leaks_at", range(8))
def test_a_mask_that_goes_on_beyond_its_object_hides_no_other(leaks_at: int, tmp_path: Path):
    """A view of its own shows each object again, so what the overview or one tile made of it does not count."""
    image = painted(220, 270, BOXES)
    answerer = Leaky(leaks_at=leaks_at)
    _, objects = search(save(tmp_path / "scene.tif", image), Tiling(64, 16), tmp_path, answerer)
    union = np.logical_or.reduce([mask_of(item, 220, 270) for item in objects])
    assert answerer.segmented > 12
    assert len(objects) == len(BOXES) and np.array_equal(union, is_target(image))


@dataclass
class Counting(ByColour):
    """Counts the prompts of its largest call."""

    most: int = 0

    def segment(self, image: np.ndarray, prompts: Sequence[PromptObject]) -> list[ObjectMask]:
        """The masks."""
        self.most = max(self.most, len(prompts))
        return super().segment(image, prompts)


def test_masks_of_a_view_with_many_objects_are_not_in_memory_together(tmp_path: Path):
    boxes = [(x * 28, y * 28, x * 28 + 20, y * 28 + 20) for x in range(10) for y in range(10)]
    path = save(tmp_path / "scene.tif", painted(280, 280, boxes))
    answerer = Counting()
    _, objects = search(path, Tiling(256, 32), tmp_path, answerer)
    assert len(objects) == 100 and answerer.most == MOST_MASKS
