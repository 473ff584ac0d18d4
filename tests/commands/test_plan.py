"""`t2s plan`: what a training takes and what is missing for it, for people and for programs."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.lake.schema import SAMPLES, TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import write_partition  # noqa: E402
from tests.commands.test_cli import message_of, t2s  # noqa: E402


def rows_of(text: str) -> dict[str, str]:
    """The lines of a plan by their label, which is padded to the width of the longest one."""
    return {label: rest.strip() for label, _, rest in (line.partition("  ") for line in text.splitlines()) if rest}


def test_the_plan_of_a_published_training_names_what_is_missing(tmp_path: Path):
    done = t2s(tmp_path, "plan", "think2seg-rs-3b")
    rows = rows_of(done.stdout)
    assert done.returncode == 1 and done.stderr == ""
    # 5 passes over 2371 samples, 4 prompts per step: 2963.75 steps.
    assert rows["data"] == "earthreason-train, 2371 samples (as published; not in the lake)"
    assert rows["steps"] == f"2963, {2963 * 64} completions (5 passes)"
    assert "missing: The training split of earthreason is not in the lake.\n" in done.stdout
    assert "  → t2s ingest earthreason --root FOLDER\n" in done.stdout


def test_a_plan_that_fits_no_gpu_says_so(tmp_path: Path):
    rows = rows_of(t2s(tmp_path, "plan", "think2seg-rs-7b", "--set", "grpo.group_size=64").stdout)
    assert rows["fits on"] == "no GPU in our list: see the presets"
    assert not [label for label in rows if label.startswith("on ")]


def test_a_plan_of_unknown_models_and_data_leaves_out_what_it_cannot_know(tmp_path: Path):
    changes = ("--set", "prompter=someone/unknown", "--set", "dataset=roads")
    done = t2s(tmp_path, "plan", "think2seg-rs-3b", *changes)
    rows = rows_of(done.stdout)
    assert rows["data"] == "roads-train, not in the lake" and rows["steps"] == "5 passes over the data"
    assert not {"memory per GPU", "per checkpoint", "fits on"} & set(rows)
    plan = json.loads(t2s(tmp_path, "plan", "think2seg-rs-3b", *changes, "--json").stdout)
    assert plan["memory"] is plan["steps"] is plan["samples"] is None and not plan["can_run"]


def test_a_plan_in_json_has_its_peak_of_memory(tmp_path: Path):
    plan = json.loads(t2s(tmp_path, "plan", "think2seg-rs-3b", "--json").stdout)
    memory = plan["memory"]
    assert memory["peak"] == pytest.approx(98.18, abs=0.01) and memory["peak"] > memory["weights"]
    assert (plan["samples"], plan["counted"], plan["steps"]) == (2371, False, 2963)


def test_a_plan_knows_the_lake_and_the_last_run(tmp_path: Path):
    samples = pa.Table.from_pylist(
        [{"sample_id": f"s{number}", "questions": ["Where?"]} for number in range(7)], schema=SAMPLES.schema
    )
    write_partition(tmp_path / "lake", SAMPLES, {"dataset": "synthetic", "split": "train"}, samples)
    log = [{"step": 1, "seconds": 3.0, "peak_mb": 1200.0}, {"step": 2, "seconds": 5.0, "peak_mb": 1500.0}]
    run = {"run": "think2seg-mini"}
    write_partition(tmp_path / "lake", TRAINING_LOG, run, pa.Table.from_pylist(log, schema=TRAINING_LOG.schema), "a")
    rows = rows_of(t2s(tmp_path, "plan", "think2seg-mini").stdout)
    assert rows["data"] == "synthetic-train, 7 samples" and rows["steps"] == "60, 3840 completions"
    assert rows["measured here"] == "4.00 s per step, 1.5 GB at most"


def test_one_experiment_at_a_time(tmp_path: Path):
    words = "t2s plan shows one experiment at a time, not think2seg-mini and seg-zero-mini."
    assert message_of(t2s(tmp_path, "plan", "think2seg-mini", "seg-zero-mini")) == words


def test_the_costs_of_an_evaluation_need_a_system_and_samples(tmp_path: Path):
    assert message_of(t2s(tmp_path, "plan", "evaluate")).startswith("Name at least one system")
    words = "synthetic-test is not in the lake, and its size is not known: `t2s ingest synthetic` first."
    assert message_of(t2s(tmp_path, "plan", "evaluate", "zero-shot-mini")) == words


def test_a_training_of_another_name_is_refused(tmp_path: Path):
    words = "These settings are of the run other. Use its name: t2s train other"
    assert message_of(t2s(tmp_path, "train", "think2seg-mini", "--set", "name=other")) == words


def test_the_settings_of_an_experiment_are_shown_as_they_are_set(tmp_path: Path):
    shown = t2s(tmp_path, "experiments", "seg-zero-mini").stdout.splitlines()
    assert {"name=seg-zero-mini", "grpo.steps=50", "recipe.inference.negatives=0"} <= set(shown)
    one = json.loads(t2s(tmp_path, "experiments", "seg-zero-mini", "--json").stdout)
    assert [item["name"] for item in one] == ["seg-zero-mini"] and one[0]["grpo"]["steps"] == 50
    assert shown[-1] == f"fingerprint of what is learned: {one[0]['fingerprint'][:12]}"
    listed = json.loads(t2s(tmp_path, "experiments", "--json").stdout)
    assert "think2seg-rs-3b" in {item["name"] for item in listed} and one[0] in listed
