"""Finished work stands until its code, data or settings change; a step without its input says what to do."""

import importlib
import pkgutil
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from t2s_pipeline import steps as steps_package
from t2s_pipeline.core import fingerprints as core_fingerprints
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import catalog
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import partition_file
from t2s_pipeline.lake.store import fingerprint_of, read_partition
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH
from t2s_pipeline.pseudo_labels.labellings import LABELLINGS
from t2s_pipeline.steps import fingerprints, runner
from t2s_pipeline.steps.answers import Complete, Segment
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes
from t2s_pipeline.steps.labels import Judge, MakeLabels
from t2s_pipeline.steps.report import Report
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Publish, Summarize, score_under_every_protocol
from t2s_pipeline.steps.step import Context, LakePartition, Step, StepReport
from t2s_pipeline.steps.training import Train
from t2s_pipeline.systems.resolve import resolve
from tests.processes import PATIENCE
from tests.stand_in_worker import StandIn

TRAIN, TEST = ("synthetic", "train"), ("synthetic", "test")
BASE, RUN = "zero-shot-mini", "think2seg-mini"
SCORED = {"dataset": "synthetic", "split": "test", "protocol": "strict"}


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


def walk(settings: Settings, worker: StandIn, fresh: bool = False, test: int = 3) -> list[StepReport]:
    """A sample's whole way, on a few scenes; the page is not built."""
    sentences: list[str] = []
    run = Runner(settings, worker, sentences.append, fresh).run
    reports = [
        report
        for step in (SyntheticScenes(3, 1, test), ReadTables(*TRAIN), ReadTables(*TEST), Train(RUN))
        for report in run(step)
    ]
    for name in (BASE, RUN):
        system = resolve(name, settings)
        scores = score_under_every_protocol(name, system.segmenter_name, *TEST)
        for step in (Complete(system, *TEST), Segment(system, *TEST), *scores):
            reports += run(step)
    reports += [*run(Summarize()), *run(Publish())]
    assert sentences == [str(report) for report in reports]
    return reports


def skips(settings: Settings, worker: StandIn, step: Step) -> bool:
    """Run one step; true if its finished work was still valid."""
    (skipped,) = {report.skipped for report in Runner(settings, worker, lambda _: None).run(step)}
    return skipped


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


def test_another_training_setting_trains_again_only_if_a_person_says_so(done: Settings, worker: StandIn):
    other = Train(RUN, ("grpo.learning_rate=1e-5",))
    with pytest.raises(InputError, match=r"is finished with other settings: grpo\.learning_rate was 0\.0001"):
        skips(done, worker, other)
    assert worker.calls == [] and skips(done, worker, Train(RUN))
    Runner(done, worker, lambda _: None, fresh=True).run(other)
    assert (done.runs / ".replaced" / RUN / "checkpoint-2").is_dir()
    assert not skips(done, worker, Complete(resolve(RUN, done), *TEST))
    assert skips(done, worker, Complete(resolve(BASE, done), *TEST))
    assert worker.calls == [("train", RUN, ""), ("generate", RUN, "test")]


def test_changed_code_redoes_the_step_and_what_follows(done: Settings, worker: StandIn, monkeypatch):
    code = fingerprints.code_fingerprint
    monkeypatch.setattr(runner, "code_fingerprint", lambda module: code(module) + "!" * (module == Segment.code))
    redone = {report.table for report in walk(done, worker) if not report.skipped}
    assert redone == {"predictions", "sample_scores", "benchmark_metrics", "paired_differences"}
    assert worker.verbs() == ["segment", "segment"]


def test_a_lost_checkpoint_is_trained_again(done: Settings, worker: StandIn):
    (done.runs / RUN / "checkpoint-2" / "COMPLETE.json").unlink()
    assert not skips(done, worker, Train(RUN))


def test_a_changed_picture_is_read_again(done: Settings, worker: StandIn):
    picture = next((done.scenes / "test" / "images").iterdir())
    picture.write_bytes(picture.read_bytes() + b"\0")
    assert not skips(done, worker, ReadTables(*TEST))
    assert skips(done, worker, ReadTables(*TRAIN))


