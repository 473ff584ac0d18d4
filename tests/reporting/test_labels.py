"""The section about labels: the scene where they differ most, its masks, and the ceilings by combination."""

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("matplotlib")

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema, store
from t2s_pipeline.methods.registry import methods_with_labels
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH
from t2s_pipeline.reporting.labels import label_section
from t2s_pipeline.reporting.page import build_report
from t2s_pipeline.vision.masks import encode
from tests.reporting import report_lake

pytestmark = pytest.mark.orchestrator
PART = {"dataset": "synthetic", "split": "test"}


@pytest.fixture
def settings(tmp_path) -> Settings:
    """Six scenes; the methods agree on all but the fourth, test_00003, where the IoU of Seg-Zero is a quarter."""
    report_lake.write(tmp_path / "lake", n=6)
    samples = store.read_partition(tmp_path / "lake", schema.SAMPLES, PART).to_pylist()
    for method in (*methods_with_labels(), SEARCH):
        rows = []
        for sample in samples:
            iou = 0.25 if (method, sample["sample_id"]) == ("seg-zero", "test_00003") else 0.75
            for name in ("bbox", method):
                if name != SEARCH:
                    rows.append(row(sample, name, 1.0 if sample["is_empty"] else iou, name == method))
        where = {"method": method, "segmenter": "sam2-mini", **PART}
        store.write_partition(
            tmp_path / "lake", schema.LABEL_QUALITY, where, pa.Table.from_pylist(rows, schema.LABEL_QUALITY.schema)
        )
    return Settings(tmp_path, tmp_path / "no-worker")


def row(sample: dict, combination: str, iou: float, with_mask: bool) -> dict:
    mask = encode(np.zeros((sample["mask"]["height"], sample["mask"]["width"]), bool)).as_arrow()
    return {
        **dict.fromkeys(schema.LABEL_QUALITY.schema.names),
        "sample_id": sample["sample_id"],
        "image_id": sample["image_id"],
        "prompt_combination": combination,
        "objects": 1,
        "gt_empty": sample["is_empty"],
        "prompts": [{"bbox": [100, 100, 400, 400], "positive_points": [[200, 200]], "negative_points": []}],
        "side": 840,
        "iou": iou,
        "mask": mask if with_mask else None,
    }


def test_the_scene_is_the_one_where_the_labels_differ_most(settings):
    found = label_section(settings.lake, "synthetic")
    assert "test_00003" in found.why
    assert [view.title for view in found.views] == ["Ground truth", "Seg-Zero", "VisionReasoner", "RemoteReasoner"]
    assert [view.verdict for view in found.views[1:]] == ["1 label · IoU 0.25", *["1 label · IoU 0.75"] * 2]
    assert [view.good for view in found.views[1:]] == [False, True, True]


def test_the_ceilings_are_means_in_percent(settings):
    found = label_section(settings.lake, "synthetic")
    assert found.combinations == ["as the method gives them", "bbox"]
    # One of the six is empty (1), one is 0.25 for Seg-Zero, the other four 0.75: (1 + 0.25 + 4 · 0.75) / 6.
    by_name = {ceiling.name: ceiling.by_combination for ceiling in found.ceilings}
    assert by_name["Seg-Zero"] == pytest.approx([100 * 4.25 / 6] * 2)
    assert by_name["VisionReasoner"] == pytest.approx([100 * 4.75 / 6] * 2)
    assert by_name["best prompts found near the labels"] == [None, pytest.approx(100 * 4.75 / 6)]


def test_the_page_shows_them_and_a_lake_without_labels_has_no_such_section(settings, tmp_path):
    page = build_report(settings, "synthetic").read_text()
    assert 'id="labels"' in page and "VisionReasoner" in page
    other = tmp_path / "other"
    report_lake.write(other / "lake", n=6)
    assert 'id="labels"' not in build_report(Settings(other, other / "no-worker"), "synthetic").read_text()
