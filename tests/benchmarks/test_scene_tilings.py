"""Tiles do not show in the masks of a real segmenter, the embedded one."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.benchmarks.scene_tilings import agreement, answerer_of, as_samgeo, ours, write_scene


def test_tiles_do_not_show_in_the_masks_of_the_embedded_segmenter(tmp_path: Path):
    path = write_scene(tmp_path / "scene.tif", 1000)
    answerer = answerer_of("sam2-mini")
    counts, ious = agreement(path, 1000, ours, answerer)
    assert counts == [4] * 4 and min(ious) > 0.98
    counts, ious = agreement(path, 1000, as_samgeo, answerer)
    assert max(ious) < 0.9  # the plain way does show them
