"""`t2s plan`: what a training takes and what is missing for it, for people and for programs."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.commands import train as train_command  # noqa: E402
from t2s_pipeline.lake.schema import SAMPLES, TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import write_partition  # noqa: E402
from t2s_pipeline.steps.training import Train  # noqa: E402
from t2s_pipeline.worker import launcher  # noqa: E402
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


def test_another_machine_joins_a_training_and_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    started: list[list[str]] = []
    monkeypatch.setenv("T2S_WORKER_PYTHON", sys.executable)
    monkeypatch.setattr(launcher, "plain_launch", lambda settings: started.append)
    several = ("--nnodes", 2, "--node-rank", 1, "--rendezvous", "first:29500")
    for anew in ((), ("--fresh",)):
        done = t2s(tmp_path, "train", "think2seg-mini", "--set", "grpo.steps=3", *several, *anew)
        assert done.returncode == 0, done
    settings = ["--set", "grpo.steps=3", "--set", "compute.nodes=2"]
    place = ["--node-rank", "1", "--rendezvous", "first:29500", "--home", str(tmp_path)]
    command = ["train", "--experiment", "think2seg-mini", *settings]
    assert started == [[*command, *place], [*command, "--fresh", *place]]


@pytest.mark.parametrize(("answer", "begins_anew"), [("y\n", True), ("\n", False)])
def test_a_person_at_a_terminal_is_asked_about_a_run_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, begins_anew: bool
):
    """Without a terminal, nobody is asked, and the earlier run is kept."""
    executed: list[dict[str, object]] = []
    asked: list[str] = []

    def execute(program: str, command: list[str], environment: dict[str, str]) -> None:
        executed.append(json.loads(command[-1]))

    def confirm(text: str, default: bool) -> bool:
        asked.append(text)
        return answer.startswith("y")

    monkeypatch.setenv("T2S_WORKER_PYTHON", sys.executable)
    monkeypatch.setattr(train_command.os, "execve", execute)
    monkeypatch.setattr(train_command.os, "chdir", lambda path: None)
    monkeypatch.setattr(train_command.typer, "confirm", confirm)
    monkeypatch.setattr(Train, "other_settings", lambda step, runner: ["grpo.beta was 0.001, and is now 0.1"])
    changed = ("train", "think2seg-mini", "--set", "grpo.beta=0.1")
    t2s(tmp_path, *changed)
    assert asked == [] and executed.pop()["fresh"] is False
    screen = SimpleNamespace(isatty=lambda: True, flush=lambda: None)
    monkeypatch.setattr(train_command, "sys", SimpleNamespace(stdin=screen, stdout=screen, executable=sys.executable))
    done = t2s(tmp_path, *changed)
    assert done.stdout == "There is a run think2seg-mini with other settings: grpo.beta was 0.001, and is now 0.1.\n"
    assert len(asked) == 1 and executed.pop() == {
        "overrides": ["grpo.beta=0.1"],
        "fresh": begins_anew,
        "rendezvous": "",
    }
    monkeypatch.setattr(Train, "other_settings", lambda step, runner: [])
    t2s(tmp_path, *changed)
    assert len(asked) == 1 and executed.pop()["fresh"] is False, "nothing differs, so nothing is asked"
