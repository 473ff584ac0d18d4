"""An experiment is validated, hashes to one value, and changes only through settings that exist."""

import dataclasses
import itertools

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import EXPERIMENTS, READY, RELEASED, ZERO_SHOT, experiment
from t2s_pipeline.methods.grpo import GRPOSettings
from t2s_pipeline.methods.inference import Inference
from t2s_pipeline.methods.registry import METHODS
from t2s_pipeline.methods.studies import BASES, COMBINATIONS, KINDS
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompters.families import published_model


def test_the_papers_settings_are_the_defaults_of_the_full_size_runs():
    small, large = EXPERIMENTS["think2seg-rs-3b"], EXPERIMENTS["think2seg-rs-7b"]
    for run in (small, large):
        assert (run.grpo.learning_rate, run.grpo.beta, run.grpo.epsilon, run.grpo.temperature) == (1e-6, 1e-3, 0.2, 1.0)
        assert (run.grpo.precision, run.grpo.checkpoint_every, run.combination) == ("bfloat16", 100, "bbox+pos2")
        assert (run.dataset, run.segmenter, run.recipe.reward) == ("earthreason", "sam2.1-small", "paper")
    assert (small.grpo.prompts_per_step, small.grpo.group_size, small.grpo.epochs) == (4, 16, 5)
    assert (large.grpo.prompts_per_step, large.grpo.group_size, large.grpo.epochs) == (8, 12, 8)
    # 2,371 training images, 4 a step, 5 passes: 2,963.75; the unfinished last step is dropped.
    assert small.grpo.total_steps(2371) == 2963


def test_the_miniature_draws_64_completions_a_step():
    assert EXPERIMENTS["think2seg-mini"].grpo.completions_per_step == 64


def test_every_experiment_survives_json():
    for chosen in EXPERIMENTS.values():
        assert Experiment.from_json(chosen.as_json()) == chosen


def test_the_fingerprint_moves_with_what_is_learned_from_and_with_nothing_else():
    base = experiment("think2seg-mini")
    assert base.fingerprint == Experiment.from_json(base.as_json()).fingerprint
    learned = (
        "grpo.learning_rate=3e-5",
        "seed=1",
        "recipe.combination=bbox",
        "compute.processes=2",
        "grpo.lora_rank=8",
    )
    for override in learned:
        assert base.with_overrides([override]).fingerprint != base.fingerprint, override
    # How the result answers, and how the run was saved and watched: no reason to train again.
    for override in ("generation.max_new_tokens=80", "watch.stop=true", "watch.keep_last=2", "grpo.checkpoint_every=5"):
        changed = base.with_overrides([override])
        assert changed != base and changed.fingerprint == base.fingerprint, override


def test_runs_of_release_0_1_are_still_read_and_known_as_finished() -> None:
    """The fingerprint is the one that release 0.1 computed, which called the prompt combination ``schema``."""
    named = experiment("seg-zero-mini")
    stored = named.as_json()
    stored["recipe"]["schema"] = stored["recipe"].pop("combination")
    assert Experiment.from_json(stored) == named
    assert named.fingerprint == "e211326319ab1d2e17ebfa1a624eb40326ffcb75c946129f6979fc96a9fa7352"


def test_runs_of_release_0_2_are_asked_as_they_were_trained() -> None:
    """0.2 had one instruction and one resampling, and its stored settings name neither."""
    for name in ("think2seg-mini", "think2seg-rs-3b"):
        stored = experiment(name).as_json()
        del stored["recipe"]["instruction"], stored["recipe"]["resampling"]
        recipe = Experiment.from_json(stored).recipe
        assert (recipe.instruction, recipe.resampling) == ("short", "bicubic")
        assert experiment(name).combination == recipe.combination
    # Computed by 0.2. The full-size run of that name learns from another text now.
    assert experiment("think2seg-mini").fingerprint.startswith("16aa51e4b12d")
    assert not experiment("think2seg-rs-3b").fingerprint.startswith("8879857fbad4")


