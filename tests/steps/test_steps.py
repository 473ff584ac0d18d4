"""Finished work stands until its code, data or settings change; a step without its input says what to do."""

import shutil
from pathlib import Path

import pytest

from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.pseudo_labels import METHODS, SEARCH
from t2s_pipeline.steps import sources, steps
from t2s_pipeline.steps.steps import Steps
from tests.stand_in_worker import StandIn

TRAIN, TEST = ("synthetic", "train"), ("synthetic", "test")
BASE, RUN = "zero-shot-mini", "think2seg-mini"


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T2S_HOME in which everything is done; read only."""
    home = tmp_path_factory.mktemp("walked")
    settings = Settings(home, home / "python")
    walk(settings, StandIn(settings))
    return home


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path / "home", tmp_path / "python")


@pytest.fixture
def done(settings: Settings, walked: Path) -> Settings:
    """A T2S_HOME of the test's own in which everything is done."""
    shutil.copytree(walked, settings.home)
    return settings


@pytest.fixture
def worker(settings: Settings) -> StandIn:
    return StandIn(settings)


def walk(settings: Settings, worker: StandIn, fresh: bool = False, test: int = 3) -> list[steps.StepReport]:
    """A sample's whole way, on a few scenes; the page is not built."""
    told: list[str] = []
    step = Steps(settings, worker, told.append, fresh)
    reports = [step.scenes(train=3, val=1, test=test), *step.tables(*TRAIN), *step.tables(*TEST), *step.train(RUN)]
    for name in (BASE, RUN):
        reports += [step.complete(name, *TEST), step.segment(name, *TEST), *step.score(name, *TEST)]
    reports += [*step.summarize(), step.publish()]
    assert told == [str(report) for report in reports]
    return reports


def test_every_step_leaves_its_partition_and_its_numbers(settings: Settings, worker: StandIn):
    reports = walk(settings, worker)
    assert not any(report.skipped for report in reports)
    assert worker.verbs() == ["train", "generate", "segment", "generate", "segment"]
    tables = {report.table for report in reports}
    assert tables >= {"images", "samples", "training_log", "completions", "predictions", "benchmark_metrics"}
    metrics = read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    assert {(row["system"], row["protocol"]) for row in metrics} == {
        (system, protocol) for system in (BASE, RUN) for protocol in ("strict", "reference")
    }
    # The stand-in answers with the truth.
    assert {row["giou"] for row in metrics if row["protocol"] == "strict"} == {100.0}
    differences = read_partition(settings.lake, schema.PAIRED_DIFFERENCES, {}).to_pylist()
    assert {(row["system"], row["baseline"]) for row in differences} == {(RUN, BASE), (BASE, RUN)}


def test_the_second_time_nothing_is_redone(done: Settings, worker: StandIn):
    assert all(report.skipped for report in walk(done, worker))
    assert worker.calls == []


def test_fresh_redoes_everything(done: Settings, worker: StandIn):
    assert not any(report.skipped for report in walk(done, worker, fresh=True))
    assert worker.verbs() == ["train", "generate", "segment", "generate", "segment"]


def test_fewer_test_scenes_leave_training_alone(done: Settings, worker: StandIn):
    walk(done, worker, test=2)
    assert worker.verbs() == ["generate", "segment", "generate", "segment"]


def test_another_training_setting_trains_and_answers_again_but_leaves_the_base_alone(done: Settings, worker: StandIn):
    step = Steps(done, worker, lambda _: None)
    assert not step.train(RUN, ["grpo.learning_rate=1e-5"])[0].skipped
    assert not step.complete(RUN, *TEST).skipped
    assert step.complete(BASE, *TEST).skipped
    assert worker.calls == [("train", RUN, ""), ("generate", RUN, "test")]


def test_changed_code_redoes_the_step_and_what_follows(done: Settings, worker: StandIn, monkeypatch):
    code = sources.code
    monkeypatch.setattr(sources, "code", lambda step, *tables: code(step, *tables) + "!" * (step == "segmenting"))
    redone = {report.table for report in walk(done, worker) if not report.skipped}
    assert redone == {"predictions", "sample_scores", "benchmark_metrics", "paired_differences"}
    assert worker.verbs() == ["segment", "segment"]


def test_a_lost_checkpoint_is_trained_again(done: Settings, worker: StandIn):
    (done.runs / RUN / "checkpoint-2" / "COMPLETE.json").unlink()
    assert not Steps(done, worker, lambda _: None).train(RUN)[0].skipped


def test_a_changed_picture_is_read_again(done: Settings, worker: StandIn):
    picture = next((done.scenes / "test" / "images").iterdir())
    picture.write_bytes(picture.read_bytes() + b"\0")
    step = Steps(done, worker, lambda _: None)
    assert not step.tables(*TEST)[0].skipped
    assert step.tables(*TRAIN)[0].skipped


