"""What happens by itself: checkpoints are noticed once, evaluated on val once, and only the best is tried on test."""

import json
import struct
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

dg = pytest.importorskip("dagster")

from assets import evaluation  # noqa: E402
from jobs import schedules, sensors  # noqa: E402
from t2s_pipeline.core import arrival  # noqa: E402
from t2s_pipeline.core.errors import InputError, NotMaterializedError  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.definitions import defs  # noqa: E402
from t2s_pipeline.lake import schema  # noqa: E402
from t2s_pipeline.lake.folders import partition_file  # noqa: E402
from t2s_pipeline.lake.store import read_partition, write_partition  # noqa: E402
from t2s_pipeline.lake.views import query  # noqa: E402
from t2s_pipeline.methods.experiments import EXPERIMENTS  # noqa: E402
from t2s_pipeline.prompters.weights import weights_sha256  # noqa: E402
from t2s_pipeline.steps.evaluation import evaluate, register  # noqa: E402
from t2s_pipeline.steps.files import ReadTables, SyntheticScenes  # noqa: E402
from t2s_pipeline.steps.re_evaluation import rescore  # noqa: E402
from t2s_pipeline.steps.runner import Runner  # noqa: E402
from t2s_pipeline.steps.scores import Summarize  # noqa: E402
from t2s_pipeline.systems.candidates import candidates  # noqa: E402
from t2s_pipeline.systems.resolve import resolve  # noqa: E402
from t2s_pipeline.training.checkpoints import MARKER, Checkpoint, complete  # noqa: E402
from tests.assets.test_assets import StandInLauncher  # noqa: E402
from tests.stand_in_worker import StandIn  # noqa: E402

pytestmark = pytest.mark.orchestrator

MINI = EXPERIMENTS["think2seg-mini"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A T2S_HOME with the embedded val and test splits read."""
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    monkeypatch.setenv("T2S_WORKER_PYTHON", "/bin/sh")
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    found = Settings.from_env()
    runner = runner_of(found)
    runner.run(SyntheticScenes(train=1, val=3, test=2))
    for split in ("val", "test"):
        runner.run(ReadTables("synthetic", split))
    return found


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def runner_of(settings: Settings) -> Runner:
    return Runner(settings, StandIn(settings), lambda _: None)


def put(folder: Path, run: str = MINI.name, step: int = 20, steps: int = 60, experiment=MINI, weights=b"12345678"):
    """A complete checkpoint whose one tensor holds these eight bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json"):
        (folder / name).write_text("{}")
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + weights)
    made, sha256 = "2026-01-01T00:00:00+00:00", weights_sha256(folder)
    fields = vars(Checkpoint(folder, run, step, steps, experiment.as_json(), "f", "d", sha256, made))
    (folder / MARKER).write_text(json.dumps({key: value for key, value in fields.items() if key != "path"}))


def look(instance, cursor: str | None) -> dg.SensorResult:
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"worker": StandInLauncher()})
    return sensors.new_checkpoints(context)


def adopt(instance, result: dg.SensorResult) -> list[str]:
    """Do what the daemon does with a sensor's result; the systems that were reported."""
    for request in result.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    for event in result.asset_events:
        instance.report_runless_asset_event(event)
    return [event.partition for event in result.asset_events]


def due(instance, cursor=None):
    """The systems whose validation the automation requests, and the cursor after it."""
    found = dg.evaluate_automation_conditions(
        defs, instance, asset_selection=dg.AssetSelection.assets("validation"), cursor=cursor
    )
    return found.get_requested_partitions(dg.AssetKey("validation")), found.cursor


def validate(instance, system: str):
    assets = [evaluation.validation]
    done = dg.materialize(assets, instance=instance, partition_key=system, resources={"worker": StandInLauncher()})
    assert done.success
    return done


def test_a_checkpoint_is_reported_once_and_again_when_its_weights_or_settings_change(settings, instance):
    put(settings.watched / "theirs")
    first = look(instance, None)
    assert adopt(instance, first) == ["theirs"]
    assert look(instance, first.cursor).asset_events == []
    put(settings.watched / "theirs")  # the same again, newly copied
    assert look(instance, first.cursor).asset_events == []
    put(settings.watched / "theirs", weights=b"87654321")
    second = look(instance, first.cursor)
    assert adopt(instance, second) == ["theirs"]
    put(settings.watched / "theirs", weights=b"87654321", experiment=MINI.with_overrides(["generation.batch_size=8"]))
    assert adopt(instance, look(instance, second.cursor)) == ["theirs"]


