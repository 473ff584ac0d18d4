"""A training's newest step is an observation that the UI plots; experiments and seeds are offered as partitions."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

dg = pytest.importorskip("dagster")

from assets.abandoned_runs import close_abandoned  # noqa: E402
from assets.curves import newest, observed  # noqa: E402
from assets.partitions import known_runs  # noqa: E402
from assets.resources import WorkerLauncher  # noqa: E402
from jobs.housekeeping import trainings  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.methods.experiments import EXPERIMENTS  # noqa: E402
from t2s_pipeline.training.log import TrainingLog  # noqa: E402
from t2s_pipeline.worker.process_ids import PROCESS, is_gone, tags_of_this_process  # noqa: E402
from tests.training.test_run_folder import RECORD  # noqa: E402

pytestmark = pytest.mark.orchestrator

RUN = "think2seg-mini"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    return Settings(tmp_path, tmp_path / "python")


def log(settings: Settings, *steps: int) -> None:
    rows = TrainingLog(settings.lake, RUN)
    for step in steps:
        rows.append(replace(RECORD, step=step, reward=step / 10, warnings=["few_valid"] if step > 1 else []))
    rows.flush()


def test_the_newest_step_is_observed_with_its_numbers_and_its_picture(settings: Settings):
    assert newest(settings, RUN) is None
    log(settings, 1, 2)
    pictures = settings.runs / RUN / "samples"
    pictures.mkdir(parents=True)
    for step, colour in ((1, "red"), (2, "green")):
        Image.new("RGB", (8, 8), colour).save(pictures / f"step-{step:06d}.jpg")
    found = newest(settings, RUN)
    assert found.partition == RUN
    told = {name: value.value for name, value in found.metadata.items()}
    assert (told["step"], told["reward"], told["reward format"], told["update_seconds"]) == (2, 0.2, 0.9, 1.2)
    assert told["warnings"] == "few_valid"
    assert told["sample completions"].startswith("![step-000002")


def test_observations_are_reported_while_a_training_goes_on(settings: Settings):
    log(settings, 1)
    key = dg.AssetKey("training_log")
    with dg.DagsterInstance.ephemeral() as instance:
        with observed(instance, settings, RUN, every=0.001):
            while not (seen := instance.fetch_observations(key, limit=5).records):
                pass
        assert seen[0].partition_key == RUN


def test_experiments_are_offered_and_a_seed_that_was_trained_is_too(settings: Settings):
    for name in (f"{RUN}-seed3", "somebody-elses", ".replaced"):
        (settings.runs / name).mkdir(parents=True)
    assert known_runs(settings) == [*EXPERIMENTS, f"{RUN}-seed3"]
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("training_run", [RUN])
        context = dg.build_sensor_context(instance, resources={"worker": WorkerLauncher()})
        (request,) = trainings(context).dynamic_partitions_requests
        assert f"{RUN}-seed3" in request.partition_keys and RUN not in request.partition_keys
        instance.add_dynamic_partitions("training_run", list(request.partition_keys))
        assert isinstance(trainings(context), dg.SkipReason)


def test_only_a_run_whose_process_is_gone_is_closed():
    tags = tags_of_this_process()
    assert not is_gone(tags[PROCESS])
    # The same number with another start is another process.
    dead = {**tags, PROCESS: tags[PROCESS].partition("@")[0] + "@1"}
    assert is_gone(dead[PROCESS])

    @dg.op
    def wait() -> None: ...

    @dg.job
    def waiting() -> None:
        wait()

    with dg.DagsterInstance.ephemeral() as instance:
        status = dg.DagsterRunStatus.STARTED
        lives, died = (instance.create_run_for_job(waiting, tags=each, status=status) for each in (tags, dead))
        assert close_abandoned(instance) == 1
        assert instance.get_run_by_id(died.run_id).status == dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(lives.run_id).status == dg.DagsterRunStatus.STARTED