def test_a_failing_worker_leaves_no_partition_and_what_was_finished(done: Settings, worker: StandIn):
    where = {"system": BASE, "dataset": "synthetic", "split": "test"}
    before = fingerprint_of(done.lake, schema.COMPLETIONS, where)

    def fails(arguments) -> None:
        raise InputError("the worker fell over")

    with pytest.raises(InputError, match="fell over"):
        Steps(done, fails, lambda _: None, fresh=True).complete(BASE, *TEST)
    assert fingerprint_of(done.lake, schema.COMPLETIONS, where) == before
    assert Steps(done, worker, lambda _: None).complete(BASE, *TEST).skipped


def test_a_step_before_its_turn_says_what_is_missing(settings: Settings, worker: StandIn):
    step = Steps(settings, worker, lambda _: None)
    with pytest.raises(NotMaterializedError, match=r"samples of dataset synthetic, split test is needed .* `t2s demo`"):
        step.complete(BASE, *TEST)
    with pytest.raises(NotMaterializedError, match="train it first"):
        step.complete(RUN, *TEST)
    with pytest.raises(InputError, match=r"folder .* is gone"):
        step.tables(*TEST)
    with pytest.raises(InputError, match=r"No folder is known for the dataset nowhere"):
        step.tables("nowhere", "test")
    assert worker.calls == []


def test_a_report_of_a_step_is_one_line():
    numbers = {"samples": 2, "x": 0.12345}
    report = steps.StepReport("samples", {"dataset": "synthetic", "split": "val"}, 2, True, numbers)
    assert str(report) == "samples            synthetic val: samples 2, x 0.1235 (already done)"


def test_folders_of_one_name_are_two_datasets(settings: Settings, tmp_path: Path):
    folders = [tmp_path / place / "My Scenes" for place in ("a", "b")]
    for folder in folders:
        (folder / "test" / "images").mkdir(parents=True)
    first, second = (catalog.add_dataset(settings, folder) for folder in folders)
    assert first == "my-scenes"
    assert second.startswith("my-scenes-")
    assert catalog.add_dataset(settings, folders[0]) == first
    assert catalog.find_dataset(settings, second).root == folders[1]


def test_weights_are_told_apart_by_content(tmp_path: Path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    a, b, c = (sources.weights_mark(str(tmp_path / name)) for name in "abc")
    assert a == b != c
    assert sources.weights_mark("sam2.1-small") != sources.weights_mark("sam2.1-tiny")


def test_a_steps_code_is_what_it_imports_and_nothing_else():
    generating = sources._closure("t2s_pipeline.evaluation.generate")
    assert {"t2s_pipeline.prompting.templates", "t2s_pipeline.prompters.families"} <= generating
    assert not {module for module in generating if ".segmenters" in module or ".training" in module}
    assert "t2s_pipeline.segmenters.sam2" in sources._closure("t2s_pipeline.training.run")
    assert sources.code("scoring", schema.SAMPLE_SCORES) != sources.code("scoring", schema.PREDICTIONS)


def test_a_rival_is_trained_on_its_labels_and_anew_when_they_change(done: Settings, worker: StandIn):
    step = Steps(done, worker, lambda _: None)
    rival = "vision-reasoner-mini"
    with pytest.raises(NotMaterializedError, match="pseudo_labels"):
        step.train(rival)
    labelled = step.label("vision-reasoner", *TRAIN)
    assert not labelled.skipped and step.label("vision-reasoner", *TRAIN).skipped
    assert labelled.metadata["samples"] == 3
    assert labelled.metadata["instances"] == labelled.rows >= 3 - labelled.metadata["empty_targets"]
    assert not step.train(rival)[0].skipped
    assert step.train(rival)[0].skipped
    assert step.train(RUN)[0].skipped
    assert not step.label("vision-reasoner", *TRAIN, overrides=["eps=9"]).skipped
    assert not step.train(rival)[0].skipped


def test_labels_are_judged_once_until_they_change(done: Settings, worker: StandIn):
    step = Steps(done, worker, lambda _: None)
    for method in METHODS:
        step.label(method, *TEST)
    first = step.judge_labels("sam2-mini", *TEST)
    assert [report.partition["method"] for report in first] == [*METHODS, SEARCH]
    assert all(report.skipped for report in step.judge_labels("sam2-mini", *TEST))
    step.label("remote-reasoner", *TEST, overrides=["least_share=0.01"])
    assert not step.judge_labels("sam2-mini", *TEST)[0].skipped
    assert worker.verbs() == ["judge-labels", "judge-labels"]