def test_a_failing_worker_leaves_no_partition_and_what_was_finished(done: Settings, worker: StandIn):
    partition = {"system": BASE, "dataset": "synthetic", "split": "test"}
    before = fingerprint_of(done.lake, schema.COMPLETIONS, partition)

    def fails(arguments) -> None:
        raise InputError("the worker fell over")

    with pytest.raises(InputError, match="fell over"):
        Runner(done, fails, lambda _: None, fresh=True).run(Complete(resolve(BASE, done), *TEST))
    assert fingerprint_of(done.lake, schema.COMPLETIONS, partition) == before
    assert skips(done, worker, Complete(resolve(BASE, done), *TEST))


def test_a_step_before_its_turn_says_what_is_missing(settings: Settings, worker: StandIn):
    with pytest.raises(NotMaterializedError, match=r"samples of dataset synthetic, split test is needed .* `t2s demo`"):
        skips(settings, worker, Complete(resolve(BASE, settings), *TEST))
    with pytest.raises(NotMaterializedError, match="train it first"):
        resolve(RUN, settings)
    with pytest.raises(InputError, match=r"folder .* is missing"):
        skips(settings, worker, ReadTables(*TEST))
    with pytest.raises(InputError, match=r"folder of the dataset nowhere is not known"):
        skips(settings, worker, ReadTables("nowhere", "test"))
    assert worker.calls == []


def test_a_report_of_a_step_is_one_line():
    numbers = {"samples": 2, "x": 0.12345}
    report = StepReport("samples", {"dataset": "synthetic", "split": "val"}, 2, True, numbers)
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
    a, b, c = (fingerprints.weights_fingerprint(str(tmp_path / name)) for name in "abc")
    assert a == b != c
    assert fingerprints.weights_fingerprint("sam2.1-small") != fingerprints.weights_fingerprint("sam2.1-tiny")


def test_a_steps_code_is_what_it_imports_and_nothing_else():
    generating = fingerprints.counted_modules("t2s_pipeline.evaluation.generate")
    assert {"t2s_pipeline.prompting.templates", "t2s_pipeline.prompters.families"} <= generating
    assert not {module for module in generating if ".segmenters" in module or ".training" in module}
    assert "t2s_pipeline.segmenters.sam2" in fingerprints.counted_modules("t2s_pipeline.training.run")
    assert fingerprints.code_fingerprint("evaluation.score") != fingerprints.code_fingerprint("evaluation.segment")


def test_a_rival_is_trained_on_its_labels_and_says_when_they_have_changed(done: Settings, worker: StandIn):
    rival, label = Train("vision-reasoner-mini"), MakeLabels("vision-reasoner", *TRAIN)
    with pytest.raises(NotMaterializedError, match="`t2s label vision-reasoner --dataset synthetic --split train`"):
        skips(done, worker, rival)
    (labelled,) = Runner(done, worker, lambda _: None).run(label)
    assert not labelled.skipped and skips(done, worker, label)
    assert labelled.metadata["samples"] == 3
    assert labelled.metadata["instances"] == labelled.rows >= 3 - labelled.metadata["empty_targets"]
    assert not skips(done, worker, rival)
    assert skips(done, worker, rival)
    assert skips(done, worker, Train(RUN))
    assert not skips(done, worker, replace(label, overrides=("eps=9",)))
    # A finished run is never thrown away; that its labels are others is said.
    sentences: list[str] = []
    assert Runner(done, worker, sentences.append).run(rival)[0].skipped
    assert "labelled again since then" in sentences[0]


def test_labels_are_judged_once_until_they_change(done: Settings, worker: StandIn):
    for method in LABELLINGS:
        skips(done, worker, MakeLabels(method, *TEST))
    judge = Judge("sam2-mini", *TEST)
    reports = Runner(done, worker, lambda _: None).run(judge)
    assert [report.partition["method"] for report in reports] == [*LABELLINGS, SEARCH]
    assert skips(done, worker, judge)
    skips(done, worker, MakeLabels("remote-reasoner", *TEST, overrides=("least_share=0.01",)))
    assert not skips(done, worker, judge)
    assert worker.verbs() == ["judge-labels", "judge-labels"]


