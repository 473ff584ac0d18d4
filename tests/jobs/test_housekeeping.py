"""Partitions that a person adds by hand: a name that can be nothing is refused, or removed with its reason."""

import socket

import pytest

dg = pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from assets.abandoned_runs import close_abandoned  # noqa: E402
from assets.partitions import add_keys, dataset_splits, evaluated_splits, imagery_scenes, runs, systems  # noqa: E402
from assets.resources import WorkerLauncher  # noqa: E402
from jobs.housekeeping import impossible_partitions  # noqa: E402
from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.worker.process_ids import HOST, PROCESS  # noqa: E402

POSSIBLE = {
    "dataset_split": ["synthetic-val", "my-scenes-train"],
    "evaluated_split": ["rrsis-d-test"],
    "system": ["zero-shot-mini", "think2seg-mini--20", "lisa"],
    "training_run": ["think2seg-mini", "think2seg-mini-seed7", "begun"],
    "scene": ["harbour.tif", "2026-may-north.tif-3f5df6"],
}
IMPOSSIBLE = {
    "dataset_split": ["synthetic", "Synthetic-val", "-val"],
    "evaluated_split": ["rrsis d-test"],
    "system": ["LISA", "think2seg-mini--last", "--20"],
    "training_run": ["think2seg-mini-sed7", "Think2Seg-Mini", "think2seg-mini-seed"],
    "scene": ["Harbour.tif", "may north.tif"],
}


def test_impossible_names_are_removed_and_the_others_stay(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    (tmp_path / "runs" / "begun").mkdir(parents=True)
    with dg.DagsterInstance.ephemeral() as instance:
        for name in POSSIBLE:
            instance.add_dynamic_partitions(name, [*POSSIBLE[name], *IMPOSSIBLE[name]])
        context = dg.build_sensor_context(instance, resources={"worker": WorkerLauncher()})
        requests = impossible_partitions(context).dynamic_partitions_requests
        removed = [(request.partitions_def_name, key) for request in requests for key in request.partition_keys]
        assert sorted(removed) == sorted((name, key) for name, keys in IMPOSSIBLE.items() for key in keys)
        for name, key in removed:
            instance.delete_dynamic_partition(name, key)
        assert impossible_partitions(context).dynamic_partitions_requests == []


@pytest.mark.parametrize(
    "definition", [dataset_splits, evaluated_splits, systems, runs, imagery_scenes], ids=lambda one: one.name
)
def test_our_own_commands_add_no_impossible_name(definition):
    with dg.DagsterInstance.ephemeral() as instance:
        assert add_keys(instance, definition, POSSIBLE[definition.name]) == POSSIBLE[definition.name]
        for key in IMPOSSIBLE[definition.name]:
            if key in ("think2seg-mini-sed7", "think2seg-mini-seed"):
                continue  # possible names, of which there is no experiment
            with pytest.raises(InputError):
                add_keys(instance, definition, [key])


def test_a_run_that_repeats_an_abandoned_one_is_not_closed_with_it():
    """Dagster copies the tags of a run to the run that repeats it, also the process that is gone."""
    gone = {PROCESS: "1@0", HOST: socket.gethostname()}
    options = {"status": dg.DagsterRunStatus.STARTED, "tags": gone}

    @dg.job
    def nothing() -> None: ...

    with dg.DagsterInstance.ephemeral() as instance:
        first = instance.create_run_for_job(nothing, **options)
        assert close_abandoned(instance) == 1
        again = instance.create_run_for_job(nothing, **options, root_run_id=first.run_id, parent_run_id=first.run_id)
        assert close_abandoned(instance) == 0
        instance.add_run_tags(again.run_id, {PROCESS: "1@1"})
        assert close_abandoned(instance) == 1
