"""The watched folder: what counts as a complete checkpoint, under which name, and why anything else does not."""

import json
import re
import shutil
from pathlib import Path

import pytest

from t2s_pipeline.core import arrival
from t2s_pipeline.core.errors import InputError, NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.experiments import EXPERIMENTS
from t2s_pipeline.methods.system import System
from t2s_pipeline.systems.candidates import candidates
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.systems.watched_folder import find, look
from tests.systems.checkpoint_folders import MINI, put


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 0.0)
    return Settings(tmp_path, tmp_path / "python")


def names(settings: Settings) -> list[str]:
    return [checkpoint.system for checkpoint in look(settings)[0]]


def test_a_copied_checkpoint_of_ours_is_a_system_with_its_own_settings(settings):
    folder = put(settings.watched / "theirs", marker=True)
    (found,) = look(settings)[0]
    assert (found.system, found.run, found.step, found.fingerprint) == ("theirs", "theirs", 20, "abc")
    answering = resolve("theirs", settings)
    assert (answering.prompter, answering.segmenter, answering.recipe) == (str(folder), "sam2-mini", MINI.recipe)


def test_a_run_s_checkpoints_are_named_by_step_and_its_last_by_the_run(settings):
    for step in (20, 60):
        put(settings.watched / "theirs" / f"checkpoint-{step}", marker=True, at=step)
    assert names(settings) == ["theirs--20", "theirs"]
    assert find(settings, "theirs--20").step == 20


def test_weights_of_another_project_say_as_what_they_answer(settings):
    put(settings.watched / "authors-3b", experiment="think2seg-rs-3b", step=400)
    (found,) = look(settings)[0]
    assert (found.system, found.step, found.experiment.name) == ("authors-3b", 400, "think2seg-rs-3b")
    assert resolve("authors-3b", settings).recipe == EXPERIMENTS["think2seg-rs-3b"].recipe


def test_weights_are_asked_with_the_template_that_they_name(settings):
    folder = put(settings.watched / "authors-3b", experiment="think2seg-rs-3b", template="theirs.toml")
    assert "theirs.toml cannot be read" in str(look(settings)[1][0])
    (folder / "theirs.toml").write_text('system = "You see."\nuser = "Find {Question}"')
    asked = resolve("authors-3b", settings)
    assert (asked.template.system, asked.template.user) == ("You see.", "Find {Question}")
    assert System.from_json(json.loads(json.dumps(asked.as_json()))) == asked
    (folder / "evaluate.json").write_text(json.dumps({"experiment": "think2seg-rs-3b", "template": 3}))
    assert "template 3 is no name of a file" in str(look(settings)[1][0])


def test_the_mark_stays_while_the_files_do_and_changes_with_them(settings):
    folder = put(settings.watched / "authors-3b", experiment="think2seg-rs-3b")
    first = look(settings)[0][0].fingerprint
    assert look(settings)[0][0].fingerprint == first
    (folder / "evaluate.json").write_text(json.dumps({"experiment": "think2seg-rs-7b"}))
    assert look(settings)[0][0].fingerprint != first


def export(folder: Path, **changed) -> Path:
    """A folder as ``t2s export`` writes it: its own settings beside the weights, and no marker."""
    put(folder)
    (folder / "experiment.json").write_text(json.dumps(MINI.with_overrides(["recipe.combination=bbox"]).as_json()))
    (folder / "evaluate.json").write_text(json.dumps({"step": 60, **changed}))
    return folder


def test_an_export_answers_with_its_own_settings(settings):
    export(settings.watched / "ours")
    (checkpoint,) = look(settings)[0]
    assert (checkpoint.system, checkpoint.step, checkpoint.experiment.combination) == ("ours", 60, "bbox")
    assert resolve("ours", settings).recipe.combination == "bbox"


