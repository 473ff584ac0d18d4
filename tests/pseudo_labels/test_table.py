"""Labels as rows: every sample is accounted for, parameters are recorded, and what is read back is what was made."""

import json

import numpy as np
import pyarrow as pa
import pytest

from t2s_pipeline.lake.schema import PSEUDO_LABELS
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.methods.registry import METHODS
from t2s_pipeline.pseudo_labels import table
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS, labelling
from t2s_pipeline.vision.masks import encode
from tests.pseudo_labels.masks_to_cluster import masks_to_cluster

WHERE = {"dataset": "synthetic", "split": "train"}


def samples(masks: list[np.ndarray]) -> pa.Table:
    return pa.table(
        {"sample_id": [f"s{index}" for index in range(len(masks))], "mask": [encode(mask).as_arrow() for mask in masks]}
    )


def test_the_labellings_are_the_methods_that_recipes_may_name():
    assert list(LABELLINGS) == [method.labels for method in METHODS.values() if method.labels]


@pytest.mark.parametrize("method", LABELLINGS)
def test_rows_read_back_as_the_labels_they_were_made_from(method: str, tmp_path):
    masks = list(masks_to_cluster(side=40).values())[:12]
    chosen = labelling(method, ["side=84"])
    rows = table.label_samples(samples(masks), chosen)
    write_partition(tmp_path, PSEUDO_LABELS, {"method": method, **WHERE}, rows)
    found = table.read_labels(tmp_path, method, WHERE)
    for index, mask in enumerate(masks):
        made = chosen.label(mask)
        assert [label.area for label in found.get(f"s{index}", ())] == [label.area for label in made]
        for back, label in zip(found.get(f"s{index}", ()), made, strict=True):
            # Made on a square of 84, read for the square of 840.
            assert back.bbox == pytest.approx(tuple(10 * value for value in label.bbox))
            assert back.points == tuple((10 * x, 10 * y) for x, y in label.points)
    assert {json.loads(text)["side"] for text in rows["parameters"].to_pylist()} == {84}


def test_what_is_in_no_instance_is_counted():
    """25 pixels and one far away, which is noise to DBSCAN, a speck to RemoteReasoner, and part of Seg-Zero's."""
    mask = np.zeros((100, 100), bool)
    mask[10:15, 10:15] = mask[90, 90] = True
    left = {
        method: table.label_samples(samples([mask]), labelling(method, ["side=100"]))["left_out"].to_pylist()
        for method in LABELLINGS
    }
    assert left == {"seg-zero": [0], "vision-reasoner": [1], "remote-reasoner": [1]}


def test_several_processes_make_the_same(monkeypatch):
    monkeypatch.setattr(table, "ENOUGH_FOR_PROCESSES", 1)
    given = samples(list(masks_to_cluster(side=30).values()))
    chosen = labelling("vision-reasoner", ["side=60"])
    assert table.label_samples(given, chosen, processes=2) == table.label_samples(given, chosen)