def test_our_own_runs_are_found_by_their_names_while_they_still_train(settings, instance):
    run = settings.runs / "think2seg-mini"
    for step in (20, 60):
        put(run / f"checkpoint-{step}", step=step)
    put(settings.runs / "think2seg-mini-seed1" / "checkpoint-20", run="think2seg-mini-seed1")
    assert adopt(instance, look(instance, None)) == ["think2seg-mini--20", "think2seg-mini", "think2seg-mini-seed1--20"]


def test_what_is_incomplete_or_not_explained_is_left_alone(settings, instance):
    put(settings.watched / "theirs")
    (settings.watched / "theirs" / "model.safetensors").write_bytes(b"")
    put(settings.watched / "think2seg-mini")
    result = look(instance, None)
    assert result.asset_events == [] and result.skip_reason
    assert len(candidates(settings)[1]) == 2


def test_a_checkpoint_waits_until_its_val_split_is_read(settings, instance):
    partition_file(settings.lake, schema.SAMPLES, {"dataset": "synthetic", "split": "val"}).unlink()
    put(settings.watched / "theirs")
    assert look(instance, None).asset_events == []


def test_validation_is_due_once_a_checkpoint_and_once_more_for_new_settings(settings, instance):
    put(settings.watched / "theirs")
    first = look(instance, None)
    adopt(instance, first)
    wanted, cursor = due(instance)
    assert wanted == {"theirs"}
    validate(instance, "theirs")
    wanted, cursor = due(instance, cursor)
    assert wanted == set()
    # A refreshed dataset, or the same checkpoint looked at again, is no reason.
    instance.report_runless_asset_event(dg.AssetMaterialization("samples", partition="synthetic-val"))
    adopt(instance, look(instance, first.cursor))
    wanted, cursor = due(instance, cursor)
    assert wanted == set()
    put(settings.watched / "theirs", experiment=MINI.with_overrides(["generation.batch_size=8"]))
    adopt(instance, look(instance, first.cursor))
    wanted, cursor = due(instance, cursor)
    assert wanted == {"theirs"}


def test_a_validation_that_was_terminated_is_not_requested_again(settings, instance):
    put(settings.watched / "theirs")
    first = look(instance, None)
    adopt(instance, first)
    requested, cursor = due(instance)
    assert requested == {"theirs"}
    # Its run was terminated in the queue: nothing was materialized, and nothing failed.
    for _ in range(3):
        requested, cursor = due(instance, cursor)
        assert requested == set()
    put(settings.watched / "theirs", weights=b"87654321")
    adopt(instance, look(instance, first.cursor))
    assert due(instance, cursor)[0] == {"theirs"}


@pytest.mark.parametrize(
    ("setting", "systems"),
    [
        ("all", ["think2seg-mini--20", "think2seg-mini--40", "think2seg-mini"]),
        ("every:2", ["think2seg-mini--40", "think2seg-mini"]),
        ("last", ["think2seg-mini"]),
        ("none", []),
    ],
)
def test_a_setting_says_which_checkpoints_are_validated_and_the_choice_waits_for_those_only(
    settings, instance, setting, systems
):
    experiment = MINI.with_overrides([f"watch.validate={setting}"])
    for step in (20, 40, 60):
        put(settings.runs / "think2seg-mini" / f"checkpoint-{step}", step=step, experiment=experiment)
    list_ours(settings)
    assert adopt(instance, look(instance, None)) == systems
    runner = runner_of(settings)
    for system in systems:
        assert best(instance) == []
        evaluate(runner, resolve(system, settings), "synthetic", "val")
        runner.run(Summarize())
    # All answer with the truth, so the earliest of them is the best.
    assert [key.split(" ")[0] for key in best(instance)] == [f"synthetic-test|{system}" for system in systems[:1]]


def test_another_word_for_the_setting_is_refused():
    for word in ("first", "every:0", "every:", ""):
        with pytest.raises(InputError, match=r"watch\.validate must be all, every:n, last or none"):
            MINI.with_overrides([f"watch.validate={word}"])


def test_runs_that_nobody_started_come_after_those_of_people(settings, instance):
    put(settings.watched / "theirs")
    runner = runner_of(settings)
    evaluate(runner, resolve("theirs", settings), "synthetic", "val")
    runner.run(Summarize())
    context = dg.build_sensor_context(instance=instance, resources={"worker": StandInLauncher()})
    (on_test,) = sensors.best_checkpoints(context).run_requests
    nightly = dg.build_schedule_context(
        instance=instance,
        resources={"worker": StandInLauncher()},
        scheduled_execution_time=datetime(2026, 11, 22, 2, tzinfo=UTC),
    )
    (at_night,) = schedules.nightly(nightly)
    tags = [on_test.tags, at_night.tags, sensors.automation.run_tags]
    assert [int(one["dagster/priority"]) for one in tags] == [-10, -10, -10]


