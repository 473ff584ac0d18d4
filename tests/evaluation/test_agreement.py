"""Agreement among sampled answers: worked by hand on masks, and measured with the real miniature models."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytestmark = pytest.mark.worker

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.evaluation import agreement  # noqa: E402
from t2s_pipeline.evaluation.agreement import mean_agreement, measure_agreement  # noqa: E402
from t2s_pipeline.lake.predictions import Prediction  # noqa: E402
from t2s_pipeline.lake.schema import AGREEMENT, SAMPLES  # noqa: E402
from t2s_pipeline.lake.store import read_partition  # noqa: E402
from t2s_pipeline.methods.experiments import ZERO_SHOT  # noqa: E402
from t2s_pipeline.methods.sampling import Sampling  # noqa: E402
from t2s_pipeline.methods.system import System  # noqa: E402
from t2s_pipeline.vision import masks  # noqa: E402
from tests.evaluation.tables import rectangle  # noqa: E402

TOP = rectangle(4, 4, slice(0, 2), slice(0, 4))
LEFT = rectangle(4, 4, slice(0, 4), slice(0, 2))
EMPTY = np.zeros((4, 4), bool)
PLACE = {"dataset": "real", "split": "test"}


def answer(mask, status="ok") -> Prediction:
    return Prediction("a", 0, side=4, status=status, mask=None if mask is None else masks.encode(mask))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([answer(TOP), answer(TOP), answer(TOP)], 1.0),
        ([answer(TOP), answer(LEFT)], 4 / 12),
        ([answer(TOP), answer(TOP), answer(LEFT)], (1 + 4 / 12 + 4 / 12) / 3),
        ([answer(EMPTY, "rejected"), answer(EMPTY, "empty_mask")], 1.0),  # both say that there is nothing
        ([answer(EMPTY, "rejected"), answer(TOP)], 0.0),
        ([answer(None, "format_error"), answer(None, "format_error")], 0.0),  # garbage agrees with nothing
        ([answer(TOP), answer(TOP), answer(None, "error")], 1 / 3),
    ],
)
def test_agreement_is_the_mean_iou_over_pairs(answers, expected):
    assert mean_agreement(answers) == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [{"completions": 1}, {"temperature": 0.0}, {"max_questions": 0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(InputError):
        Sampling(**wrong)
    with pytest.raises(InputError):
        Sampling.from_json('{"completoins": 4}')


@pytest.fixture
def mini() -> System:
    base = ZERO_SHOT["zero-shot-mini"]
    return System("mini", base.prompter, base.segmenter, base.recipe, base.generation, base.dataset)


def test_a_split_is_sampled_k_times_and_a_stopped_run_goes_on_to_the_same_rows(home, mini, monkeypatch):
    sampling = Sampling(completions=3, temperature=1.0)
    monkeypatch.setattr(agreement, "plan", _one_image_a_window(agreement.plan))

    def measure(mark: str) -> list[dict]:
        count = measure_agreement(home, mini, "real", "test", sampling, mark, NoProgress())
        rows = read_partition(home / "lake", AGREEMENT, {**PLACE, "system": "mini"}).to_pylist()
        assert len(rows) == count
        return rows

    rows = measure("first")
    samples = read_partition(home / "lake", SAMPLES, PLACE).num_rows
    assert len(rows) == samples > 1
    for row in rows:
        assert row["completions"] == len(row["texts"]) == 3 and 0 <= row["agreement"] <= 1
        assert 0 <= row["rejected"] + row["unread"] <= 3
    # At temperature 1 the base does not say the same thing three times, everywhere.
    assert any(len(set(row["texts"])) > 1 for row in rows)
    calls = []
    segment_texts = agreement.segment_texts

    def fail_at_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return segment_texts(*arguments)

    monkeypatch.setattr(agreement, "segment_texts", fail_at_second)
    with pytest.raises(KeyboardInterrupt):
        measure("second")
    again = measure("second")
    assert len(calls) == samples + 1  # the first window was kept
    assert again == rows


def _one_image_a_window(plan):
    return lambda lake, where, items, size: plan(lake, where, items, 1)
