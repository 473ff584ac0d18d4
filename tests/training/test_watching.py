"""What a person sees of a run while it trains: sample completions, health, curves."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.worker
pytest.importorskip("torch")

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.lake.schema import SAMPLES, TRAINING_LOG, TRAINING_SAMPLES  # noqa: E402
from t2s_pipeline.lake.store import fingerprint_of, read_partition  # noqa: E402
from t2s_pipeline.methods.compute import Watch  # noqa: E402
from t2s_pipeline.methods.experiments import experiment  # noqa: E402
from t2s_pipeline.training import checkpoints, trackers  # noqa: E402
from t2s_pipeline.training.health import UnhealthyRun  # noqa: E402
from t2s_pipeline.training.run import train  # noqa: E402
from t2s_pipeline.vision import masks  # noqa: E402

SMALL = ("grpo.steps=3", "grpo.prompts_per_step=2", "grpo.group_size=4", "grpo.checkpoint_every=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=8, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    return home


class Hears(NoProgress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def say(self, message: str, warning: bool = False) -> None:
        if warning:
            self.warnings.append(message)


def test_the_best_and_the_worst_of_each_group_are_kept_with_their_pictures(home: Path):
    follower = "watch.report_to=tensorboard" if find_spec("tensorboard") else "watch.report_to="
    settings = [*SMALL, "name=shown", "watch.sample_every=3", "watch.keep_last=2", follower]
    train(experiment("think2seg-mini", settings), home, "f", NoProgress())
    rows = read_partition(home / "lake", TRAINING_SAMPLES, {"run": "shown"}).to_pylist()
    # At the first step and at every third: two prompts, best and worst.
    expected = [(step, rank) for step in (1, 1, 3, 3) for rank in ("best", "worst")]
    assert [(row["step"], row["rank"]) for row in rows] == expected
    log = read_partition(home / "lake", TRAINING_LOG, {"run": "shown"}).to_pylist()
    split = read_partition(home / "lake", SAMPLES, {"dataset": "synthetic", "split": "train"}).to_pylist()
    questions = {row["sample_id"]: row["questions"] for row in split}
    for best, worst in zip(rows[::2], rows[1::2], strict=True):
        assert best["reward"] >= worst["reward"]
        assert best["sample_id"] == worst["sample_id"] and best["question"] in questions[best["sample_id"]]
        assert best["sample_id"] in log[best["step"] - 1]["samples"]
    for row in rows:
        parts = dict(row["reward_parts"])
        assert row["reward"] == pytest.approx(parts["format"] + 2 * parts["mask_iou"])
        assert (row["status"] == "format_error") == (parts["format"] == 0)
        assert (row["mask"] is not None) == (row["status"] == "ok") == bool(row["prompts"])
        if row["mask"] is not None:
            assert masks.decode(masks.Rle.from_arrow(row["mask"])).shape == (168, 168)
        with Image.open(home / row["panel"]) as picture:
            assert picture.format == "JPEG"
    # Two prompts a step from eight samples, in the run's order and none twice within a pass.
    order = [sample for row in log for sample in row["samples"]]
    assert len(order) == 6 == len(set(order))
    assert [found.step for found in checkpoints.complete(home / "runs" / "shown")] == [2, 3]
    if find_spec("tensorboard"):
        assert list((home / "runs" / "shown" / "curves").glob("events.out.tfevents.*"))


def test_the_phases_of_a_step_are_told_apart(home: Path):
    for row in read_partition(home / "lake", TRAINING_LOG, {"run": "shown"}).to_pylist():
        phases = [row[f"{phase}_seconds"] for phase in ("generate", "reward", "update")]
        assert min(phases) > 0 and sum(phases) < row["seconds"]
        tokens = row["completion_tokens"] * 8
        assert row["tokens_per_second"] == pytest.approx(tokens / row["seconds"])
        assert row["longest_completion"] >= row["completion_tokens"] and row["entropy"] > 0


def test_a_broken_rule_warns_once_and_stops_the_run_only_if_asked(home: Path):
    # Nothing can be that valid.
    ill = [*SMALL, "watch.window=1", "watch.min_valid_share=1.1"]
    heard = Hears()
    train(experiment("think2seg-mini", [*ill, "name=warned"]), home, "f", heard)
    assert len(heard.warnings) == 1 and "(few_valid)" in heard.warnings[0]
    log = read_partition(home / "lake", TRAINING_LOG, {"run": "warned"}).to_pylist()
    assert [row["warnings"] for row in log] == [["few_valid"]] * 3
    with pytest.raises(UnhealthyRun, match="stopped at step 1 by its health rules"):
        train(experiment("think2seg-mini", [*ill, "name=ended", "watch.stop=true"]), home, "f", heard)
    log = read_partition(home / "lake", TRAINING_LOG, {"run": "ended"}).to_pylist()
    assert [row["step"] for row in log] == [1]
    assert fingerprint_of(home / "lake", TRAINING_LOG, {"run": "ended"}) == ""


def test_a_package_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("t2s_pipeline.training.arguments.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"watch.report_to=wandb needs the package wandb"):
        trackers.trackers(Watch(report_to="wandb"), "run", tmp_path)
    assert trackers.trackers(Watch(), "run", tmp_path) == []
