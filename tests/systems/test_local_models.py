"""Every family by local path, from a folder of weights to scores: untrained, trained, exported and dropped in."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytestmark = [pytest.mark.worker, pytest.mark.slow]

from t2s_pipeline.core import arrival  # noqa: E402
from t2s_pipeline.core.errors import T2SError  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.lake import schema  # noqa: E402
from t2s_pipeline.lake.store import list_partitions, read_partition  # noqa: E402
from t2s_pipeline.steps.evaluation import evaluate  # noqa: E402
from t2s_pipeline.steps.runner import Runner  # noqa: E402
from t2s_pipeline.steps.training import Train  # noqa: E402
from t2s_pipeline.systems.resolve import resolve  # noqa: E402
from t2s_pipeline.training.model_names import register  # noqa: E402
from t2s_pipeline.worker.__main__ import main  # noqa: E402
from tests import tiny_lab  # noqa: E402

SMALL = (
    *("grpo.steps=2", "grpo.prompts_per_step=1", "grpo.group_size=2", "grpo.completions_per_pass=0"),
    *("grpo.max_new_tokens=4", "grpo.precision=float32", "grpo.gradient_checkpointing=false"),
    *("generation.max_new_tokens=4", "generation.batch_size=2", "watch.sample_every=0"),
)
ANSWERING = ("generation.max_new_tokens=4", "generation.batch_size=2")
VAL = ("earthreason", "val")


def launch(arguments: Sequence[str]) -> None:
    """The worker in this process: starting it anew would take most of the test's time."""
    if main([*arguments, "--device", "cpu"]) != 0:
        raise T2SError(f"the worker failed: {' '.join(arguments)}")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    tiny_lab.write_models(folder / "models")
    images = dataset_at("earthreason", tiny_lab.write_images(folder / "EarthReason"))
    for split in ("train", "val", "test"):
        ingest_split(folder / "home" / "lake", images, split)
    return folder


@pytest.fixture
def runner(lab: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setenv("T2S_HOME", str(lab / "home"))
    # The images are encoded once for all families.
    monkeypatch.setenv("T2S_EMBEDDING_CACHE_GB", "2")
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    return Runner(Settings.from_env(), launch, lambda _: None)


def texts(runner: Runner, system: str) -> dict[str, str]:
    rows = read_partition(
        runner.settings.lake, schema.COMPLETIONS, {"system": system, "dataset": VAL[0], "split": VAL[1]}
    )
    return {f"{row['sample_id']} {row['question_index']}": row["text"] for row in rows.to_pylist()}


@pytest.mark.parametrize("family", list(tiny_lab.PROMPTERS))
def test_a_family_goes_the_whole_way_from_a_folder(family: str, lab: Path, runner: Runner):
    models, home = lab / "models", lab / "home"
    name = tiny_lab.EXPERIMENTS[family]
    zero_shot = name.replace("think2seg-rs", "zero-shot").replace("shot-3b", "shot-qwen2.5-vl-3b")
    given = (f"prompter={models / tiny_lab.PROMPTERS[family]}", f"segmenter={models / tiny_lab.SEGMENTER_FILE}")
    untrained = resolve(zero_shot, runner.settings, [*given, *ANSWERING])
    evaluate(runner, untrained, *VAL)

    run = f"{name}-seed1"
    runner.run(Train(run, (*given, *SMALL)))
    assert (
        main(["export", run, str(home / "checkpoints" / f"{family.replace('_', '-')}-copy"), "--dtype", "float32"]) == 0
    )
    dropped = f"{family.replace('_', '-')}-copy"
    for system in (run, dropped):
        evaluate(runner, resolve(system, runner.settings), *VAL)
    # The export is the trained model: in float32 it gives the same answers.
    assert texts(runner, run) == texts(runner, dropped) and len(texts(runner, run)) >= 2

    scored = [row["system"] for row in list_partitions(runner.settings.lake, schema.SAMPLE_SCORES)]
    assert {zero_shot, run, dropped} <= set(scored)
    segmenters = {row["segmenter"] for row in list_partitions(runner.settings.lake, schema.PREDICTIONS)}
    # Random weights are not the published ones, and are not called so.
    assert len(segmenters) == 1 and segmenters.pop().startswith("sam2.1-tiny-")
    row = read_partition(runner.settings.lake, schema.CHECKPOINTS, {"run": run}).to_pylist()[-1]
    card = (home / "checkpoints" / dropped / "README.md").read_text()
    for text in (card, json.dumps(json.loads(row["settings"])), row["base_model"], row["path"]):
        assert str(lab) not in text


def test_names_of_models_toml_are_taken_by_every_command_and_survive_a_move(lab: Path, runner: Runner):
    models = lab / "models"
    register(models / tiny_lab.SEGMENTER_FILE, "sam2.1-small", network="sam2.1-tiny")
    register(models / tiny_lab.PROMPTERS["llava"], "llava-1.5-7b")
    models.rename(lab / "moved")
    try:
        low_rank = (*SMALL, "grpo.lora_rank=2")
        run = "think2seg-rs-llava-1.5-7b-seed2"
        runner.run(Train(run, low_rank))
        folder = lab / "home" / "checkpoints" / "adapters"
        assert main(["export", run, str(folder), "--keep-adapters"]) == 0
        for system in (resolve("zero-shot-llava-1.5-7b", runner.settings, ANSWERING), resolve(run, runner.settings)):
            evaluate(runner, system, *VAL)
        # Adapters name their base, and are evaluated in the watched folder too.
        evaluate(runner, resolve("adapters", runner.settings), *VAL)
        assert texts(runner, run) == texts(runner, "adapters")
        assert "llava" in json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
        assert str(lab) not in (folder / "adapter_config.json").read_text()
    finally:
        (lab / "moved").rename(models)
