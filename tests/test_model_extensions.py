"""A prompter family and a segmenter from outside of the package answer and segment in the worker."""

import json
from pathlib import Path

import pytest

from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.lake.schema import COMPLETIONS, PREDICTIONS
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.methods.system import System
from t2s_pipeline.prompters.base import GenerationSettings
from tests.outside import MODELS, Outside

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from tests.prompters import tiny  # noqa: E402
from tests.small_models import save_segmenter  # noqa: E402

LOADED = """
import sys
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.segmenters.load import load_segmenter
print(load_prompter(sys.argv[1]).family.name, load_segmenter(sys.argv[2]).name)
"""


def test_a_family_and_a_segmenter_answer_and_segment_and_name_the_tables(outside: Outside, tmp_path: Path) -> None:
    outside.module("my_models", MODELS)
    prompter = str(tiny.save("qwen2_vl", tmp_path / "prompter"))
    weights = save_segmenter(tmp_path / "weights.safetensors").partition("@")[2]
    assert outside.run("-c", LOADED, prompter, f"my-sam@{weights}").split() == ["Qwen2-VL", "my-sam"]

    scenes = dataset_at("real", Path(__file__).parent / "data" / "real_scenes")
    ingest_split(outside.home / "lake", scenes, "test")
    system = System("mine", prompter, f"my-sam@{weights}", Recipe(), GenerationSettings(4, batch_size=2), "real")
    split = {"dataset": "real", "split": "test"}
    for command in ("generate", "segment"):
        options = ("--system", system.name, "--resolved", json.dumps(system.as_json()), "--fingerprint", "f")
        outside.run("-m", "t2s_pipeline.worker", command, *options, "--dataset", "real", "--split", "test")
    assert list_partitions(outside.home / "lake", PREDICTIONS) == [{"system": "mine", "segmenter": "my-sam", **split}]
    completions = read_partition(outside.home / "lake", COMPLETIONS, {"system": "mine", **split})
    predictions = read_partition(outside.home / "lake", PREDICTIONS, {"system": "mine", "segmenter": "my-sam", **split})
    assert completions.num_rows == predictions.num_rows > 0
