"""Assets and the job `demo` record in Dagster what the library's steps left in the lake."""

import functools
import hashlib
import json
import shutil
from pathlib import Path

import pytest

dg = pytest.importorskip("dagster")

from assets import datasets, labels, predictions, results, training  # noqa: E402
from assets.resources import WorkerLauncher  # noqa: E402
from jobs.dataset_sensors import known_datasets  # noqa: E402
from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.launch import Launch  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.definitions import defs  # noqa: E402
from t2s_pipeline.lake.schema import CHECKPOINTS, LABEL_QUALITY, PSEUDO_LABELS  # noqa: E402
from t2s_pipeline.lake.store import list_partitions, read_partition  # noqa: E402
from t2s_pipeline.training.checkpoints import MARKER  # noqa: E402
from tests.data.make_earthreason import HERE as EARTHREASON  # noqa: E402
from tests.data.make_phrases import RISBENCH  # noqa: E402
from tests.stand_in_worker import StandIn  # noqa: E402

pytestmark = pytest.mark.orchestrator

CONFIG = {"train_scenes": 3, "val_scenes": 1, "test_scenes": 3, "methods": ["think2seg"]}
RUN, BASE = "think2seg-mini", "zero-shot-mini"


class StandInLauncher(WorkerLauncher):
    """Launches the worker that needs no torch."""

    def launcher(self, context, settings: Settings) -> Launch:
        return StandIn(settings)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory):
    """(home, instance, result) of a demo that has run; read only."""
    home = tmp_path_factory.mktemp("walked")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        at(home, patch)
        yield home, instance, run_demo(instance)


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An instance and a T2S_HOME of the test's own."""
    at(tmp_path, monkeypatch)
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def at(home: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("T2S_HOME", str(home))
    patch.setenv("T2S_WORKER_PYTHON", "/bin/sh")  # it only has to be there


def run_demo(instance, launcher: WorkerLauncher | None = None, **config):
    return defs.resolve_job_def("demo").execute_in_process(
        instance=instance,
        run_config={"ops": {"files": {"config": {**CONFIG, **config}}}},
        resources={"worker": launcher or StandInLauncher()},
    )


def partitions(instance, asset: str) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def test_the_demo_records_every_partition_that_it_made(walked):
    home, instance, result = walked
    assert result.success
    assert partitions(instance, "samples") == {"synthetic-train", "synthetic-val", "synthetic-test"}
    assert partitions(instance, "checkpoints") == {RUN}
    assert partitions(instance, "checkpoint") == {BASE, RUN}
    answered = {f"synthetic-{split}|{system}" for split in ("val", "test") for system in (BASE, RUN)}
    for asset in ("completions", "predictions", "sample_scores"):
        assert partitions(instance, asset) == answered
    assert set(instance.get_dynamic_partitions("system")) == {BASE, RUN}
    assert set(instance.get_dynamic_partitions("evaluated_split")) == {"synthetic-val", "synthetic-test"}
    for asset in ("synthetic_scenes", "benchmark_metrics", "paired_differences", "leaderboard", "report"):
        assert instance.get_latest_materialization_event(dg.AssetKey(asset)), asset
    assert (home / "report" / "index.html").is_file()


def test_materializations_carry_numbers_and_pictures(walked):
    _, instance, _ = walked

    def metadata(asset: str) -> dict:
        return instance.get_latest_materialization_event(dg.AssetKey(asset)).asset_materialization.metadata

    assert metadata("samples")["questions"].value > 3
    assert metadata("samples")["preview"].value.startswith("![")
    assert "data:image/jpeg;base64," in metadata("predictions")["preview"].value
    assert metadata("sample_scores")["strict mean_iou"].value == 1.0
    assert metadata("training_log")["reward_last_tenth"].value == 0.4
    assert "think2seg-mini" in metadata("leaderboard")["leaderboard"].value


def test_the_checks_of_a_table_are_recorded_with_it(walked):
    _, _, result = walked
    evaluated = {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation
        for evaluation in result.get_asset_check_evaluations()
    }
    assert evaluated["samples", "masks_decode"].passed
    assert evaluated["predictions", "answers_parse"].passed
    assert evaluated["sample_scores", "scores_are_possible"].blocking
    specified = {(key.asset_key.to_user_string(), key.name) for key in defs.resolve_asset_graph().asset_check_keys}
    assert set(evaluated) <= specified


def test_the_second_demo_has_nothing_to_record_but_the_page(walked, monkeypatch: pytest.MonkeyPatch):
    home, instance, _ = walked
    at(home, monkeypatch)
    recorded = [event for event in run_demo(instance).all_events if event.event_type_value == "ASSET_MATERIALIZATION"]
    assert {event.asset_key.to_user_string() for event in recorded} == {"leaderboard", "report"}


def test_one_partition_of_an_asset_is_materialized_by_itself(walked, monkeypatch: pytest.MonkeyPatch):
    home, instance, _ = walked
    at(home, monkeypatch)
    assert RUN in instance.get_dynamic_partitions("training_run")
    for asset, key, names in (
        (datasets.read_split, "synthetic-val", {"images", "samples", "selections", "rejects", "notes"}),
        (training.trained, RUN, {"training_log", "checkpoints"}),
        (predictions.completions, on("synthetic-val", BASE), {"completions"}),
        (predictions.predictions, on("synthetic-test", RUN), {"predictions"}),
        (results.sample_scores, on("synthetic-test", RUN), {"sample_scores"}),
        (results.summaries, None, {"benchmark_metrics", "paired_differences"}),
        (results.leaderboard, None, {"leaderboard"}),
    ):
        done = dg.materialize([asset], instance=instance, partition_key=key, resources={"worker": StandInLauncher()})
        assert done.success
        recorded = {event.asset_key.to_user_string() for event in done.get_asset_materialization_events()}
        assert recorded == names


def on(split: str, system: str):
    return dg.MultiPartitionKey({"system": system, "split": split})


def test_a_folder_of_ones_own_is_evaluated_in_place_of_the_scenes(instance):
    folder = Path(__file__).parents[1] / "data" / "real_scenes"
    assert run_demo(instance, scenes=str(folder)).success
    assert partitions(instance, "samples") == {"synthetic-train", "real-scenes-val", "real-scenes-test"}
    assert {key.split("|")[0] for key in partitions(instance, "predictions")} == {"real-scenes-val", "real-scenes-test"}


def test_the_rivals_are_trained_on_labels_and_their_ceiling_is_drawn(instance):
    done = run_demo(instance, methods=["think2seg", "vision-reasoner"])
    assert done.success
    assert partitions(instance, "training_log") == {RUN, "vision-reasoner-mini"}
    assert partitions(instance, "pseudo_labels") == {"synthetic-train", "synthetic-test"}
    assert partitions(instance, "label_quality") == {"synthetic-test"}
    [labelled] = [
        event
        for event in done.all_events
        if event.is_step_materialization and event.asset_key == dg.AssetKey("label_quality")
    ]
    metadata = labelled.step_materialization_data.materialization.metadata
    assert metadata["vision-reasoner bbox"].value == 100
    assert metadata["search bbox"].value == 100


def test_labels_are_made_with_the_settings_asked_for(instance):
    home = Path(WorkerLauncher().settings.home)
    run_demo(instance)
    config = labels.LabelConfig(methods=["vision-reasoner"], settings=["vision-reasoner.eps=7"])
    dg.materialize(
        [datasets.synthetic_scenes, datasets.read_split, labels.pseudo_labels],
        selection=[labels.pseudo_labels],
        instance=instance,
        partition_key="synthetic-test",
        resources={"worker": StandInLauncher()},
        run_config=dg.RunConfig(ops={"pseudo_labels": config}),
    )
    made = read_partition(
        home / "lake", PSEUDO_LABELS, {"method": "vision-reasoner", "dataset": "synthetic", "split": "test"}
    )
    assert {json.loads(text)["eps"] for text in made["parameters"].to_pylist()} == {7.0}
    assert list_partitions(home / "lake", PSEUDO_LABELS) == [
        {"method": "vision-reasoner", "dataset": "synthetic", "split": "test"}
    ]


def test_labels_are_judged_under_a_segmenters_true_name(instance, tmp_path: Path):
    # Weights that are not the published ones of sam2.1-small, in a file of that name.
    file = tmp_path / "weights" / "sam2.1_hiera_small.pt"
    file.parent.mkdir()
    file.write_bytes(b"other weights")
    run_demo(instance, methods=["vision-reasoner"])
    judged = dg.materialize(
        [datasets.synthetic_scenes, datasets.read_split, labels.pseudo_labels, labels.label_quality],
        selection=[labels.pseudo_labels, labels.label_quality],
        instance=instance,
        partition_key="synthetic-test",
        resources={"worker": StandInLauncher()},
        run_config=dg.RunConfig(ops={"label_quality": labels.QualityConfig(segmenter=str(file))}),
    )
    assert judged.success
    quality = list_partitions(Path(WorkerLauncher().settings.home) / "lake", LABEL_QUALITY)
    digest = hashlib.sha256(b"other weights").hexdigest()
    assert {row["segmenter"] for row in quality} == {"sam2-mini", f"sam2.1-small-{digest[:8]}"}


def test_seeds_are_runs_and_systems_of_their_own(instance):
    run_demo(instance, seeds=[0, 2])
    assert partitions(instance, "checkpoints") == {RUN, f"{RUN}-seed2"}
    assert {key.split("|")[1] for key in partitions(instance, "predictions")} == {BASE, RUN, f"{RUN}-seed2"}


class TwoCheckpoints(StandInLauncher):
    """A worker whose training leaves two checkpoints. Both answer with the truth: the rule takes the earlier one."""

    def launcher(self, context, settings: Settings) -> Launch:
        class Worker(StandIn):
            def train(self, options, mark):
                super().train(options, mark)
                run = options["--experiment"]
                last = settings.runs / run / "checkpoint-2"
                first = shutil.copytree(last, settings.runs / run / "checkpoint-1")
                marker = json.loads((last / MARKER).read_text())
                (first / MARKER).write_text(json.dumps({**marker, "step": 1}))
                rows = [{"system": run, "step": 2, "path": ""}, {"system": f"{run}--1", "step": 1, "path": ""}]
                self._write(CHECKPOINTS, {"run": run}, rows, mark)

        return Worker(settings)


def test_the_demo_scores_the_checkpoint_that_val_prefers_and_it_alone_on_test(instance):
    assert run_demo(instance, TwoCheckpoints()).success
    evaluated = {tuple(reversed(key.split("|"))) for key in partitions(instance, "sample_scores")}
    on_val = {(name, "synthetic-val") for name in (BASE, RUN, f"{RUN}--1")}
    assert evaluated == on_val | {(BASE, "synthetic-test"), (f"{RUN}--1", "synthetic-test")}


def test_every_known_dataset_is_offered_as_partitions(instance, tmp_path: Path):
    look = functools.partial(known_datasets, dg.build_sensor_context(instance=instance), worker=WorkerLauncher())
    (request,) = look().dynamic_partitions_requests
    assert {"risbench-train", "rrsis-d-test", "earthreason-val", "synthetic-test"} <= set(request.partition_keys)
    instance.add_dynamic_partitions("dataset_split", request.partition_keys)
    assert look().skip_reason
    (tmp_path / "datasets.json").write_text(json.dumps({"mine": str(EARTHREASON)}))
    (request,) = look().dynamic_partitions_requests
    assert request.partition_keys == ["mine-train", "mine-val", "mine-test"]


def test_a_benchmarks_split_is_read_with_its_checks_and_its_contact_sheet(instance):
    key = "risbench-train"
    instance.add_dynamic_partitions("dataset_split", [key])
    done = dg.materialize(
        [datasets.read_split],
        instance=instance,
        partition_key=key,
        resources={"worker": StandInLauncher()},
        run_config={"ops": {"read_split": {"config": {"root": str(RISBENCH.parent)}}}},
    )
    assert done.success
    found = {
        (evaluation.asset_key.to_user_string(), evaluation.check_name): evaluation
        for evaluation in done.get_asset_check_evaluations()
    }
    published = found["samples", "as_many_as_published"]
    assert not published.passed
    assert (published.metadata["samples"].value, published.metadata["published"].value) == (19, 26_300)
    assert published.severity == dg.AssetCheckSeverity.WARN
    for name in ("ids_are_unique", "masks_decode", "masks_fit_their_images", "questions_have_words"):
        assert found["samples", name].passed
    assert found["images", "not_in_train_and_test"].passed
    for asset in ("images", "samples"):
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        assert event.asset_materialization.metadata["preview"].value.startswith("![")


def test_a_benchmark_that_nobody_named_says_how_to_name_it(instance):
    instance.add_dynamic_partitions("dataset_split", ["risbench-val"])
    with pytest.raises(InputError, match="T2S_RISBENCH_ROOT"):
        dg.materialize(
            [datasets.read_split],
            instance=instance,
            partition_key="risbench-val",
            resources={"worker": StandInLauncher()},
        )