def test_keys_of_evaluate_json_change_how_a_checkpoint_answers(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("T2S_HOME", str(tmp_path))
    folder = export(settings.watched / "ours", segmenter="sam.safetensors", generation={"max_new_tokens": 7})
    (folder / "sam.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (checkpoint,), unusable = look(settings)
    assert unusable == [] and checkpoint.experiment.generation.max_new_tokens == 7
    put(
        settings.watched / "theirs",
        experiment="think2seg-rs-3b",
        segmenter="sam2-mini",
        recipe={"coordinates": "native"},
    )
    answering = resolve("theirs", settings)
    assert (answering.segmenter, answering.recipe.coordinates) == ("sam2-mini", "native")
    assert resolve("theirs", settings, ["generation.batch_size=3"]).generation.batch_size == 3


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"grpo": {"steps": 3}}, "'grpo.steps' does not change how a system answers"),
        ({"segmentor": "sam2-mini"}, "'segmentor' does not change how a system answers"),
        ({"generation": {"beams": 3}}, "no setting 'generation.beams'"),
        ({"segmenter": "/nowhere/sam2.1_hiera_small.pt"}, "is not at /nowhere/sam2.1_hiera_small.pt"),
        ({"segmenter": "nothing"}, "no segmenter 'nothing'"),
        ({"step": "last"}, "step 'last' is no whole number"),
    ],
)
def test_a_key_that_cannot_be_is_told(settings, key, message):
    put(settings.watched / "theirs", **{"experiment": "think2seg-rs-3b", **key})
    usable, unusable = candidates(settings)
    assert usable == [] and message in unusable[0].reason
    with pytest.raises(InputError, match=re.escape(message)):
        resolve("theirs", settings)


def test_a_trained_system_keeps_its_weights(settings):
    put(settings.watched / "theirs", marker=True)
    with pytest.raises(InputError, match="answers with its own weights"):
        resolve("theirs", settings, ["prompter=qwen2.5-vl-mini"])


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def remove_shard(folder: Path) -> None:
    index = {"weight_map": {"w": "model.safetensors", "v": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "model.safetensors is not whole"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"{}"), "is not whole"),
        (lambda folder: (folder / "config.json").unlink(), "holds no model"),
        (lambda folder: (folder / "evaluate.json").unlink(), "say as which experiment"),
        (lambda folder: (folder / "evaluate.json").write_text("{"), "is not JSON"),
        (lambda folder: (folder / "evaluate.json").write_text("[]"), "holds a list and no object"),
        (
            lambda folder: (folder / "tokenizer.json").unlink(),
            "tokenizer.json is missing, or tokenizer.model, or vocab",
        ),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json is missing, or proc"),
        (remove_shard, "1 of its files are missing, the first: model-00002-of-00002.safetensors"),
    ],
)
def test_an_unfinished_or_unexplained_folder_is_told_and_left_alone(settings, spoil, reason):
    spoil(put(settings.watched / "authors-3b", experiment="think2seg-rs-3b"))
    found, unusable = look(settings)
    assert found == [] and len(unusable) == 1
    assert reason in unusable[0].reason
    # Who asks for the system is told the same reason.
    with pytest.raises(InputError, match=f"no system 'authors-3b', although there is a folder.*{re.escape(reason)}"):
        resolve("authors-3b", settings)


def test_a_step_that_is_not_there_is_told_with_the_steps_that_are(settings):
    put(settings.watched / "theirs" / "checkpoint-20", marker=True)
    for name in ("theirs", "theirs--30"):
        with pytest.raises(InputError, match=rf"no system '{name}', although .*it holds theirs--20"):
            resolve(name, settings)
    put(settings.runs / "mine" / "checkpoint-20", marker=True)
    with pytest.raises(NotMaterializedError, match="checkpoints of the steps 20, not of 30"):
        resolve("mine--30", settings)
    (settings.runs / "begun").mkdir()
    with pytest.raises(InputError, match="begun has no complete checkpoint"):
        resolve("begun", settings)
    put(settings.watched / "Their Model", marker=True)
    with pytest.raises(InputError, match="rename it"):
        resolve("Their Model", settings)
    for name in ("../runs/mine", "nothing", ""):
        with pytest.raises(InputError, match=r"There is no system .*See t2s experiments"):
            resolve(name, settings)


