"""A run's tables can be read while it runs and count as finished only at its end."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.lake.schema import CHECKPOINTS, TRAINING_LOG
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training import checkpoints
from t2s_pipeline.training.log import StepRecord, TrainingLog
from t2s_pipeline.training.run_folder import RunFolder

RUN = {"run": "think2seg-mini"}
RECORD = StepRecord(
    step=1,
    reward=1.5,
    reward_std=0.2,
    reward_parts={"format": 0.9, "mask_iou": 0.3},
    zero_variance_share=0.25,
    valid_share=0.9,
    abstained=0,
    kl=0.01,
    loss=-0.02,
    grad_norm=1.0,
    learning_rate=1e-4,
    completion_tokens=40.0,
    longest_completion=60.0,
    clipped_share=0.0,
    entropy=1.2,
    seconds=3.0,
    generate_seconds=1.0,
    reward_seconds=0.5,
    update_seconds=1.2,
    tokens_per_second=850.0,
    peak_mb=900.0,
    samples=["a", "b"],
    warnings=[],
)


def steps(*numbers: int) -> list[StepRecord]:
    return [replace(RECORD, step=number, reward=number / 10) for number in numbers]


def stage(folder: RunFolder, staging: Path, step: int) -> None:
    staged = staging / f"checkpoint-{step}"
    staged.mkdir()
    (staged / "model.safetensors").write_bytes(bytes([step]))
    folder.publish(staged, step, 40)


def test_finished_steps_can_be_read_while_the_run_goes_on(tmp_path: Path):
    log = TrainingLog(tmp_path, "think2seg-mini", every_seconds=0)
    for record in steps(1, 2):
        log.append(record)
        rows = read_partition(tmp_path, TRAINING_LOG, RUN).to_pylist()
        assert rows[-1]["step"] == record.step
    assert dict(rows[0]["reward_parts"]) == {"format": 0.9, "mask_iou": 0.3}
    assert fingerprint_of(tmp_path, TRAINING_LOG, RUN) == ""
    assert log.finish("abc") == 2
    assert fingerprint_of(tmp_path, TRAINING_LOG, RUN) == "abc"


def test_a_resumed_log_forgets_the_steps_after_the_checkpoint(tmp_path: Path):
    log = TrainingLog(tmp_path, "think2seg-mini")
    for record in steps(1, 2, 3):
        log.append(record)
    log.flush()
    again = TrainingLog(tmp_path, "think2seg-mini", every_seconds=0)
    again.resume(2)
    again.append(replace(RECORD, step=3, reward=9.0))
    rows = read_partition(tmp_path, TRAINING_LOG, RUN).to_pylist()
    assert [(row["step"], row["reward"]) for row in rows] == [(1, 0.1), (2, 0.2), (3, 9.0)]


def test_numbers_that_could_not_be_had_are_null(tmp_path: Path):
    log = TrainingLog(tmp_path, "think2seg-mini", every_seconds=0)
    log.append(replace(RECORD, reward=None, reward_parts={}, kl=None))
    (row,) = read_partition(tmp_path, TRAINING_LOG, RUN).to_pylist()
    assert (row["reward"], row["kl"], row["reward_parts"]) == (None, None, [])


def test_a_checkpoint_is_listed_at_once_and_the_run_is_finished_only_at_the_end(tmp_path: Path):
    folder = RunFolder.of(experiment("think2seg-mini"), tmp_path, "abc")
    with folder.staging() as staging:
        stage(folder, staging, 20)
        assert folder.latest().step == 20 and not folder.latest().final
        assert fingerprint_of(tmp_path / "lake", CHECKPOINTS, RUN) == ""
        stage(folder, staging, 40)
    log = folder.log(40)
    log.append(RECORD)
    assert not folder.is_recorded()
    folder.finish(log)
    assert folder.is_recorded()
    rows = read_partition(tmp_path / "lake", CHECKPOINTS, RUN).to_pylist()
    assert [row["system"] for row in rows] == ["think2seg-mini--20", "think2seg-mini"]
    assert [row["path"] for row in rows] == [f"runs/think2seg-mini/checkpoint-{step}" for step in (20, 40)]
    assert rows[0]["base_model"] == "qwen2.5-vl-mini"
    assert not checkpoints.staging(folder.path).exists()


def test_a_run_is_found_whatever_it_was_made_from_and_every_one_that_is_set_aside_is_kept(tmp_path: Path):
    chosen = experiment("think2seg-mini")
    for number, name in enumerate(("one", "two", "three")):
        folder = RunFolder.of(chosen, tmp_path, name)
        assert folder.set_aside() is None
        with folder.staging() as staging:
            stage(folder, staging, 20)
        log = folder.log(-1)
        log.append(replace(RECORD, step=number))
        log.flush()
        other = RunFolder.of(chosen, tmp_path, "another")
        assert other.latest().fingerprint == name
        kept = other.set_aside()
        assert not folder.path.exists() and checkpoints.latest(kept).fingerprint == name
    places = sorted((tmp_path / "runs" / ".replaced").iterdir())
    assert [path.name for path in places] == ["think2seg-mini", "think2seg-mini.2", "think2seg-mini.3"]
    assert [checkpoints.latest(path).fingerprint for path in places] == ["one", "two", "three"]
    # The rows of the log go with the run: the next one replaces them in the lake.
    logs = [pq.ParquetFile(path / "training_log.parquet").read()["step"].to_pylist() for path in places]
    assert logs == [[0], [1], [2]]


def test_without_a_callers_fingerprint_settings_and_data_count(tmp_path: Path):
    one, same, other = (
        RunFolder.of(experiment("think2seg-mini", overrides), tmp_path, "").fingerprint
        for overrides in ([], [], ["grpo.steps=7"])
    )
    assert one == same != other


def test_what_is_unfinished_is_removed_even_when_the_run_fails(tmp_path: Path):
    folder = RunFolder.of(experiment("think2seg-mini"), tmp_path, "abc")
    with pytest.raises(KeyboardInterrupt), folder.staging() as staging:
        (staging / "checkpoint-20").mkdir()
        raise KeyboardInterrupt
    assert list(folder.path.iterdir()) == []


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path: Path):
    chosen = experiment("think2seg-mini")
    folder = RunFolder.of(chosen, tmp_path, "abc")
    with folder.alone():
        with pytest.raises(InputError, match="another process"), folder.alone():
            pass
        with RunFolder.of(experiment("think2seg-mini-seed1"), tmp_path, "abc").alone():
            pass
    with folder.alone():
        pass
