"""Miniature models with random weights, and real scenes in a lake, for the tests of the torch half."""

from pathlib import Path

import pytest

from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at

SCENES = Path(__file__).parent.parent / "data" / "real_scenes"


@pytest.fixture
def home(tmp_path) -> Path:
    """A T2S_HOME whose lake holds the tiny real scenes: test and val, two images each."""
    for split in ("test", "val"):
        ingest_split(tmp_path / "lake", dataset_at("real", SCENES), split)
    return tmp_path


@pytest.fixture(scope="session")
def prompter_folder(tmp_path_factory) -> Path:
    """A miniature Qwen2.5-VL with random weights: it answers gibberish."""
    from t2s_pipeline.miniature.prompter import PrompterShape, build_model, build_processor, train_tokenizer
    from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
    from t2s_pipeline.prompting.templates import instruction

    shape = PrompterShape()
    tokenizer = train_tokenizer([instruction("Where?", asked) for asked in PROMPT_COMBINATIONS.values()], shape)
    folder = tmp_path_factory.mktemp("prompter")
    build_model(tokenizer, shape, seed=3).save_pretrained(folder)
    build_processor(tokenizer, shape).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def segmenter_file(tmp_path_factory) -> Path:
    """A miniature SAM2 with random weights: its masks mean nothing."""
    import torch
    from safetensors.torch import save_file

    from t2s_pipeline.segmenters.miniature import build

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("segmenter") / "model.safetensors"
    save_file(build().state_dict(), path)
    return path
