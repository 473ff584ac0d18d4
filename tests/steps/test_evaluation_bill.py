"""What an evaluation costs: counted answers, measured rates, and what is said where nothing is known."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.methods.experiments import READY
from t2s_pipeline.methods.system import System
from t2s_pipeline.steps.evaluation_bill import SEGMENT_SECONDS, bill
from t2s_pipeline.training.architecture import architecture
from t2s_pipeline.training.estimate import DEVICES, answer_seconds
from tests.evaluation.tables import rectangle, samples

SYSTEM = System.of("mini", READY["zero-shot-mini"])


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(tmp_path, tmp_path / "python")


def write_answers(settings: Settings, system: str, seconds: list[float]) -> None:
    rows = [{"sample_id": str(n), "question_index": 0, "text": "t", "seconds": s} for n, s in enumerate(seconds)]
    partition = {"system": system, "dataset": "synthetic", "split": "val"}
    write_partition(
        settings.lake, schema.COMPLETIONS, partition, pa.Table.from_pylist(rows, schema=schema.COMPLETIONS.schema)
    )


def test_a_measured_rate_counts_answers_and_masks(settings):
    write_answers(settings, "mini", [1.0, 2.0])
    write_answers(settings, "other", [100.0])
    # RISBench's test split has 16,158 samples, as its authors count them.
    (row,) = bill(settings, [SYSTEM], ["risbench"], ["test"])
    assert (row.answers, row.counted, row.source) == (16_158, False, "measured on 2 answers")
    assert row.seconds == pytest.approx(1.5 + SEGMENT_SECONDS)
    assert row.device_hours == pytest.approx(16_158 * 1.6 / 3600)


def test_questions_of_the_lake_are_counted(settings):
    mask = rectangle(4, 4, slice(0, 2), slice(0, 2))
    table = samples(a=(mask, 3), b=(mask, 4))
    write_partition(settings.lake, schema.SAMPLES, {"dataset": "synthetic", "split": "test"}, table)
    (row,) = bill(settings, [SYSTEM], [], ["test"])
    assert (row.dataset, row.answers, row.counted) == ("synthetic", 7, True)


def test_where_nothing_was_measured_the_size_of_the_model_decides(settings):
    large = replace(SYSTEM, name="large", prompter="Qwen/Qwen2.5-VL-7B-Instruct")
    (row,) = bill(settings, [large], ["risbench"], ["test"])
    sizes, generation = architecture(large.prompter), large.generation
    expected = answer_seconds(sizes, DEVICES[1], generation.max_new_tokens, generation.batch_size)
    assert row.seconds == pytest.approx(expected + SEGMENT_SECONDS) and "estimated" in row.source
    (row,) = bill(settings, [replace(SYSTEM, name="x", prompter="nobody/unknown")], ["risbench"], ["test"])
    assert row.seconds is None and row.device_hours is None


def test_a_split_of_unknown_size_is_one_sentence(settings):
    with pytest.raises(InputError, match=r"my-data-test is not in the lake.*t2s ingest my-data"):
        bill(settings, [SYSTEM], ["my-data"], ["test"])


def test_the_command_prints_the_sum_for_programs(settings, monkeypatch, capsys):
    from t2s_pipeline.commands.plan_evaluation import print_bill

    monkeypatch.setenv("T2S_HOME", str(settings.home))
    write_answers(settings, "zero-shot-mini", [1.9])
    print_bill(["zero-shot-mini"], ["risbench"], ["val", "test"], 8, as_json=True)
    result = json.loads(capsys.readouterr().out)
    hours = sum(split["answers"] for split in result["splits"]) * 2.0 / 3600
    assert result["device_hours"] == pytest.approx(hours) and result["hours"] == pytest.approx(hours / 8)
    print_bill(["zero-shot-mini"], ["risbench"], ["test"], 8, as_json=False)
    assert "16,158" in capsys.readouterr().out