def test_checkpoints_that_were_there_before_the_daemon_are_due_as_well(settings, instance):
    """The case of `t2s ui` after a demo, where Dagster's own on_missing requests nothing."""
    instance.add_dynamic_partitions("system", ["theirs"])
    instance.report_runless_asset_event(dg.AssetMaterialization("checkpoint", partition="theirs"))
    assert due(instance)[0] == {"theirs"}


def test_validation_leaves_rows_in_the_trend_and_on_the_board(settings, instance):
    put(settings.watched / "theirs" / "checkpoint-20")
    put(settings.watched / "theirs" / "checkpoint-60", step=60)
    adopt(instance, look(instance, None))
    for system in ("theirs--20", "theirs"):
        validate(instance, system)
    runner_of(settings).run(Summarize())
    trend = query(settings, "SELECT run, step, system, giou FROM checkpoint_trend WHERE protocol = 'strict'")
    assert [tuple(row.values()) for row in trend.to_pylist()] == [
        ("theirs", 20, "theirs--20", 100.0),
        ("theirs", 60, "theirs", 100.0),
    ]
    board = query(settings, "SELECT DISTINCT system FROM leaderboard WHERE split = 'val'")["system"].to_pylist()
    assert sorted(board) == ["theirs", "theirs--20"]
    for asset in ("completions", "predictions", "sample_scores"):
        found = instance.get_materialized_partitions(dg.AssetKey(asset))
        assert set(found) == {"synthetic-val|theirs--20", "synthetic-val|theirs"}


def best(instance) -> list[str]:
    context = dg.build_sensor_context(instance=instance, resources={"worker": StandInLauncher()})
    return [f"{request.partition_key} {request.run_key}" for request in sensors.best_checkpoints(context).run_requests]


def test_only_the_best_of_a_finished_run_is_tried_on_test_and_only_once_val_saw_all(settings, instance):
    run = settings.runs / "think2seg-mini"
    put(run / "checkpoint-20")
    runner = runner_of(settings)
    list_ours(settings)
    evaluate(runner, resolve("think2seg-mini--20", settings), "synthetic", "val")
    runner.run(Summarize())
    assert best(instance) == []  # still training
    put(run / "checkpoint-60", step=60)
    list_ours(settings)
    assert best(instance) == []  # not all seen
    evaluate(runner, resolve("think2seg-mini", settings), "synthetic", "val")
    runner.run(Summarize())
    # The stand-in answers with the truth for both: equal, so the earlier one, by the rule.
    requests = best(instance)
    assert [key.split(" ")[0] for key in requests] == ["synthetic-test|think2seg-mini--20"]
    assert best(instance) == requests  # the same run key, which Dagster runs once


def test_replaced_weights_are_seen_by_val_before_test(settings, instance):
    run = settings.watched / "theirs"
    put(run / "checkpoint-20")
    put(run / "checkpoint-60", step=60)
    runner = runner_of(settings)

    def val(*systems: str) -> None:
        for system in systems:
            evaluate(runner, resolve(system, settings), "synthetic", "val")

    val("theirs--20", "theirs")
    assert best(instance) == []  # the metrics are older than the scores
    runner.run(Summarize())
    (first,) = best(instance)
    put(run / "checkpoint-60", step=60, weights=b"87654321")  # not the chosen one, but a part of the choice
    assert best(instance) == []
    val("theirs")
    assert best(instance) == []
    runner.run(Summarize())
    assert best(instance) == [first]


def test_replaced_weights_are_evaluated_on_val_first_when_a_person_asks_for_test(settings):
    put(settings.watched / "theirs")
    worker = StandIn(settings)
    runner = Runner(settings, worker, lambda _: None)
    evaluate(runner, resolve("theirs", settings), "synthetic", "test")
    assert [split for _, _, split in worker.calls] == ["test", "test"]
    evaluate(runner, resolve("theirs", settings), "synthetic", "val")
    put(settings.watched / "theirs", weights=b"87654321")
    worker.calls.clear()
    evaluate(runner, resolve("theirs", settings), "synthetic", "test")
    assert [split for _, _, split in worker.calls] == ["val", "val", "test", "test"]


def list_ours(settings: Settings) -> None:
    """What the trainer does after each checkpoint."""
    checkpoints = complete(settings.runs / "think2seg-mini")
    rows = [{"system": checkpoint.name, "step": checkpoint.step} for checkpoint in checkpoints]
    table = pa.Table.from_pylist(rows, schema=schema.CHECKPOINTS.schema)
    write_partition(settings.lake, schema.CHECKPOINTS, {"run": "think2seg-mini"}, table)