FULL_SIZE = {
    # name: prompts, G, epochs, schedule, weight decay, entropy, KL, tokens of an answer in evaluation
    "think2seg-rs-3b": (4, 16, 5, "linear", 0.0, 0.0, 1e-3, 2048),
    "think2seg-rs-7b": (8, 12, 8, "linear", 0.0, 0.0, 1e-3, 2048),
    "think2seg-rs-llava-1.5-7b": (8, 12, 8, "linear", 0.0, 0.0, 1e-3, 2048),
    "think2seg-rs-internvl3-2b": (4, 16, 5, "linear", 0.0, 0.0, 1e-3, 1024),
    "think2seg-rs-internvl3-8b": (8, 10, 8, "linear", 0.0, 0.0, 1e-3, 1024),
    "seg-zero": (16, 8, 1, "constant", 0.01, 1e-3, 5e-3, 2048),
    "vision-reasoner": (16, 8, 1, "constant", 0.01, 1e-3, 1e-2, 2048),
    "remote-reasoner": (128, 4, 24, "linear", 0.0, 0.0, 1e-3, 2048),
}


@pytest.mark.parametrize("name", FULL_SIZE)
def test_a_full_size_run_has_the_settings_of_its_script(name):
    run = EXPERIMENTS[name]
    grpo = run.grpo
    assert FULL_SIZE[name] == (
        grpo.prompts_per_step,
        grpo.group_size,
        grpo.epochs,
        grpo.schedule,
        grpo.weight_decay,
        grpo.entropy_weight,
        grpo.beta,
        run.generation.max_new_tokens,
    )
    assert (run.recipe.instruction, run.recipe.resampling) == ("full", "lanczos")


RELEASED_MODELS = {
    # name: weights, prompt combination, segmenter, best of three masks, box with its centre, resampling
    "released-think2seg-rs-3b": ("RicardoString/Think2Seg-RS-3B", "bbox+pos2", "sam2.1-small", False, False, "lanczos"),
    "released-think2seg-rs-7b": ("RicardoString/Think2Seg-RS-7B", "bbox+pos2", "sam2.1-small", False, False, "lanczos"),
    "released-seg-zero-7b": ("Ricky06662/Seg-Zero-7B", "seg-zero", "sam2.1-large", True, False, "bilinear"),
    "released-vision-reasoner-7b": (
        "Ricky06662/VisionReasoner-7B",
        "vision-reasoner",
        "sam2.1-large",
        True,
        False,
        "bilinear",
    ),
    "released-remote-reasoner-7b": (
        "1e12Leon/RemoteReasoner",
        "remote-reasoner",
        "sam2.1-tiny",
        False,
        True,
        "bicubic",
    ),
}


def test_every_released_model_answers_in_its_own_way():
    assert list(RELEASED) == list(RELEASED_MODELS)
    for name, (weights, combination, segmenter, multimask, centre, resampling) in RELEASED_MODELS.items():
        answers = RELEASED[name]
        assert published_model(answers.prompter).hub_id == weights
        assert (answers.combination, answers.segmenter) == (combination, segmenter)
        assert answers.recipe.inference == Inference(multimask, centre)
        assert (answers.recipe.coordinates, answers.recipe.resampling) == ("pixels", resampling)
        assert answers.generation == GenerationSettings(max_new_tokens=2048)
    assert set(READY) == {*ZERO_SHOT, *RELEASED}


def test_settings_stored_before_there_was_a_setting_are_read_with_its_default():
    stored = experiment("think2seg-mini").as_json()
    del stored["compute"], stored["watch"], stored["grpo"]["lora_rank"]
    assert Experiment.from_json(stored) == experiment("think2seg-mini")


def test_overrides_are_read_by_the_kind_of_the_setting():
    changed = experiment(
        "think2seg-mini", ["grpo.learning_rate=1e-5", "seed=2", "recipe.repair=false", "grpo.epochs=1.5", "name=trial"]
    )
    assert (changed.grpo.learning_rate, changed.seed, changed.run) == (1e-5, 2, "trial-seed2")
    assert not changed.recipe.repair
    assert (changed.grpo.epochs, changed.grpo.steps) == (1.5, None)
    assert changed.with_overrides(["grpo.steps=7"]).grpo.total_steps(1000) == 7


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("grpo.learning_rate", "not key=value"),
        ("grpo.speed=1", "no setting 'grpo.speed'"),
        ("speed=1", "no setting 'speed'"),
        ("grpo=1", "group of settings"),
        ("seed.x=1", "one setting"),
        ("seed=one", "whole number"),
        ("seed=-1", "negative"),
        ("recipe.repair=yes", "true or false"),
        ("grpo.learning_rate=nan", "finite"),
        ("grpo.learning_rate=0", "above 0"),
        ("grpo.group_size=1", "at least 2"),
        ("grpo.epsilon=1", "between 0 and 1"),
        ("grpo.precision=float8", "float32"),
        ("grpo.completions_per_pass=7", "divide"),
        ("recipe.combination=circles", "bbox"),
        ("recipe.reward=none", "paper"),
        ("generation.temperature=-1", "generation.temperature: temperature must not be negative"),
        ("name=../elsewhere", "cannot be the name"),
        ("name=a--1", "cannot be the name"),
        ("grpo.steps=none", "either"),
        ("compute.processes=0", "at least 1"),
        ("compute.processes=3", "4 cannot be shared evenly among 3 processes"),
        ("compute.zero=1", "0, 2 or 3"),
        ("compute.offload=true", "compute.zero 2 or 3"),
        ("compute.rollouts=guess", "transformers, vllm"),
        ("watch.keep_best=1", "needs watch.keep_last"),
        ("watch.report_to=paper", "tensorboard, wandb"),
    ],
)
def test_a_bad_setting_is_named(override: str, message: str):
    with pytest.raises(InputError, match=message):
        experiment("think2seg-mini", [override])


