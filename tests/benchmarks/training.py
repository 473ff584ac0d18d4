"""How long a step of training takes, by phase, in how much memory, beside a loop that shares nothing within a group.

    python -m tests.benchmarks.training [--steps 12] [--plain-steps 3]
    python -m tests.benchmarks.training --model random-3b --device cuda --steps 6 --plain-steps 2 [--rollouts vllm]

Ours is `train` as a run does it, log and checkpoint included; the other is tests/benchmarks/plain_grpo.py, which does
what the authors' code does per completion, on the same device, models, prompts and precision. ``--model mini`` is the
embedded default (CPU); ``tiny`` is a model of random weights for a test; ``random-3b`` has the sizes of Qwen2.5-VL-3B,
random weights and an 840 square under the preset one-141gb, with SAM 2.1 small, its answers limited to ``--tokens``.
(A random model's answers do not parse, so its reward phase draws no masks: tests/benchmarks/reward.py measures that.)

The first step of each is left out. The last line is one JSON object: ``ratio`` (their seconds a step to ours),
``per_second`` (our completions), ``seconds_a_step`` and seconds by phase of both, ``outside_share`` (of our step time
outside the model: reward, data, logging), ``tokens_per_second``, ``peak_mb`` and ``estimated_mb`` (what `t2s plan`
says of a GPU; on a CPU null).
"""

import argparse
import json
import platform
import tempfile
from pathlib import Path

import torch
import transformers
import trl
from safetensors.torch import save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from t2s_pipeline.core.progress import StderrProgress
from t2s_pipeline.datasets.ingest import ingest_split
from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.lake.schema import IMAGES, SAMPLES, TRAINING_LOG
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.miniature.prompter import PrompterShape, build_processor, train_tokenizer
from t2s_pipeline.prompters.load import load_prompter
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.templates import instruction
from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.segmenters.registry import SEGMENTERS
from t2s_pipeline.training.architecture import architecture
from t2s_pipeline.training.estimate import memory
from t2s_pipeline.training.presets import with_preset
from t2s_pipeline.training.run import train
from t2s_pipeline.vision.masks import Rle
from tests.benchmarks.plain_grpo import PlainLoop, Prompt, truth_on
from tests.small_models import save_prompter, save_segmenter

PHASES = ("seconds", "generate_seconds", "reward_seconds", "update_seconds")
VOCABULARY = 151_936


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=("mini", "tiny", "random-3b"), default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--plain-steps", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=0, help="limit of a completion; 0 takes the experiment's")
    parser.add_argument("--rollouts", choices=("transformers", "vllm"), default="transformers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), options)))


def measure(home: Path, options: argparse.Namespace) -> dict[str, object]:
    """Both ways, on scenes drawn for it."""
    write_scenes(home / "scenes", train=4 * options.steps, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    plan = _plan(home, options)
    train(plan, home, "", StderrProgress(), options.device)
    rows = read_partition(home / "lake", TRAINING_LOG, {"run": plan.run}).to_pylist()[1:]
    ours = {phase: sum(row[phase] for row in rows) / len(rows) for phase in PHASES}
    peak = max(row["peak_mb"] for row in rows)
    if options.device != "cpu":
        torch.cuda.empty_cache()
    theirs = _plain(home, plan, options)
    sizes = architecture(plan.prompter)
    on_gpu = options.device != "cpu" and sizes is not None
    return {
        "ratio": round(theirs["seconds"] / ours["seconds"], 2),
        "per_second": round(plan.grpo.completions_per_step / ours["seconds"], 2),
        "seconds_a_step": round(ours["seconds"], 3),
        "ours": {phase: round(value, 3) for phase, value in ours.items()},
        "plain": {phase: round(theirs[phase], 3) for phase in PHASES},
        "outside_share": round(1 - (ours["generate_seconds"] + ours["update_seconds"]) / ours["seconds"], 4),
        "tokens_per_second": round(sum(row["tokens_per_second"] for row in rows) / len(rows), 1),
        "peak_mb": round(peak),
        "estimated_mb": round(memory(plan, sizes).peak * 1e3) if on_gpu else None,
        "device": torch.cuda.get_device_name() if options.device != "cpu" else f"{platform.machine()} CPU",
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
    }


def _plan(home: Path, options: argparse.Namespace) -> Experiment:
    settings = [f"grpo.steps={options.steps}", "name=benchmark", f"compute.rollouts={options.rollouts}"]
    if options.tokens:
        settings.append(f"grpo.max_new_tokens={options.tokens}")
    if options.model == "mini":
        return experiment("think2seg-mini", settings)
    if options.model == "tiny":
        models = [f"prompter={save_prompter(home / 'prompter')}", f"segmenter={save_segmenter(home / 's.safetensors')}"]
        return experiment("think2seg-mini", [*settings, *models, "grpo.group_size=2"])
    save_file(SEGMENTERS["sam2.1-small"].build().state_dict(), home / "small.safetensors")
    prompter = random_3b(home / "prompter", options.device)
    models = [f"prompter={prompter}", f"segmenter=sam2.1-small@{home / 'small.safetensors'}"]
    return experiment("think2seg-rs-3b", with_preset("one-141gb", [*settings, *models, "dataset=synthetic"]))


def random_3b(folder: Path, device: str) -> Path:
    """Qwen2.5-VL-3B's sizes (its published config.json) with random bfloat16 weights and a tokenizer of our own."""
    shape = PrompterShape(side=840)
    tokenizer = train_tokenizer([instruction("Where are the roofs?", PROMPT_COMBINATIONS["bbox"])], shape)
    token = tokenizer.convert_tokens_to_ids
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCABULARY,
            "hidden_size": 2048,
            "intermediate_size": 11008,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 2,
            "max_position_embeddings": 128_000,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "out_hidden_size": 2048},
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):  # drawing three billion numbers takes a CPU a minute
            model = Qwen2_5_VLForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(before)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    build_processor(tokenizer, shape).save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def _plain(home: Path, plan: Experiment, options: argparse.Namespace) -> dict[str, float]:
    """Mean seconds by phase of the plain loop's steps, the first left out."""
    split = {"dataset": "synthetic", "split": "train"}
    pictures = {row["image_id"]: row["bytes"] for row in read_partition(home / "lake", IMAGES, split).to_pylist()}
    policy, reference = (load_prompter(plan.prompter, options.device) for _ in range(2))
    samples = [
        Prompt(
            pictures[row["image_id"]],
            row["questions"][0],
            truth_on(policy.frame.width, Rle.from_arrow(row["mask"])),
        )
        for row in read_partition(home / "lake", SAMPLES, split).to_pylist()
    ]
    torch.manual_seed(plan.seed)
    loop = PlainLoop(plan, policy, reference, load_segmenter(plan.segmenter, options.device))
    size = plan.grpo.prompts_per_step
    steps = [loop.step(samples[at * size : (at + 1) * size]) for at in range(options.plain_steps + 1)][1:]
    return {phase: sum(step[phase] for step in steps) / len(steps) for phase in PHASES}


if __name__ == "__main__":
    main()