def test_a_folder_that_is_still_being_written_waits(settings, monkeypatch):
    put(settings.watched / "theirs", marker=True)
    monkeypatch.setattr(arrival, "QUIET_SECONDS", 3600.0)
    found, unusable = look(settings)
    assert found == [] and "a moment ago" in unusable[0].reason


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("tokenizer.json",), ("tokenizer.model",)),
        (("tokenizer.json",), ("vocab.json", "merges.txt")),
        (("preprocessor_config.json",), ("processor_config.json",)),
    ],
)
def test_other_files_of_a_tokenizer_or_a_processor_do_as_well(settings, old, new):
    folder = put(settings.watched / "authors-3b", experiment="think2seg-rs-3b")
    for name in old:
        (folder / name).unlink()
    for name in new[:-1]:
        (folder / name).write_text("{}")
        assert names(settings) == []
    (folder / new[-1]).write_text("{}")
    assert names(settings) == ["authors-3b"]


def test_a_final_model_beside_its_checkpoints_is_the_run(settings):
    """The output folder of transformers' Trainer: checkpoint-<step>/ and, after save_model, the model itself."""
    run = settings.watched / "authors-3b"
    for step in (20, 100):
        put(run / f"checkpoint-{step}")
    put(run, experiment="think2seg-rs-3b")
    (run / "training_args.bin").write_bytes(b"")
    usable, unusable = look(settings)
    assert unusable == []
    assert [(one.system, one.step, one.final) for one in usable] == [
        ("authors-3b--20", 20, False),
        ("authors-3b--100", 100, False),
        ("authors-3b", 100, True),
    ]
    (run / "trainer_state.json").write_text('{"global_step": 120}')
    assert find(settings, "authors-3b").step == 120


def test_a_marked_last_checkpoint_gives_way_to_the_final_model_beside_it(settings):
    put(settings.watched / "theirs" / "checkpoint-60", marker=True, at=60)
    put(settings.watched / "theirs", marker=True, at=60)
    assert names(settings) == ["theirs--60", "theirs"]


@pytest.mark.parametrize("left", ["config.json", "model.safetensors", "pytorch_model.bin"])
def test_a_part_of_a_final_model_is_told(settings, left):
    run = settings.watched / "authors-3b"
    put(run / "checkpoint-20", experiment="think2seg-rs-3b")
    (run / left).write_bytes(b"{}")
    usable, unusable = look(settings)
    assert [one.system for one in usable] == ["authors-3b--20"]
    assert [(one.path, one.reason[:19]) for one in unusable] == [(run, "it holds no model: ")]


def test_what_a_trainer_leaves_beside_its_checkpoints_is_no_model(settings):
    run = settings.watched / "authors-3b"
    put(run / "checkpoint-20", experiment="think2seg-rs-3b")
    for name in ("training_args.bin", "README.md", "trainer_state.json", "tokenizer.json", "all_results.json"):
        (run / name).write_text("{}")
    assert look(settings)[1] == [] and names(settings) == ["authors-3b--20"]


def test_names_that_are_ours_or_no_names_are_refused(settings):
    put(settings.watched / "think2seg-mini", marker=True)
    put(settings.watched / "Their Model", marker=True)
    found, unusable = look(settings, reserved=frozenset({"think2seg-mini"}))
    assert found == []
    assert sorted(one.path.name for one in unusable) == ["Their Model", "think2seg-mini"]


def test_an_empty_or_absent_folder_is_nothing(settings):
    assert look(settings) == ([], [])
    put(settings.watched / ".arriving", marker=True)
    assert look(settings) == ([], [])
    shutil.rmtree(settings.watched / ".arriving")
    assert find(settings, "theirs") is None
