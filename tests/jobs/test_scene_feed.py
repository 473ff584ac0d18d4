"""New scenes in Dagster: each is registered once, asked what is due, and shown with its checks and pictures."""

from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")
pytest.importorskip("shapely")

from assets import scenes as scene_assets  # noqa: E402
from jobs import scene_sensors  # noqa: E402
from t2s_pipeline.core import arrival  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.lake.views import query  # noqa: E402
from tests.assets.test_assets import StandInLauncher  # noqa: E402
from tests.scenes.painted import painted, save  # noqa: E402

pytestmark = pytest.mark.orchestrator

BOXES = [(10, 12, 50, 40), (60, 50, 90, 80)]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    monkeypatch.setenv("T2S_WORKER_PYTHON", "/bin/sh")
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    settings = Settings.from_env()
    settings.imagery.mkdir()
    settings.standing_questions.write_text("question,system\nWhere?,zero-shot-mini\n")
    return settings


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def look(instance, cursor: str | None = None):
    context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"worker": StandInLauncher()})
    return scene_sensors.new_scenes(context)


def start(instance, result) -> list[str]:
    """Do what the daemon does with a sensor's result; the scenes whose runs succeeded."""
    for request in result.dynamic_partitions_requests or []:
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    for request in result.run_requests or []:
        both = [scene_assets.scenes, scene_assets.scene_objects]
        done = dg.materialize(
            both[: len(request.asset_selection or both)],
            instance=instance,
            partition_key=request.partition_key,
            run_config=request.run_config,
            resources={"worker": StandInLauncher()},
        )
        assert done.success
    return [request.partition_key for request in result.run_requests or []]


def objects_found(settings: Settings) -> list[tuple]:
    return [tuple(row.values()) for row in query(settings, "SELECT scene, object FROM objects_found").to_pylist()]


def test_a_new_scene_is_answered_once_and_again_when_its_file_changes(settings, instance):
    path = save(settings.imagery / "a.tif", painted(100, 100, BOXES))
    first = look(instance)
    assert start(instance, first) == ["a.tif"]
    assert objects_found(settings) == [("a.tif", 1), ("a.tif", 2)]
    second = look(instance, first.cursor)
    assert second.skip_reason and not second.run_requests and second.cursor == first.cursor
    save(path, painted(100, 100, BOXES[:1]))
    third = look(instance, first.cursor)
    assert start(instance, third) == ["a.tif"]
    assert objects_found(settings) == [("a.tif", 1)]
    keys = [request.run_key for result in (first, third) for request in result.run_requests]
    assert len(set(keys)) == 2
    assert set(instance.get_dynamic_partitions("scene")) == {"a.tif"}


def test_a_question_that_is_new_is_asked_about_every_scene(settings, instance):
    for name in ("a.tif", "b.tif"):
        save(settings.imagery / name, painted(100, 100, BOXES))
    settings.standing_questions.unlink()
    first = look(instance)
    assert start(instance, first) == ["a.tif", "b.tif"]
    assert objects_found(settings) == [] and query(settings, "from scenes").num_rows == 2
    assert instance.get_latest_materialization_event(dg.AssetKey("scene_objects")) is None
    settings.standing_questions.write_text("question,system\nWhere?,zero-shot-mini\n")
    assert start(instance, look(instance, first.cursor)) == ["a.tif", "b.tif"]
    assert len(objects_found(settings)) == 4


def test_runs_of_the_feed_come_after_those_of_people_and_are_started_again_if_they_were_killed(settings, instance):
    save(settings.imagery / "a.tif", painted(100, 100, BOXES))
    (request,) = look(instance).run_requests
    assert int(request.tags["dagster/priority"]) < 0 and int(request.tags["dagster/max_retries"]) > 0
    import yaml

    from t2s_pipeline.core.settings import REPO

    retries = yaml.safe_load((REPO / "dagster.yaml").read_text())["run_retries"]
    assert retries == {"enabled": True, "retry_on_asset_or_op_failure": False}


def test_the_page_of_a_scene_shows_its_objects_numbers_and_checks(settings, instance):
    save(settings.imagery / "a.tif", painted(100, 100, BOXES))
    start(instance, look(instance))

    def metadata(asset: str) -> dict:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        return event.asset_materialization.metadata

    assert metadata("scenes")["crs_name"].value == "EPSG:32632"
    (objects,) = [value.value for name, value in metadata("scene_objects").items() if name.endswith(" objects")]
    assert objects == 2
    for asset in ("scenes", "scene_objects"):
        assert "data:image/jpeg;base64," in metadata(asset)["preview"].value


def checks(instance, assets, **options) -> dict[str, bool]:
    done = dg.materialize(assets, instance=instance, resources={"worker": StandInLauncher()}, **options)
    assert done.success
    return {check.check_name: check.passed for check in done.get_asset_check_evaluations()}


def test_checks_say_what_is_wrong_and_stop_nothing(settings, instance):
    save(settings.imagery / "good.tif", painted(100, 100, BOXES))
    save(settings.imagery / "no-crs.tif", painted(100, 100, BOXES), crs=None)
    settings.standing_questions.write_text("question,system\nWhere?,zero-shot-mini\nWho?,nobody\n")
    instance.add_dynamic_partitions("scene", ["good.tif", "no-crs.tif"])
    both = [scene_assets.scenes, scene_assets.scene_objects]
    complete = ["can_be_asked", "objects_are_unique", "objects_lie_in_their_scene", "answers_are_complete"]
    assert checks(instance, both, partition_key="good.tif") == dict.fromkeys(complete, True)
    assert checks(instance, both, partition_key="no-crs.tif") == {
        **dict.fromkeys(complete, True),
        "can_be_asked": False,
        "answers_are_complete": False,
    }
    assert checks(instance, [scene_assets.standing_questions]) == {"nothing_set_aside": False}


def test_changed_questions_are_read_once(settings, instance):
    def request(cursor: str | None):
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources={"worker": StandInLauncher()})
        (result,) = scene_sensors.changed_questions(context)
        return result, context.cursor

    result, cursor = request(None)
    assert isinstance(result, dg.RunRequest)
    assert isinstance(request(cursor)[0], dg.SkipReason)
    checks(instance, [scene_assets.standing_questions])
    assert isinstance(request(None)[0], dg.SkipReason)
    settings.standing_questions.write_text("question,system\nWho?,nobody\n")
    assert isinstance(request(cursor)[0], dg.RunRequest)
    settings.standing_questions.unlink()
    assert isinstance(request(cursor)[0], dg.RunRequest)


def test_what_the_terminal_answered_is_in_the_catalog(settings, instance):
    from assets.events import record_without_run
    from t2s_pipeline.steps.feed import answer_all
    from t2s_pipeline.steps.runner import Runner
    from tests.stand_in_worker import StandIn

    save(settings.imagery / "a.tif", painted(100, 100, BOXES))
    reports: list = []
    answer_all(Runner(settings, StandIn(settings), lambda _: None, record=reports.extend))
    record_without_run(instance, settings, reports)
    assert set(instance.get_materialized_partitions(dg.AssetKey("scene_objects"))) == {"a.tif"}
    assert instance.get_latest_materialization_event(dg.AssetKey("standing_questions"))
