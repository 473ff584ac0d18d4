"""The shipped prompters speak every format that they were taught and point at what is asked, roughly."""

import json

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.embedded import (  # noqa: E402
    EMBEDDED_PROMPTERS,
    EMBEDDED_SEGMENTERS,
    WIDE_PROMPTER,
)
from t2s_pipeline.miniature.lessons import TAUGHT, VOCABULARIES  # noqa: E402
from t2s_pipeline.miniature.measure_prompter import measure  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402


@pytest.fixture(scope="module", params=EMBEDDED_PROMPTERS)
def measured(request):
    vocabulary = VOCABULARIES["wide"] if request.param == WIDE_PROMPTER else TAUGHT
    return measure(load_prompter(request.param), load_segmenter("sam2-mini"), count=64, vocabulary=vocabulary)


def test_at_least_four_of_five_answers_are_valid(measured):
    assert {name: share for name, share in measured.valid.items() if share < 0.8} == {}


def test_it_localizes_badly_but_not_blindly(measured):
    # A base that reinforcement cannot improve has nothing to show; one that never hits has nothing to learn from.
    assert 10 < measured.giou < 60


@pytest.mark.parametrize("name", EMBEDDED_PROMPTERS)
def test_the_weights_are_small_and_hold_no_code(name):
    folder = EMBEDDED_PROMPTERS[name]
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sum(files.values()) < 8e6
    assert not [name for name in files if name.endswith((".py", ".bin", ".pt", ".pkl"))]
    assert json.loads((folder / "training.json").read_text())["phase"] == "careless"
    assert "MODEL_CARD.md" in files and json.loads((folder / "eval.json").read_text())["n"] == 200


def test_all_embedded_weights_together_stay_below_30_mebibytes():
    files = [folder / "model.safetensors" for folder in EMBEDDED_PROMPTERS.values()] + [*EMBEDDED_SEGMENTERS.values()]
    assert len(files) == 6 and sum(file.stat().st_size for file in files) <= 30 * 2**20
