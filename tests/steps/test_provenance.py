"""A measured value stands beside a published one only if the run has the settings of that row.

Each test starts from a run that is the paper's 3B row in everything (with made-up scores), and changes one thing.
"""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from t2s_pipeline.core.embedded import EMBEDDED_SEGMENTER, EMBEDDED_SEGMENTERS
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import EXPERIMENTS, RELEASED, ZERO_SHOT, experiment
from t2s_pipeline.steps import provenance
from t2s_pipeline.steps.model_identity import recorded_segmenter
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scores import Summarize

NAME, VAL = "think2seg-rs-3b", {"dataset": "earthreason", "split": "val"}
STEPS = 2963
"""2,371 training samples, 5 passes, 4 prompts per step."""
SAMPLES = 4


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An empty T2S_HOME. A split is said to have four published samples, so that a test can score all of them."""
    monkeypatch.setattr(provenance, "published_samples", lambda dataset, split: SAMPLES)
    return Settings(tmp_path, tmp_path / "python")


def write(settings: Settings, table: Table, rows: list[dict], **partition: str) -> None:
    write_partition(settings.lake, table, partition, pa.Table.from_pylist(rows, schema=table.schema))


def scored(settings: Settings, system: str, samples: int = SAMPLES) -> None:
    """Scores of a system on EarthReason's val split: every IoU is 0.5."""
    rows = [
        {"sample_id": f"s{i}", "image_id": f"i{i}", "question_index": 0, "intersection": 1, "union": 2, "iou": 0.5}
        | {"hit": False, "gt_empty": False, "pred_empty": False, "status": "ok"}
        for i in range(samples)
    ]
    write(settings, schema.SAMPLE_SCORES, rows, system=system, protocol="strict", **VAL)


def trained(settings: Settings, used: Experiment, steps: int = STEPS, finished: bool = True, **answered: Any) -> str:
    """A run with these settings, its one checkpoint, and scores of the checkpoint; returns the system's name."""
    system = used.run if finished else f"{used.run}--{steps}"
    row = {"system": system, "experiment": used.name, "step": steps, "sha256": "trained"}
    row |= {"settings": json.dumps(used.as_json())}
    write(settings, schema.CHECKPOINTS, [row], run=used.run)
    answers(settings, system, used, **{"prompter": "folder checkpoint-2963", "prompter_sha256": "trained", **answered})
    scored(settings, system)
    return system


def answers(settings: Settings, system: str, used: Experiment, **changed: Any) -> None:
    recorded = {
        "recipe": asdict(used.recipe),
        "generation": asdict(used.generation),
        "prompter_sha256": changed.pop("prompter_sha256", "untrained"),
        "template": changed.pop("template", None),
    }
    row = {
        "prompter": used.prompter,
        "segmenter": recorded_segmenter(used.segmenter),
        "prompt_combination": used.recipe.combination,
        "settings": json.dumps(recorded),
    }
    write(settings, schema.ANSWER_SETTINGS, [row | changed], system=system, **VAL)


def metrics(settings: Settings) -> dict[str, dict]:
    Runner(settings, lambda _: None, lambda _: None).run(Summarize())
    return {row["system"]: row for row in read_partition(settings.lake, schema.BENCHMARK_METRICS, {}).to_pylist()}


def differs(settings: Settings, used: Experiment, **others) -> str:
    system = trained(settings, used, **others)
    return metrics(settings)[system]["differs"]


def test_the_run_of_the_paper_stands_beside_the_paper_whatever_its_seed_and_its_machines(settings: Settings):
    machines = ("seed=3", "compute.processes=4", "compute.zero=3", "grpo.completions_per_pass=4", "watch.window=5")
    assert differs(settings, experiment(NAME)) == ""
    assert differs(settings, experiment(NAME, machines)) == ""


def test_steps_count_however_they_are_stated(settings: Settings):
    assert differs(settings, experiment(NAME, (f"grpo.steps={STEPS}",))) == ""
    assert differs(settings, experiment(NAME), steps=3) == "3 steps instead of 2,963"


def test_a_run_that_is_not_finished_is_not_the_row(settings: Settings):
    assert "the run is not finished" in differs(settings, experiment(NAME), steps=100, finished=False)


