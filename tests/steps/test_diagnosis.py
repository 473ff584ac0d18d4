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
    assert list(found) == ["synthetic", "earthreason", "rrsis-d", "risbench", "refsegrs", "synthetic-referring"]
    assert (found["risbench"].root, found["risbench"].origin) == (str(RISBENCH), "T2S_RISBENCH_ROOT")
    assert found["refsegrs"].origin == str(settings.home / "datasets.json")
    val = next(split for split in found["refsegrs"].splits if split.split == "val")
    assert (val.samples, val.rejects, val.published) == (1, 1, 431)
    assert found["risbench"].splits[0].samples is None
    assert found["earthreason"].root is None
    assert "T2S_EARTHREASON_ROOT" in found["earthreason"].fault


def test_every_experiment_is_told_with_what_it_lacks(settings):
    diagnosis = diagnose(settings)
    found = {each.name: [shortage.sentence for shortage in each.missing] for each in diagnosis.experiments}
    assert set(found) == set(EXPERIMENTS)
    assert any("earthreason is not in the lake" in sentence for sentence in found["think2seg-rs-3b"])
    assert not any("earthreason" in sentence for sentence in found["think2seg-mini"])


def test_equal_complaints_are_one(settings):
    diagnosis = diagnose(settings)
    sentences = [(complaint.shortage.sentence, complaint.shortage.blocks) for complaint in diagnosis.complaints]
    assert len(sentences) == len(set(sentences))
    (data,) = (each for each in diagnosis.complaints if "earthreason is not in the lake" in each.shortage.sentence)
    assert {"think2seg-rs-3b", "seg-zero"} <= set(data.experiments)
    assert data.shortage.command == "t2s ingest earthreason --root FOLDER"
    lacking = {(each.name, shortage.sentence) for each in diagnosis.experiments for shortage in each.missing}
    grouped = {(name, each.shortage.sentence) for each in diagnosis.complaints for name in each.experiments}
    assert grouped == lacking
