"""What a run will take, before it is started: memory a GPU and time, from sizes and a few rules of thumb. No torch.

Bytes are counted, not measured: weights, gradients and optimizer states are exact but for padding; activations,
caches and the allocator's waste follow the rules below. A run that was made on this machine knows better, and
``t2s plan`` says so where there is one.
"""

from dataclasses import dataclass

from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.architecture import Architecture

TEXT_TOKENS = 150
"""Of an instruction with its question."""
EXPECTED_COMPLETION = 250
"""Tokens of a completion where nothing is known: a thought of some sentences and a few objects."""
GIGABYTE = 1e9
SEGMENTER_GB = 3.0
"""SAM 2.1 small with its working memory (Sam2Segmenter.memory_bytes)."""
CONTEXT_GB = 1.0
"""The CUDA context and the libraries' workspaces."""
WASTE = 1.08
"""What the allocator holds beyond what is used."""


@dataclass(frozen=True)
class Device:
    """A GPU: memory in GB (10⁹ bytes), bfloat16 TFLOP/s without sparsity, memory bandwidth in TB/s."""

    name: str
    memory: float
    tflops: float
    bandwidth: float


DEVICES = (
    Device("24 GB (RTX 4090)", 25.8, 165, 1.0),
    Device("80 GB (A100)", 85.9, 312, 2.0),
    Device("141 GB (H200)", 151.4, 989, 4.8),
)

UTILIZATION = 0.35
"""Of the peak in large matrix products, as such training commonly reaches."""
SECONDS_A_TOKEN = 0.03
"""The least that transformers takes for one token of every sequence, however small the model: Python and launches."""


@dataclass(frozen=True)
class Memory:
    """GB a GPU, by what takes it. ``peak`` counts what is held at once: the larger of drawing and updating."""

    weights: float
    gradients: float
    optimizer: float
    reference: float
    update: float
    generation: float

    @property
    def peak(self) -> float:
        held = self.weights + self.gradients + self.optimizer + self.reference
        return (held + max(self.update, self.generation) + SEGMENTER_GB) * WASTE + CONTEXT_GB


def memory(plan: Experiment, sizes: Architecture) -> Memory:
    """GB a GPU of a training on GPUs."""
    grpo, compute = plan.grpo, plan.compute
    full, ranks = sizes.parameters, compute.ranks
    half = grpo.precision == "bfloat16"
    if grpo.lora_rank:
        learned = sizes.adapter_parameters(grpo.lora_rank)
        # The frozen model in bfloat16, adapters in float32; the reference is the model without them.
        weights, gradients, optimizer, reference = 2 * full + 4 * learned, 4 * learned, 8 * learned, 0.0
    elif compute.zero:
        # bfloat16 weights and gradients; float32 copy and Adam's two moments with the optimizer.
        split = ranks if compute.zero == 3 else 1
        weights, gradients = 2 * full / split, 2 * full / ranks
        optimizer = 0.0 if compute.offload else 12 * full / ranks
        reference = 2 * full / split if grpo.beta else 0.0
    else:
        weights, gradients, optimizer = 4 * full, 4 * full * (2 if ranks > 1 else 1), 8 * full
        reference = 4 * full if grpo.beta else 0.0
    update, generation = _update(plan, sizes), _generation(plan, sizes)
    if not compute.zero and not grpo.lora_rank and half:
        update += 2 * full  # autocast keeps the bfloat16 copies of a pass
    if compute.zero == 2:
        update += 4 * full * (ranks - 1) / ranks  # gradients before they are split, and the reduced buckets
    if compute.zero == 3:
        update += 2 * 2e9
        generation += 2 * full  # gathered to draw completions
    return Memory(*(value / GIGABYTE for value in (weights, gradients, optimizer, reference, update, generation)))


def _update(plan: Experiment, sizes: Architecture) -> float:
    """Bytes of one forward and backward pass beyond weights and gradients."""
    grpo = plan.grpo
    rows = grpo.completions_per_pass or grpo.completions_per_step // plan.compute.ranks
    tokens = rows * (sizes.visual_tokens + TEXT_TOKENS + grpo.max_new_tokens)
    patches = rows * sizes.patches
    one_layer = tokens * (16 * sizes.hidden + 8 * sizes.intermediate)
    one_vision_layer = patches * (16 * sizes.vision_hidden + 8 * sizes.vision_intermediate)
    if grpo.gradient_checkpointing:
        # A layer's input is kept, everything else made again one layer at a time.
        kept = 4 * (tokens * sizes.hidden * sizes.layers + patches * sizes.vision_hidden * sizes.vision_layers)
        return kept + max(one_layer, one_vision_layer)
    return one_layer * sizes.layers + one_vision_layer * sizes.vision_layers


def _generation(plan: Experiment, sizes: Architecture) -> float:
    """Bytes of keys and values while all of a rank's completions are drawn at once, and of reading their images."""
    grpo = plan.grpo
    rows = grpo.completions_per_step // plan.compute.ranks
    length = sizes.visual_tokens + TEXT_TOKENS + grpo.max_new_tokens
    cache = rows * length * sizes.layers * 2 * sizes.kv_width * 2
    return cache + rows * sizes.patches * 12 * sizes.vision_hidden * 2


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step by phase."""

    generate: float
    reward: float
    update: float

    @property
    def total(self) -> float:
        return self.generate + self.reward + self.update


def step_time(plan: Experiment, sizes: Architecture, device: Device) -> StepTime:
    """Rough seconds of one step on so many of these GPUs: within a factor of two, not better."""
    grpo, compute = plan.grpo, plan.compute
    rows = grpo.completions_per_step / compute.ranks
    completion = min(EXPECTED_COMPLETION, grpo.max_new_tokens)
    prompt = sizes.visual_tokens + TEXT_TOKENS
    flops = device.tflops * 1e12 * UTILIZATION
    seen = 2 * (sizes.parameters * (prompt + completion) + sizes.vision_parameters * sizes.patches)
    cache = rows * (prompt + completion) * sizes.layers * 4 * sizes.kv_width
    a_token = max((2 * sizes.parameters + cache) / (device.bandwidth * 1e12), SECONDS_A_TOKEN)
    # The longest of a batch decides: about twice the mean.
    generate = rows * seen / flops + min(2 * completion, grpo.max_new_tokens) * a_token
    if compute.rollouts == "vllm":
        generate /= 3
    passes = 4 if grpo.gradient_checkpointing else 3
    reference = 1 if grpo.beta else 0
    update = rows * seen * (passes + reference) / flops
    if compute.offload:
        update += sizes.parameters * 16 / 50e9  # Adam's states through the machine's memory at 50 GB/s
    images = grpo.prompts_per_step / compute.ranks
    return StepTime(generate, images * 0.1 + rows * 0.02, update)


def checkpoint_gigabytes(plan: Experiment, sizes: Architecture) -> float:
    """GB on disk of one checkpoint that a run can resume from: weights and Adam's moments."""
    if plan.grpo.lora_rank:
        return 12 * sizes.adapter_parameters(plan.grpo.lora_rank) / GIGABYTE
    return (14 if plan.compute.zero else 12) * sizes.parameters / GIGABYTE
