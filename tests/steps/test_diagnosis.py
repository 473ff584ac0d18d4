"""`t2s doctor`: where each benchmark lies, what of it is in the lake, and what every experiment lacks."""

import pytest

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.methods.experiments import EXPERIMENTS
from t2s_pipeline.steps.diagnosis import diagnose
from tests.data.make_phrases import REFSEGRS, RISBENCH


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    monkeypatch.setenv("T2S_RISBENCH_ROOT", str(RISBENCH.parent))
    return Settings.from_env()


def test_each_benchmark_is_found_or_told_how_to_be(settings):
    catalog.add_benchmark(settings, "refsegrs", REFSEGRS)
    ingest_split(settings.lake, dataset_at("refsegrs", REFSEGRS), "val")
    found = {each.key: each for each in diagnose(settings).datasets}
    assert list(found) == ["synthetic", "earthreason", "rrsis-d", "risbench", "refsegrs"]
    assert (found["risbench"].root, found["risbench"].origin) == (str(RISBENCH), "T2S_RISBENCH_ROOT")
    assert found["refsegrs"].origin == str(settings.home / "datasets.json")
    val = next(split for split in found["refsegrs"].splits if split.split == "val")
    assert (val.samples, val.rejects, val.published) == (1, 1, 431)
    assert found["risbench"].splits[0].samples is None
    assert found["earthreason"].root is None
    assert "T2S_EARTHREASON_ROOT" in found["earthreason"].fault


def test_every_experiment_is_told_with_what_it_lacks(settings):
    found = {each.name: each for each in diagnose(settings).experiments}
    assert set(found) == set(EXPERIMENTS)
    assert any("earthreason is not in the lake" in sentence for sentence in found["think2seg-rs-3b"].missing)
    assert not any("earthreason" in sentence for sentence in found["think2seg-mini"].missing)
