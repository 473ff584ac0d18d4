"""The settings of a training run: one frozen, validated object decides everything about it.

It is stored with the checkpoint and with every number that comes of it. The named experiments are in the files of the
methods; ``experiments.py`` lists them.
"""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import require_name
from t2s_pipeline.core.outside_files import shown
from t2s_pipeline.core.overrides import with_setting
from t2s_pipeline.methods.compute import Compute, Watch
from t2s_pipeline.methods.recipe import AS_BEFORE, Recipe
from t2s_pipeline.prompters.base import GenerationSettings

PRECISIONS = ("float32", "bfloat16")
SCHEDULES = ("linear", "constant")


@dataclass(frozen=True)
class GRPOSettings:
    """How long and how hard to train. The defaults are the paper's (Section 4, "Implementation details")."""

    steps: int | None = None
    """Optimizer steps; exactly one of ``steps`` and ``epochs`` is given."""
    epochs: float | None = None
    """Passes over the training samples. A pass asks one question per sample."""
    prompts_per_step: int = 4
    """(Image, question) pairs of one optimizer step, over all devices."""
    group_size: int = 16
    """G: completions that are sampled per pair."""
    completions_per_pass: int = 0
    """Completions in one forward and backward pass on one device; 0 takes all of the step's at once."""
    learning_rate: float = 1e-6
    """Of AdamW."""
    schedule: str = "linear"
    """The learning rate after the warm-up: linear (falls to 0) or constant."""
    warmup_steps: int = 0
    """Steps in which the learning rate rises from 0."""
    warmup_share: float = 0.0
    """The warm-up as a share of the run, where ``warmup_steps`` is 0."""
    weight_decay: float = 0.0
    """Of AdamW."""
    entropy_weight: float = 0.0
    """Weight of the bonus for the entropy of each predicted token."""
    beta: float = 1e-3
    """Weight of the k3 estimate of KL(policy ‖ base)."""
    epsilon: float = 0.2
    """Clip range of the probability ratio."""
    temperature: float = 1.0
    """At which completions are sampled."""
    max_new_tokens: int = 1024
    """Tokens after which a completion is cut off."""
    max_grad_norm: float = 1.0
    """Gradients with a larger norm are scaled down to it."""
    precision: str = "bfloat16"
    """Of the arithmetic: float32 or bfloat16."""
    gradient_checkpointing: bool = True
    """Compute activations a second time in the backward pass, which saves memory."""
    lora_rank: int = 0
    """Train low-rank adapters of this rank on the language model's linear layers; 0 trains the whole model."""
    lora_alpha: int = 32
    """Adapters count with the weight alpha / rank."""
    checkpoint_every: int = 100
    """Steps between checkpoints; the last step always makes one."""

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.epochs is None):
            raise InputError("Give a run either grpo.steps or grpo.epochs.")
        _check_types(self, "grpo.")
        for name in ("steps", "epochs", "prompts_per_step", "learning_rate", "temperature", "max_new_tokens"):
            _require(getattr(self, name) is None or getattr(self, name) > 0, f"grpo.{name} must be above 0")
        _require(self.group_size >= 2, "grpo.group_size must be at least 2: an advantage compares completions")
        _require(self.checkpoint_every >= 1, "grpo.checkpoint_every must be at least 1")
        for name in (
            "beta",
            "warmup_steps",
            "warmup_share",
            "weight_decay",
            "entropy_weight",
            "max_grad_norm",
            "completions_per_pass",
            "lora_rank",
        ):
            _require(getattr(self, name) >= 0, f"grpo.{name} must not be negative")
        _require(0 < self.epsilon < 1, "grpo.epsilon must lie between 0 and 1")
        _require(self.warmup_share < 1, "grpo.warmup_share must be below 1")
        _require(self.schedule in SCHEDULES, f"grpo.schedule must be one of {', '.join(SCHEDULES)}")
        _require(self.precision in PRECISIONS, f"grpo.precision must be one of {', '.join(PRECISIONS)}")
        per_pass, per_step = self.completions_per_pass, self.completions_per_step
        _require(
            per_pass == 0 or per_step % per_pass == 0,
            f"grpo.completions_per_pass {per_pass} must divide the {per_step} completions of a step",
        )

    @property
    def completions_per_step(self) -> int:
        """The completions of one optimizer step, over all devices."""
        return self.prompts_per_step * self.group_size

    def total_steps(self, samples: int) -> int:
        """Optimizer steps for a training split of so many samples; an unfinished last step is dropped."""
        if self.steps is not None:
            return self.steps
        # One of the two is always given, see __post_init__.
        epochs = self.epochs or 0.0
        return max(1, math.floor(samples * epochs / self.prompts_per_step))


