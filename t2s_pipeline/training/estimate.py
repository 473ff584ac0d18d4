"""Estimates of a run's memory per GPU and time per step, from the sizes of the model.

Bytes are counted, not measured. Weights, gradients and optimizer states are exact except for padding. Activations,
caches and the allocator's overhead follow the simple rules below. Where a run of the same name has finished on this
machine, ``t2s plan`` also shows its measured figures, which are more reliable.
"""

import math
from dataclasses import dataclass

from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.architecture import Architecture

TEXT_TOKENS = 150
"""Tokens of an instruction with its question."""
EXPECTED_COMPLETION = 250
"""Assumed tokens of a completion: a few sentences of reasoning and a few objects."""
GIGABYTE = 1e9
SEGMENTER_GB = 3.0
"""Memory of SAM 2.1 small with its working memory (Sam2Segmenter.memory_bytes)."""
CONTEXT_GB = 1.0
"""Memory of the CUDA context and the libraries' workspaces."""
ALLOCATOR_OVERHEAD = 1.08
"""Memory that the allocator holds, relative to the memory in use."""


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
"""Share of the peak speed of matrix products that training usually reaches."""
SECONDS_PER_TOKEN = 0.03
"""The least time that transformers needs to generate one token of each sequence, even for a small model: the time of
Python and of kernel launches."""


@dataclass(frozen=True)
class Memory:
    """Memory per GPU in GB (10⁹ bytes), by what uses it."""

    weights: float
    gradients: float
    optimizer: float
    reference: float
    update: float
    generation: float

    @property
    def peak(self) -> float:
        """The most memory in use at one time: during sampling or during the update, whichever needs more."""
        held = self.weights + self.gradients + self.optimizer + self.reference
        return (held + max(self.update, self.generation) + SEGMENTER_GB) * ALLOCATOR_OVERHEAD + CONTEXT_GB


def memory(plan: Experiment, sizes: Architecture) -> Memory:
    """The memory per GPU that a training on GPUs needs."""
    grpo, compute = plan.grpo, plan.compute
    full, ranks = sizes.parameters, compute.ranks
    half = grpo.precision == "bfloat16"
    if grpo.lora_rank:
        learned = sizes.adapter_parameters(grpo.lora_rank)
        # The frozen model in bfloat16, adapters in float32; the reference is the model without them.
        weights, gradients, optimizer, reference = 2.0 * full + 4 * learned, 4.0 * learned, 8.0 * learned, 0.0
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
        update += 2 * full  # autocast keeps bfloat16 copies during a pass
    if compute.zero == 2:
        update += 4 * full * (ranks - 1) / ranks  # gradients before they are split, and the reduced buckets
    if compute.zero == 3:
        update += 2 * 2e9
        generation += 2 * full  # gathered to sample completions
    return Memory(*(value / GIGABYTE for value in (weights, gradients, optimizer, reference, update, generation)))


def _update(plan: Experiment, sizes: Architecture) -> float:
    """Bytes of one forward and backward pass beyond weights and gradients."""
    grpo = plan.grpo
    rows = _rows_of_a_pass(plan)
    prompts = _prompts(plan, sizes, rows)
    tokens = prompts * (sizes.visual_tokens + TEXT_TOKENS) + rows * grpo.max_new_tokens
    patches = prompts * sizes.patches
    one_layer = tokens * (16 * sizes.hidden + 8 * sizes.intermediate)
    one_vision_layer = patches * (16 * sizes.vision_hidden + 8 * sizes.vision_intermediate)
    if grpo.gradient_checkpointing:
        # The input of each layer is kept; everything else is computed again, one layer at a time.
        inputs = 4 * (tokens * sizes.hidden * sizes.layers + patches * sizes.vision_hidden * sizes.vision_layers)
        return inputs + max(one_layer, one_vision_layer)
    return one_layer * sizes.layers + one_vision_layer * sizes.vision_layers


def _generation(plan: Experiment, sizes: Architecture) -> float:
    """Bytes to sample all completions of a rank at once: their keys and values, and the encoding of their images."""
    grpo = plan.grpo
    rows = grpo.completions_per_step // plan.compute.ranks
    length = sizes.visual_tokens + TEXT_TOKENS + grpo.max_new_tokens
    cache = rows * length * sizes.layers * 2 * sizes.kv_width * 2
    return cache + _sampled_prompts(plan, sizes, rows) * sizes.patches * 12 * sizes.vision_hidden * 2