def test_the_night_evaluates_the_chosen_ones_anew(settings, instance):
    put(settings.watched / "theirs")
    context = dg.build_schedule_context(instance=instance, resources={"worker": StandInLauncher()})
    assert [type(item) for item in schedules.nightly(context)] == [dg.SkipReason]
    runner = runner_of(settings)
    evaluate(runner, resolve("theirs", settings), "synthetic", "val")
    runner.run(Summarize())
    context = dg.build_schedule_context(
        instance=instance,
        resources={"worker": StandInLauncher()},
        scheduled_execution_time=datetime(2026, 11, 22, 2, tzinfo=UTC),
    )
    requests = list(schedules.nightly(context))
    assert [str(request.partition_key) for request in requests] == ["synthetic-val|theirs"]


def test_a_night_that_does_worse_fails_its_check_and_leaves_the_accepted_scores(settings, instance):
    put(settings.watched / "theirs")
    runner = runner_of(settings)
    with pytest.raises(NotMaterializedError):
        rescore(runner, resolve("theirs", settings), "synthetic", "val")
    evaluate(runner, resolve("theirs", settings), "synthetic", "val")
    place = {"system": "theirs", "dataset": "synthetic", "split": "val"}
    scored = {**place, "protocol": "strict"}
    accepted = read_partition(settings.lake, schema.SAMPLE_SCORES, scored)

    def night(launcher) -> tuple[bool, dict]:
        key = dg.MultiPartitionKey({"system": "theirs", "split": "synthetic-val"})
        done = dg.materialize(
            [evaluation.rescores], instance=instance, partition_key=key, resources={"worker": launcher}
        )
        (check,) = done.get_asset_check_evaluations()
        return check.passed, read_partition(settings.lake, schema.RESCORES, place).to_pylist()[-1]

    instance.add_dynamic_partitions("system", ["theirs"])
    instance.add_dynamic_partitions("evaluated_split", ["synthetic-val"])
    passed, row = night(StandInLauncher())
    assert passed and (row["difference"], row["dropped"]) == (0.0, False)
    passed, row = night(Forgetful())
    assert not passed and row["dropped"] and row["giou"] < row["accepted_giou"] == 100.0
    assert row["difference"] <= row["high"] < 0
    assert read_partition(settings.lake, schema.SAMPLE_SCORES, scored) == accepted
    assert [path.name for path in (settings.home / "tmp").glob("rescore-*")] == []
    passed, _ = night(StandInLauncher())
    assert passed
    assert read_partition(settings.lake, schema.RESCORES, place).num_rows == 3


class Forgetful(StandInLauncher):
    """A worker that cannot answer any more: everything it says is unreadable."""

    def launcher(self, context, settings: Settings):
        class Unreadable(StandIn):
            def segment(self, options, mark):
                super().segment(options, mark)
                where = {**self._answers(options), "segmenter": "sam2-mini"}
                rows = read_partition(self.home / "lake", schema.PREDICTIONS, where).to_pylist()
                blank = {"status": "format_error", "mask": None, "square_mask": None}
                self._write(schema.PREDICTIONS, where, [{**row, **blank} for row in rows], mark)

        return Unreadable(settings)


def test_a_look_reads_each_folder_a_fixed_number_of_times(settings, instance, monkeypatch):
    """Twice the checkpoints take twice the reads, not four times."""
    reads = Counter()
    iterdir = Path.iterdir

    def counted(folder: Path):
        reads[folder] += 1
        return iterdir(folder)

    def reads_of_a_look(checkpoints: int) -> int:
        for number in range(checkpoints):
            put(settings.watched / f"theirs-{number}")
            put(
                settings.runs / f"think2seg-mini-seed{number + 1}" / "checkpoint-20",
                run=f"think2seg-mini-seed{number + 1}",
            )
        reads.clear()
        look(instance, None)
        return reads.total()

    monkeypatch.setattr(Path, "iterdir", counted)
    few, many = reads_of_a_look(10), reads_of_a_look(20)
    assert max(reads.values()) <= 3
    assert many <= 2 * few


def test_registering_a_foreign_run_twice_is_registering_it_once(settings):
    put(settings.watched / "theirs")
    for _ in range(2):
        register(settings, "theirs")
    (row,) = read_partition(settings.lake, schema.CHECKPOINTS, {"run": "theirs"}).to_pylist()
    assert (row["system"], row["step"], row["experiment"]) == ("theirs", 20, "think2seg-mini")
    register(settings, "think2seg-mini")
