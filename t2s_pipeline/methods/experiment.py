"""The settings of a training run: one frozen, validated object decides everything about it.

It is stored with the checkpoint and with every number that comes of it. The named experiments are in the files of the
methods; ``experiments.py`` lists them.
"""

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.names import require_name
from t2s_pipeline.core.overrides import with_setting
from t2s_pipeline.methods.checked_settings import check_types, require
from t2s_pipeline.methods.compute import Compute, Watch
from t2s_pipeline.methods.grpo import GRPOSettings
from t2s_pipeline.methods.recipe import AS_BEFORE, Recipe
from t2s_pipeline.prompters.base import GenerationSettings
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS

LATER_SETTINGS: dict[str, object] = {
    "grpo.epsilon_high": 0.0,
    "grpo.loss": "sequence",
    "grpo.length_budget": 0,
    "calibration": 0.0,
    "calibration_dataset": "",
    "mine_empty": 0.0,
    "recipe.inference.negatives": 0,
    "recipe.turns": 1,
}
"""Settings that came after 0.2 → the value that changes nothing. With this value they do not count in the fingerprint,
so that finished runs stay finished."""


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
    calibration: float = 0.0
    """The share of the prompts that come from ``calibration_dataset``; their answers are compared with a box label."""
    calibration_dataset: str = ""
    """A referring dataset: each expression means one object. Its split train is used."""
    mine_empty: float = 0.0
    """The share of the prompts whose question is asked about an image that lacks its target."""
    compute: Compute = field(default_factory=Compute)
    watch: Watch = field(default_factory=Watch)

    def __post_init__(self) -> None:
        check_types(self, "")
        check_types(self.compute, "compute.")
        check_types(self.watch, "watch.")
        check_types(self.generation, "generation.")
        check_types(self.recipe, "recipe.")
        for fault in (*self.compute.faults(), *self.watch.faults()):
            raise InputError(f"{fault}.")
        require_name(self.run, "run")
        require(self.seed >= 0, "seed must not be negative")
        self._check_mixture()
        prompts, ranks = self.grpo.prompts_per_step, self.compute.ranks
        require(
            prompts % ranks == 0,
            f"grpo.prompts_per_step {prompts} cannot be shared evenly among {ranks} processes",
        )
        per_pass, per_rank = self.grpo.completions_per_pass, self.grpo.completions_per_step // ranks
        require(
            per_pass == 0 or per_rank % min(per_pass, per_rank) == 0,
            f"grpo.completions_per_pass {per_pass} must divide the {per_rank} completions of one process",
        )

    def _check_mixture(self) -> None:
        """Check the shares of other prompts."""
        for name in ("calibration", "mine_empty"):
            require(0 <= getattr(self, name) <= 0.5, f"{name} must lie between 0 and 0.5")
        require(not self.calibration or bool(self.calibration_dataset), "calibration needs a calibration_dataset")
        has_box = PROMPT_COMBINATIONS[self.combination].has_box
        require(not self.calibration or has_box, f"calibration needs boxes, and {self.combination} has none")
        require(not (self.calibration and self.recipe.labels), "calibration needs a reward without pseudo-labels")

    @property
    def train_datasets(self) -> tuple[str, ...]:
        """The datasets whose split train is learned from."""
        return (self.dataset, self.calibration_dataset) if self.calibration else (self.dataset,)

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
        for path, unchanged in LATER_SETTINGS.items():
            *groups, last = path.split(".")
            owner = functools.reduce(lambda settings, group: settings[group], groups, learned)
            if owner[last] == unchanged:
                del owner[last]
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
