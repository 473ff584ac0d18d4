"""What a run will take is counted from sizes that are the published models' own, and what is missing is named."""

import dataclasses
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.methods.experiments import EXPERIMENTS, ZERO_SHOT, experiment
from t2s_pipeline.prompters.families import published_model, published_models
from t2s_pipeline.training.architecture import architecture
from t2s_pipeline.training.estimate import DEVICES, checkpoint_gigabytes, memory, step_time
from t2s_pipeline.training.plan import training_plan
from t2s_pipeline.training.presets import PRESETS, with_preset


@pytest.mark.parametrize(
    ("prompter", "published"),
    [
        # Number of parameters as their model cards and safetensors headers state it.
        ("Qwen/Qwen2.5-VL-3B-Instruct", 3.755e9),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8.292e9),
        ("Qwen/Qwen3-VL-2B-Instruct", 2.128e9),
        ("Qwen/Qwen3-VL-4B-Instruct", 4.438e9),
        ("Qwen/Qwen3-VL-8B-Instruct", 8.767e9),
        ("internvl3-2b", 2.09e9),
        ("internvl3-8b", 7.94e9),
        ("llava-1.5-7b", 7.06e9),
    ],
)
def test_parameters_are_those_of_the_published_model(prompter: str, published: float):
    assert architecture(prompter).parameters == pytest.approx(published, rel=0.01)


def test_sizes_are_read_from_a_models_own_config():
    mini = architecture("qwen2.5-vl-mini")
    # 168 pixels in patches of 14, merged two by two; 2.9 million parameters as its model card says.
    assert (mini.layers, mini.hidden, mini.patches, mini.visual_tokens) == (5, 192, 144, 36)
    assert mini.parameters == pytest.approx(2.91e6, rel=0.01)
    assert architecture("someone/unknown") is None


@pytest.mark.parametrize("experiment_name", ["think2seg-rs-qwen3-vl-4b", "think2seg-rs-internvl3-2b"])
def test_other_prompters_are_trained_and_untrained_under_names_of_their_own(experiment_name: str):
    trained = EXPERIMENTS[experiment_name]
    untrained = ZERO_SHOT[experiment_name.replace("think2seg-rs", "zero-shot")]
    assert trained.prompter == untrained.prompter == experiment_name.removeprefix("think2seg-rs-")
    assert trained.grpo == EXPERIMENTS["think2seg-rs-3b"].grpo


def test_every_published_prompter_has_a_trained_and_an_untrained_system():
    trained = {published_model(chosen.prompter) for chosen in EXPERIMENTS.values()}
    untrained = {published_model(chosen.prompter) for chosen in ZERO_SHOT.values()}
    assert set(published_models().values()) <= trained & untrained


def test_states_of_a_full_training_are_sixteen_bytes_a_weight_and_four_for_the_reference():
    plain = experiment("think2seg-rs-3b")
    sizes = architecture(plain.prompter)
    told = memory(plain, sizes)
    gigabytes = sizes.parameters / 1e9
    assert told.weights + told.gradients + told.optimizer == pytest.approx(16 * gigabytes)
    assert told.reference == pytest.approx(4 * gigabytes)
    assert checkpoint_gigabytes(plain, sizes) == pytest.approx(12 * gigabytes)
    without = memory(plain.with_overrides(["grpo.beta=0"]), sizes)
    assert without.reference == 0


def test_splitting_adapters_and_offloading_take_less():
    base = experiment("think2seg-rs-3b")
    sizes = architecture(base.prompter)

    def states(*overrides: str) -> float:
        told = memory(base.with_overrides(overrides), sizes)
        return told.weights + told.gradients + told.optimizer + told.reference

    whole = states()
    two, three = (states("compute.processes=4", f"compute.zero={stage}") for stage in (2, 3))
    # ZeRO-3 over four: (2 + 2 + 12 + 2) / 4 bytes a weight; ZeRO-2 keeps the two bfloat16 models whole.
    assert three == pytest.approx(18 / 4 * sizes.parameters / 1e9)
    assert two == pytest.approx((2 + 2 + 14 / 4) * sizes.parameters / 1e9)
    assert three < two < whole
    assert states("compute.zero=2", "compute.offload=true") < states("compute.zero=2")
    assert states("grpo.lora_rank=16") < 0.15 * whole


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_carries_the_papers_3b_run(name: str):
    preset = PRESETS[name]
    chosen = experiment("think2seg-rs-3b", with_preset(name, []))
    assert chosen.compute.ranks == preset.gpus
    assert memory(chosen, architecture(chosen.prompter)).peak < preset.memory


def test_four_80_gb_cards_carry_the_papers_7b_run_and_what_is_said_explicitly_wins():
    chosen = experiment("think2seg-rs-7b", with_preset("four-80gb", ["compute.zero=2"]))
    assert chosen.compute.zero == 2
    chosen = experiment("think2seg-rs-7b", with_preset("four-80gb", []))
    assert memory(chosen, architecture(chosen.prompter)).peak < PRESETS["four-80gb"].memory


def test_what_is_missing_on_this_machine_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi
    found = training_plan(experiment("think2seg-rs-3b"), Settings(tmp_path, tmp_path / "python"))
    assert found.steps == 2963 and not found.counted
    said = " ".join(shortage.sentence for shortage in found.missing)
    for thing in ("worker interpreter", "earthreason", "There is no GPU"):
        assert thing in said
    assert all(shortage.command for shortage in found.missing)
    assert not found.can_run


def test_every_trained_row_of_the_papers_tables_has_a_name():
    elsewhere = {"lisa", "pixellm", "psalm", "segearth-r1"}  # predictions made by other people's code
    rivals = {"seg-zero", "vision-reasoner", "remote-reasoner"}
    for row in published_metrics().to_pylist():
        name = row["measured_as"]
        assert name in elsewhere | rivals or name in EXPERIMENTS or name in ZERO_SHOT, name
        if name in EXPERIMENTS and row["paper_table"] == 6:
            assert EXPERIMENTS[name].recipe.combination == row["prompt_combination"]
        if name in EXPERIMENTS and row["paper_table"] == 5:
            assert EXPERIMENTS[name].segmenter.removeprefix("sam2.1-") == row["segmenter"].lower().removeprefix("sam2-")


def test_a_prompt_that_is_computed_once_per_group_takes_less_time_and_memory():
    chosen = experiment("think2seg-rs-3b", with_preset("one-141gb", []))
    shared = architecture(chosen.prompter)
    assert shared.shares_prompts
    separate = dataclasses.replace(shared, shares_prompts=False)
    device = DEVICES[2]
    # 64 completions of four prompts in passes of eight: eight passes with one prompt each, not 64 prompts.
    fewer = step_time(chosen, shared, device).update / step_time(chosen, separate, device).update
    # A prompt of 1,050 tokens and 3,600 patches, and a completion of 250 tokens.
    prompt = shared.parameters * 1050 + shared.vision_parameters * 3600
    completion = shared.parameters * 250
    assert fewer == pytest.approx((8 * prompt + 64 * completion) / (64 * (prompt + completion)))
    assert memory(chosen, shared).update < memory(chosen, separate).update
    # vLLM and ZeRO-3 sample in their own way.
    sampled = [step_time(chosen, sizes, device).generate for sizes in (shared, separate)]
    assert sampled[0] < sampled[1]
    with_vllm = chosen.with_overrides(["compute.rollouts=vllm"])
    assert step_time(with_vllm, shared, device).generate == step_time(with_vllm, separate, device).generate