def _rows_of_a_pass(plan: Experiment) -> int:
    """The completions that go through the model at once during an update."""
    of_a_rank = plan.grpo.completions_per_step // plan.compute.ranks
    return min(plan.grpo.completions_per_pass or of_a_rank, of_a_rank)


def _prompts(plan: Experiment, sizes: Architecture, rows: int) -> int:
    """How many prompts are computed for so many completions at once."""
    return math.ceil(rows / plan.grpo.group_size) if sizes.shares_prompts else rows


def _sampled_prompts(plan: Experiment, sizes: Architecture, rows: int) -> int:
    """How many prompts are computed to sample so many completions."""
    by_us = plan.compute.zero < 3 and plan.compute.rollouts == "transformers"
    return _prompts(plan, sizes, rows) if by_us else rows


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step, by phase."""

    generate: float
    reward: float
    update: float

    @property
    def total(self) -> float:
        """Seconds of the whole step."""
        return self.generate + self.reward + self.update


def step_time(plan: Experiment, sizes: Architecture, device: Device) -> StepTime:
    """Estimated seconds of one step with one such GPU per rank; the true time can be half or twice as long."""
    grpo, compute = plan.grpo, plan.compute
    rows = grpo.completions_per_step // compute.ranks
    completion = min(EXPECTED_COMPLETION, grpo.max_new_tokens)
    prompt = sizes.visual_tokens + TEXT_TOKENS
    flops = device.tflops * 1e12 * UTILIZATION
    read_prompt = 2 * (sizes.parameters * prompt + sizes.vision_parameters * sizes.patches)
    read_completions = rows * 2 * sizes.parameters * completion
    cache = rows * (prompt + completion) * sizes.layers * 4 * sizes.kv_width
    per_token = max((2 * sizes.parameters + cache) / (device.bandwidth * 1e12), SECONDS_PER_TOKEN)
    # The longest completion of a batch decides the time: about twice the mean.
    sampled = _sampled_prompts(plan, sizes, rows) * read_prompt + read_completions
    generate = sampled / flops + min(2 * completion, grpo.max_new_tokens) * per_token
    if compute.rollouts == "vllm":
        generate /= 3
    passes = 4 if grpo.gradient_checkpointing else 3
    reference = 1 if grpo.beta else 0
    at_once = _rows_of_a_pass(plan)
    learned = rows / at_once * _prompts(plan, sizes, at_once) * read_prompt + read_completions
    update = learned * (passes + reference) / flops
    if compute.offload:
        update += sizes.parameters * 16 / 50e9  # Adam's states move through the machine's memory at 50 GB/s
    images = grpo.prompts_per_step / compute.ranks
    return StepTime(generate, images * 0.1 + rows * 0.02, update)


def answer_seconds(sizes: Architecture, device: Device, max_new_tokens: int, batch_size: int) -> float:
    """Estimated seconds per answer of one such GPU that answers in batches. The true time can be half or twice that."""
    completion, prompt = min(EXPECTED_COMPLETION, max_new_tokens), sizes.visual_tokens + TEXT_TOKENS
    read = 2 * (sizes.parameters * prompt + sizes.vision_parameters * sizes.patches)
    cache = batch_size * (prompt + completion) * sizes.layers * 4 * sizes.kv_width
    per_token = max((2 * sizes.parameters + cache) / (device.bandwidth * 1e12), SECONDS_PER_TOKEN)
    # As in training, the longest completion of a batch decides.
    tokens = min(2 * completion, max_new_tokens)
    return read / (device.tflops * 1e12 * UTILIZATION) + tokens * per_token / batch_size


def checkpoint_gigabytes(plan: Experiment, sizes: Architecture) -> float:
    """Disk space in GB of one checkpoint that a run can resume from: weights and Adam's moments."""
    if plan.grpo.lora_rank:
        return 12 * sizes.adapter_parameters(plan.grpo.lora_rank) / GIGABYTE
    return (14 if plan.compute.zero else 12) * sizes.parameters / GIGABYTE
