"""Windows follow the stored order of images, never split one, and survive a restart unchanged."""

import io

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.evaluation.windows import Item, Split, by_image, plan
from t2s_pipeline.lake.schema import IMAGES
from t2s_pipeline.lake.store import write_partition
from tests.evaluation.tables import rectangle, samples

WHERE = {"dataset": "d", "split": "val"}


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((2, 3, 3), level, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


@pytest.fixture
def lake(tmp_path):
    """Five images, e first and a last, whose grey level is their place."""
    names = list("edcba")
    columns = {
        "image_id": names,
        "file_name": names,
        "width": [3] * 5,
        "height": [2] * 5,
        "sha256": names,
        "bytes": [png(level) for level in range(5)],
        "crs": [None] * 5,
        "transform": [None] * 5,
    }
    write_partition(tmp_path, IMAGES, WHERE, pa.table(columns, schema=IMAGES.schema))
    return tmp_path


def two_each(names: str) -> dict[str, list[Item]]:
    return {name: [Item(f"s{name}", index, "?") for index in range(2)] for name in names}


def test_windows_follow_the_stored_order_and_keep_an_image_whole(lake):
    windows = plan(lake, WHERE, two_each("abcd"), size=3)
    assert [list(window) for window in windows] == [["d", "c"], ["b", "a"]]
    assert plan(lake, WHERE, two_each("abcd"), size=4) == windows


def test_images_come_in_the_order_that_is_asked_for(lake):
    images = Split.now(lake, **WHERE).open()
    assert [int(image[0, 0, 0]) for image in images("adb")] == [4, 1, 3]
    assert [int(image[0, 0, 0]) for image in images("e")] == [0]


def test_a_sample_whose_image_is_not_stored_is_said(lake):
    with pytest.raises(InputError, match=r"1 images .* \(first: z\)"):
        plan(lake, WHERE, two_each("az"), size=1)


def test_samples_of_one_image_are_worked_on_together():
    split = samples(a=rectangle(2, 3, slice(0, 1), slice(0, 1)), b=rectangle(2, 3, slice(0, 1), slice(0, 1)))
    split = split.set_column(1, "image_id", pa.array(["same", "same"]))
    items = {"b": [Item("b", 0, "?")], "a": [Item("a", 0, "?"), Item("a", 1, "?")]}
    assert by_image(split, items) == {"same": [Item("a", 0, "?"), Item("a", 1, "?"), Item("b", 0, "?")]}
