"""The shipped prompter speaks every format and points at what is asked, roughly: that is what it is shipped for."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTER_FOLDER  # noqa: E402
from t2s_pipeline.miniature.lessons import TAUGHT  # noqa: E402
from t2s_pipeline.miniature.measure_prompter import measure  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402


@pytest.fixture(scope="module")
def measured():
    return measure(load_prompter(EMBEDDED_PROMPTER), load_segmenter("sam2-mini"), count=64)


@pytest.mark.parametrize("name", TAUGHT)
def test_at_least_four_of_five_answers_are_valid(measured, name):
    assert measured.valid[name] >= 0.8


def test_it_localizes_badly_but_not_blindly(measured):
    # A base that reinforcement cannot improve has nothing to show; one that never hits has nothing to learn from.
    assert 10 < measured.giou < 60


def test_the_weights_are_small_and_hold_no_code():
    files = {path.name: path.stat().st_size for path in EMBEDDED_PROMPTER_FOLDER.iterdir()}
    assert sum(files.values()) < 8e6
    assert not [name for name in files if name.endswith((".py", ".bin", ".pt", ".pkl"))]