def test_settings_that_fit_only_together_come_in_any_order_and_the_last_value_counts():
    together = ["grpo.prompts_per_step=1", "grpo.group_size=2", "grpo.completions_per_pass=2"]
    for order in itertools.permutations(together):
        changed = experiment("think2seg-rs-3b", order).grpo
        assert (changed.prompts_per_step, changed.group_size, changed.completions_per_pass) == (1, 2, 2)
    twice = ["grpo.completions_per_pass=3", *together]
    assert experiment("think2seg-rs-3b", twice).grpo.completions_per_pass == 2
    with pytest.raises(InputError, match="completions_per_pass 8 must divide the 2 completions"):
        experiment("think2seg-rs-3b", together[:2])


def test_a_run_has_steps_or_epochs_and_not_both():
    for wrong in ({}, {"steps": 1, "epochs": 1.0}):
        with pytest.raises(InputError, match="either"):
            GRPOSettings(**wrong)
    assert GRPOSettings(epochs=0.001).total_steps(10) == 1


def test_seeds_have_names_of_their_own():
    assert experiment("think2seg-mini").run == "think2seg-mini"
    seeded = experiment("think2seg-mini-seed2")
    assert (seeded.run, seeded.seed, seeded.name) == ("think2seg-mini-seed2", 2, "think2seg-mini")
    for unknown in ("think2seg-maxi", "think2seg-mini-seed", "think2seg-mini-seedx"):
        with pytest.raises(InputError, match="no experiment"):
            experiment(unknown)


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        experiment("think2seg-mini").seed = 3


def test_shares_of_other_prompts_are_checked():
    base = experiment("think2seg-mini")
    mixed = base.with_overrides(["calibration=0.05", "calibration_dataset=synthetic-referring"])
    assert mixed.train_datasets == ("synthetic", "synthetic-referring")
    assert base.train_datasets == ("synthetic",)
    for overrides, message in (
        (["calibration=0.05"], "calibration_dataset"),
        (["mine_empty=0.6"], "between 0 and 0.5"),
        (["calibration=0.05", "calibration_dataset=rrsis-d", "recipe.combination=pos2"], "has none"),
        (["grpo.loss=words"], "sequence, token"),
    ):
        with pytest.raises(InputError, match=message):
            base.with_overrides(overrides)


def test_every_study_changes_what_is_learned_and_exists_small_and_at_full_size():
    studies = METHODS["think2seg"].studies
    names = {study.name for study in studies}
    small_only = {f"think2seg-{name}-mini" for name in (*COMBINATIONS, *BASES)}
    assert {f"{name.removesuffix('-mini')}-3b" for name in names - small_only if name.endswith("-mini")} <= names
    prints = [study.fingerprint for study in studies]
    assert len(set(prints)) == len(prints)
    assert not {experiment("think2seg-mini").fingerprint, experiment("think2seg-rs-3b").fingerprint} & set(prints)


def test_other_kinds_of_prompts_are_compared_from_a_base_that_was_taught_them():
    bases = {experiment(f"think2seg-{name}-mini").prompter for name in (*KINDS, "wide")}
    assert bases == {"qwen2.5-vl-mini-wide"}
    assert experiment("think2seg-small-mini").prompter == "qwen2.5-vl-mini-small"
    assert experiment("think2seg-adaptive-3b").prompter == experiment("think2seg-rs-3b").prompter