@pytest.mark.parametrize(
    ("setting", "phrase"),
    [
        ("segmenter=sam2-mini", "segmenter sam2-mini instead of sam2.1-small"),
        ("prompter=qwen2.5-vl-mini", "prompter qwen2.5-vl-mini instead of Qwen/Qwen2.5-VL-3B-Instruct"),
        ("prompter=Qwen/Qwen2.5-VL-7B-Instruct", "prompter Qwen/Qwen2.5-VL-7B-Instruct instead of"),
        ("recipe.combination=bbox", "recipe.combination bbox instead of bbox+pos2"),
        ("dataset=synthetic", "dataset synthetic instead of earthreason"),
        ("grpo.lora_rank=16", "grpo.lora_rank 16 instead of 0"),
        ("grpo.learning_rate=1e-4", "grpo.learning_rate 0.0001 instead of 1e-06"),
        ("recipe.inference.multimask=true", "recipe.inference.multimask True instead of False"),
    ],
)
def test_one_other_setting_is_named_and_keeps_it_from_the_row(settings: Settings, setting: str, phrase: str):
    assert phrase in differs(settings, experiment(NAME, (setting,)))


def test_another_name_of_the_same_models_is_the_same(settings: Settings):
    assert (
        differs(settings, experiment(NAME, ("prompter=qwen2.5-vl-3b", "segmenter=facebook/sam2.1-hiera-small"))) == ""
    )


def test_a_file_counts_by_its_content_and_a_folder_is_no_published_model(settings: Settings, tmp_path: Path):
    other = differs(settings, experiment(NAME, (f"segmenter=sam2.1-small@{EMBEDDED_SEGMENTERS[EMBEDDED_SEGMENTER]}",)))
    assert re.search(r"segmenter sam2\.1-small-[0-9a-f]{8} instead of sam2\.1-small", other)
    folder = tmp_path / "qwen2.5-vl-3b"
    folder.mkdir()
    phrase = differs(settings, experiment(NAME, (f"prompter={folder}",)))
    assert phrase == "prompter folder qwen2.5-vl-3b instead of Qwen/Qwen2.5-VL-3B-Instruct"


def test_the_settings_of_the_evaluation_count_too(settings: Settings):
    assert "answered with the segmenter sam2-mini" in differs(settings, experiment(NAME), segmenter="sam2-mini")
    assert "other weights" in differs(settings, experiment(NAME), prompter_sha256="others")
    assert "asked with another instruction" in differs(settings, experiment(NAME), template={"user": "{Question}"})
    hot = experiment(NAME, ("generation.temperature=1.0",))
    assert differs(settings, hot) == "generation.temperature 1.0 instead of 0.0"


def test_what_is_not_recorded_is_not_assumed(settings: Settings):
    scored(settings, NAME)
    assert metrics(settings)[NAME]["differs"] == provenance.NOT_RECORDED


def test_part_of_the_samples_is_not_the_split(settings: Settings):
    system = trained(settings, experiment(NAME))
    scored(settings, system, samples=3)
    assert metrics(settings)[system]["differs"] == "3 samples instead of 4"


def test_an_untrained_system_is_compared_by_what_it_answered_with(settings: Settings):
    name = "zero-shot-qwen2.5-vl-3b"
    scored(settings, name)
    assert metrics(settings)[name]["differs"] == provenance.NOT_RECORDED
    answers(settings, name, ZERO_SHOT[name])
    assert metrics(settings)[name]["differs"] == ""
    answers(settings, name, ZERO_SHOT[name], prompter="folder Qwen2.5-VL-3B-Instruct")
    assert "prompter folder Qwen2.5-VL-3B-Instruct instead of" in metrics(settings)[name]["differs"]


def test_released_weights_are_the_row_if_they_are_asked_as_they_were_trained(settings: Settings):
    name = f"released-{NAME}"
    scored(settings, name)
    answers(settings, name, RELEASED[name])
    assert "(--template)" in metrics(settings)[name]["differs"]
    answers(settings, name, RELEASED[name], template={"user": "{Question}"})
    assert metrics(settings)[name]["differs"] == ""
    scored(settings, "released-seg-zero-7b")
    assert metrics(settings)["released-seg-zero-7b"]["differs"] is None