@dataclass(frozen=True)
class Experiment:
    """A training run, and how the system that it gives answers."""

    name: str
    """Of the experiment; small letters and digits, with single . + _ - between them."""
    prompter: str
    """Where training starts: ``qwen2.5-vl-mini`` (embedded), or a folder with a model."""
    segmenter: str
    """The frozen segmenter, in training and in evaluation."""
    dataset: str
    """It trains on the split train of this dataset."""
    grpo: GRPOSettings
    recipe: Recipe = field(default_factory=Recipe)
    """The method: labels, prompt combination, reward, inference."""
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    """How the trained prompter answers in evaluation."""
    seed: int = 0
    """Decides the order of samples, the question choice for each, and how completions are sampled."""
    compute: Compute = field(default_factory=Compute)
    watch: Watch = field(default_factory=Watch)

    def __post_init__(self) -> None:
        _check_types(self, "")
        _check_types(self.compute, "compute.")
        _check_types(self.watch, "watch.")
        _check_types(self.generation, "generation.")
        _check_types(self.recipe, "recipe.")
        for fault in (*self.compute.faults(), *self.watch.faults()):
            raise InputError(f"{fault}.")
        require_name(self.run, "run")
        _require(self.seed >= 0, "seed must not be negative")
        prompts, ranks = self.grpo.prompts_per_step, self.compute.ranks
        _require(
            prompts % ranks == 0,
            f"grpo.prompts_per_step {prompts} cannot be shared evenly among {ranks} processes",
        )
        per_pass, per_rank = self.grpo.completions_per_pass, self.grpo.completions_per_step // ranks
        _require(
            per_pass == 0 or per_rank % min(per_pass, per_rank) == 0,
            f"grpo.completions_per_pass {per_pass} must divide the {per_rank} completions of one process",
        )

    @property
    def combination(self) -> str:
        """The prompt combination that the prompter is asked for."""
        return self.recipe.combination

    @property
    def run(self) -> str:
        """The run's name, which is also the name of the system that it trains."""
        return self.name if self.seed == 0 else f"{self.name}-seed{self.seed}"

    def as_json(self) -> dict[str, Any]:
        """Every setting, as nested dictionaries."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Experiment":
        """The inverse of ``as_json``. Settings that did not exist when the JSON was stored take their defaults.

        Raises:
            InputError: if the value does not hold the settings of an experiment.
        """
        try:
            grpo = GRPOSettings(**value["grpo"])
            generation = GenerationSettings(**value["generation"])
            recipe = Recipe.from_json(value["recipe"])
            compute, watch = Compute(**value.get("compute", {})), Watch(**value.get("watch", {}))
            parts = {"grpo": grpo, "generation": generation, "recipe": recipe, "compute": compute, "watch": watch}
            return cls(**{**value, **parts})
        except (KeyError, TypeError, ValueError) as fault:
            raise InputError(f"These are not the settings of an experiment: {fault!r}.") from fault

    @property
    def learned(self) -> dict[str, Any]:
        """The settings that the trained weights depend on, as nested dictionaries.

        The settings of generation, of saving and of watching are left out, because no weight depends on them.
        """
        learned = self.as_json()
        del learned["generation"], learned["watch"], learned["grpo"]["checkpoint_every"]
        return learned

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the learned settings, as canonical JSON: keys sorted, no spaces."""
        learned = self.learned
        # The name before version 0.2 stays in the hash, so that finished runs of that time stay finished.
        learned["recipe"]["schema"] = learned["recipe"].pop("combination")
        # In 0.2 there was one instruction and one resampling, and nobody named them.
        for name, value in AS_BEFORE.items():
            if learned["recipe"][name] == value:
                del learned["recipe"][name]
        canonical = json.dumps(learned, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(canonical.encode()).hexdigest()

    def with_overrides(self, overrides: Iterable[str]) -> "Experiment":
        """A copy with changed settings.

        Args:
            overrides: ``key=value``, for example ``grpo.learning_rate=1e-4`` or ``seed=1``. Of a repeated key, the last
                value counts. Values that fit only together can come in any order.

        Raises:
            InputError: for an unknown key or a value that does not fit it.
        """
        changed, waiting = self, dict(map(_pair, overrides))
        while waiting:
            faults: dict[str, InputError] = {}
            for key, text in waiting.items():
                try:
                    changed = with_setting(changed, key.split("."), text, key)
                except InputError as fault:
                    faults[key] = fault
            if len(faults) == len(waiting):
                raise next(iter(faults.values()))
            waiting = {key: waiting[key] for key in faults}
        return changed


def _pair(override: str) -> tuple[str, str]:
    """Key and value of an override."""
    key, separator, text = override.partition("=")
    if not separator:
        raise InputError(f"{override!r} is not key=value.")
    return key.strip(), text.strip()


def _check_types(settings: object, prefix: str) -> None:
    """Require that every field has its declared type (an int can stand for a float) and is finite.

    Raises:
        InputError: if one has not.
    """
    for name, kind in typing.get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        options = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
        allowed = (*options, int) if float in options else options
        fits = isinstance(value, allowed) and (bool in options or not isinstance(value, bool))
        _require(fits, f"{prefix}{name} cannot be {shown(value)}")
        _require(not isinstance(value, float) or math.isfinite(value), f"{prefix}{name} must be finite")
        _require(not isinstance(value, int) or abs(value) < 2**63, f"{prefix}{name} has more than 63 bits")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise InputError(f"{message}.")