def test_two_processes_that_score_different_systems_leave_both_on_the_board(done: Settings, worker: StandIn):
    """The second process scores a system while the first one, which has read the scores, still summarizes."""
    (done.lake / "benchmark_metrics" / "data.parquet").unlink()
    scores = partition_file(done.lake, schema.SAMPLE_SCORES, {**SCORED, "system": RUN})
    aside = scores.with_name("aside")
    scores.rename(aside)
    script = (
        "import sys; from pathlib import Path; from t2s_pipeline.core.settings import Settings\n"
        "from t2s_pipeline.steps.runner import Runner; from t2s_pipeline.steps.scores import Summarize\n"
        "home = Path(sys.argv[1]); say = lambda sentence: print(sentence, flush=True)\n"
        "Runner(Settings(home, home / 'python'), None, say).run(Summarize())\n"
    )
    second = None

    class Interrupted(Summarize):
        def work(self, context: Context, fingerprint: str) -> None:
            nonlocal second
            aside.rename(scores)
            second = subprocess.Popen([sys.executable, "-c", script, done.home], stdout=subprocess.PIPE, text=True)
            assert "Waiting for process" in second.stdout.readline()
            super().work(context, fingerprint)

    Runner(done, worker, lambda _: None).run(Interrupted())
    assert second.wait(PATIENCE) == 0
    metrics = read_partition(done.lake, schema.BENCHMARK_METRICS, {}).to_pylist()
    assert {row["system"] for row in metrics} == {BASE, RUN}


def test_a_comment_or_another_format_is_no_change_of_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(tmp_path)
    code = {}
    for name, text in {
        "plain": "def f(x):\n    return x + 1\n",
        "words": '"""Words."""\n\n\ndef f(x):\n    """More."""\n    # why\n    return (\n        x + 1\n    )\n',
        "other": "def f(x):\n    return x + 2\n",
    }.items():
        (tmp_path / "step_module.py").write_text(text)
        code[name] = core_fingerprints.code_fingerprint("step_module")
    assert code["plain"] == code["words"] != code["other"]


def subclasses(kind: type[Step]) -> set[type[Step]]:
    children = set(kind.__subclasses__())
    return children.union(*map(subclasses, children))


def test_every_step_is_declared_once_with_a_name_of_its_own_and_code_that_exists():
    for module in pkgutil.iter_modules(steps_package.__path__, "t2s_pipeline.steps."):
        importlib.import_module(module.name)
    steps = {step for step in subclasses(Step) if "name" in vars(step) and step.__module__.startswith("t2s_pipeline.")}
    names = [
        "synthetic_scenes",
        "tables",
        "label",
        "judge",
        "train",
        "complete",
        "segment",
        "agree",
        "control_risk",
        "score",
        "summarize",
        "publish",
        "register",
        "questions",
        "ask",
    ]
    assert sorted(step.name for step in steps) == sorted([*names, Report.name])
    for step in steps:
        assert f"t2s_pipeline.{step.code}" in fingerprints.counted_modules(f"t2s_pipeline.{step.code}")


def test_what_is_missing_names_the_command_that_makes_it():
    answers = {"system": "mine", "dataset": "synthetic", "split": "val"}
    agreement = LakePartition(schema.AGREEMENT, answers).command
    # Without further completions nothing is measured.
    assert agreement == "t2s evaluate mine --dataset synthetic --split val --completions 8"
    assert LakePartition(schema.COMPLETIONS, answers).command == agreement.removesuffix(" --completions 8")
    threshold = LakePartition(schema.RISK_THRESHOLDS, {"system": "mine", "dataset": "synthetic"})
    assert threshold.command == "t2s abstain mine --dataset synthetic"