def test_a_name_that_stands_for_other_weights_here_is_another_model(settings: Settings, monkeypatch):
    """In ``models.toml``, the names of the published models can stand for a lab's own weights."""
    models, weights = settings.home / "models.toml", EMBEDDED_SEGMENTERS[EMBEDDED_SEGMENTER]
    models.write_text(
        '[prompters."qwen2.5-vl-3b"]\npath = "a"\nidentity = "qwen2.5-vl-3b-01234567"\n'
        f'[segmenters."sam2.1-small"]\npath = "{weights}"\nidentity = "sam2.1-small-89abcdef"\n'
    )
    monkeypatch.setenv("T2S_MODELS", str(models))
    used = experiment(NAME, ("prompter=qwen2.5-vl-3b-01234567", "segmenter=sam2.1-small-89abcdef"))
    phrases = differs(settings, used)
    assert "prompter qwen2.5-vl-3b-01234567 instead of Qwen/Qwen2.5-VL-3B-Instruct" in phrases
    assert "segmenter sam2.1-small-89abcdef instead of sam2.1-small" in phrases
    # Its own base is the untrained system that has the same weights here.
    assert metrics(settings)[NAME]["base"] == "zero-shot-qwen2.5-vl-3b"
    monkeypatch.setenv("T2S_MODELS", str(settings.home / "none"))
    assert metrics(settings)[NAME]["base"] is None


def test_masks_of_another_project_stand_beside_the_row_of_its_name(settings: Settings):
    scored(settings, "lisa")
    scored(settings, "nobody")
    rows = metrics(settings)
    assert (rows["lisa"]["differs"], rows["nobody"]["differs"]) == ("", None)
    answers(settings, "lisa", experiment(NAME))
    assert metrics(settings)["lisa"]["differs"] == "its texts were segmented here with sam2.1-small"


def test_a_run_is_compared_with_the_untrained_prompter_that_it_started_from(settings: Settings):
    trained(settings, experiment(NAME))
    trained(settings, experiment("think2seg-rs-7b"))
    trained(settings, experiment("seg-zero"))
    trained(settings, experiment("think2seg-mini"))
    scored(settings, "zero-shot-mini")
    bases = {name: row["base"] for name, row in metrics(settings).items()}
    assert bases == {
        NAME: "zero-shot-qwen2.5-vl-3b",
        "think2seg-rs-7b": "zero-shot-qwen2.5-vl-7b",
        # The untrained 7B answers through another segmenter.
        "seg-zero": None,
        "think2seg-mini": "zero-shot-mini",
        "zero-shot-mini": None,
    }


def test_every_published_row_that_can_be_run_here_is_an_experiment_or_an_untrained_system():
    others = {row["measured_as"] for row in published_metrics().to_pylist()} - {*EXPERIMENTS, *ZERO_SHOT}
    assert others == {"lisa", "pixellm", "psalm", "segearth-r1"}


def test_a_toy_run_is_never_shown_as_the_row_of_the_paper(settings: Settings):
    """Three steps with another segmenter, under the name of the paper's row."""
    pytest.importorskip("duckdb")
    from t2s_pipeline.lake.views import query

    toy = experiment(NAME, ("grpo.steps=3", "segmenter=sam2-mini", "prompter=qwen2.5-vl-mini"))
    trained(settings, toy, steps=3)
    metrics(settings)
    for view in ("table1_earthreason", "table4_prompters", "table5_segmenters", "table6_prompt_combinations"):
        rows = query(settings, f"FROM {view} WHERE split = 'val' AND metric = 'giou'").to_pylist()
        beside = [row for row in rows if row["published"] is not None]
        assert beside and {row["measured"] for row in beside} == {None}, view
        (own,) = [row for row in rows if row["measured"] is not None]
        assert (own["system"], own["measured"], own["difference"]) == (NAME, 50.0, None)
        assert (own["prompter"], own["segmenter"]) == ("folder checkpoint-2963", "sam2-mini")
        for phrase in (f"not the published {NAME}", "segmenter sam2-mini instead of sam2.1-small", "3 steps instead"):
            assert phrase in own["note"], view
    # The run of the paper's own settings, with another seed, does stand there.
    trained(settings, experiment(f"{NAME}-seed1"))
    metrics(settings)
    rows = query(settings, "FROM table1_earthreason WHERE split = 'val' AND metric = 'giou'").to_pylist()
    assert [(row["published"], row["measured"]) for row in rows if row["measured"] is not None] == [
        (69.3, 50.0),
        (None, 50.0),
    ]
