"""Steps in which a system answers: completions, their masks, and the agreement of several sampled answers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import pyarrow as pa

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.datasets.registry import published_rule
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.methods.system import System
from t2s_pipeline.steps.fingerprints import code_fingerprint, known_sha256, precision_input, weights_fingerprint
from t2s_pipeline.steps.model_identity import prompter_title, segmenter_title
from t2s_pipeline.steps.step import Context, LakePartition, Step


@dataclass(frozen=True)
class _Answering(Step):
    """A step in which the worker runs a system on a split."""

    system: System
    dataset: str
    split: str

    verb: ClassVar[str]
    """The worker's command."""

    def _partition(self, **more: str) -> dict[str, str]:
        return {"system": self.system.name, **more, "dataset": self.dataset, "split": self.split}

    def _options(self) -> tuple[str, ...]:
        """Further options of the worker's command."""
        return ()

    def work(self, context: Context, fingerprint: str) -> None:
        """Let the worker do it. The resolved system travels, so that the worker uses the one that was counted."""
        resolved = json.dumps(self.system.as_json(), sort_keys=True)
        named = ("--system", self.system.name, "--dataset", self.dataset, "--split", self.split)
        context.worker(self.verb, fingerprint, *named, "--resolved", resolved, *self._options())


@dataclass(frozen=True)
class Complete(_Answering):
    """A system answers every question of a split."""

    name: ClassVar[str] = "complete"
    code: ClassVar[str] = "evaluation.generate"
    verb: ClassVar[str] = "generate"

    def writes(self) -> Sequence[LakePartition]:
        """The system's completions."""
        return [LakePartition(schema.COMPLETIONS, self._partition())]

    def reads(self) -> Sequence[LakePartition]:
        """The samples."""
        return [LakePartition(schema.SAMPLES, {"dataset": self.dataset, "split": self.split})]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The prompter's weights, how it is asked and how it generates."""
        return {
            "prompter": weights_fingerprint(self.system.prompter),
            "prompts": [self.system.recipe.combination_definition, self.system.asking],
            "generation": self.system.generation,
            **self._second_look(),
        }

    def _second_look(self) -> dict[str, object]:
        """What a second look depends on: the segmenter that makes the first masks. Nothing without one."""
        if self.system.recipe.turns == 1:
            return {}
        masks_of = [weights_fingerprint(self.system.segmenter), self.system.recipe.inference]
        code = code_fingerprint("evaluation.second_look")
        return {"turns": self.system.recipe.turns, "first_masks": masks_of, "code_of_turns": code}


@dataclass(frozen=True)
class Segment(_Answering):
    """A system's completions are parsed and segmented."""

    name: ClassVar[str] = "segment"
    code: ClassVar[str] = "evaluation.segment"
    verb: ClassVar[str] = "segment"

    def writes(self) -> Sequence[LakePartition]:
        """The system's predictions."""
        return [LakePartition(schema.PREDICTIONS, self._partition(segmenter=self.system.segmenter_name))]

    def reads(self) -> Sequence[LakePartition]:
        """The completions."""
        return [LakePartition(schema.COMPLETIONS, self._partition())]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The segmenter's weights and how it is prompted."""
        return {
            "segmenter": weights_fingerprint(self.system.segmenter),
            "combination": self.system.recipe.combination_definition,
            "inference": self.system.recipe.inference,
            **precision_input(),
        }

    def work(self, context: Context, fingerprint: str) -> None:
        """Let the worker segment, then record with which models and settings the system answered."""
        super().work(context, fingerprint)
        self.after_skipping(context, fingerprint)

    def after_skipping(self, context: Context, fingerprint: str) -> None:
        """Record it also where the masks are from an earlier release, which recorded nothing."""
        lake, target = context.settings.lake, LakePartition(schema.ANSWER_SETTINGS, self._partition())
        if target.fingerprint(lake) != fingerprint:
            write_partition(lake, target.table, target.partition, self._answer_settings(lake), fingerprint)

    def _answer_settings(self, lake: LakePlace) -> pa.Table:
        """The row of ``answer_settings``."""
        stored = read_partition(lake, schema.COMPLETIONS, self._partition(), ["settings"])["settings"]
        generated = json.loads(stored[0].as_py() or "{}") if len(stored) else {}
        settings = self.system.as_json()
        recorded = {
            **{key: settings[key] for key in ("recipe", "generation", "template")},
            "prompter_sha256": generated.get("prompter_sha256"),
            "segmenter_sha256": known_sha256(self.system.segmenter),
        }
        row = {
            "prompter": prompter_title(self.system.prompter),
            "segmenter": segmenter_title(self.system.segmenter),
            "prompt_combination": self.system.combination,
            "settings": json.dumps(recorded, sort_keys=True),
        }
        return pa.Table.from_pylist([row], schema=schema.ANSWER_SETTINGS.schema)


@dataclass(frozen=True)
class Agree(_Answering):
    """A system answers each question several times; the agreement of its answers is measured."""

    sampling: Sampling

    name: ClassVar[str] = "agree"
    code: ClassVar[str] = "evaluation.agreement"
    verb: ClassVar[str] = "agree"

    def writes(self) -> Sequence[LakePartition]:
        """The system's agreement."""
        return [LakePartition(schema.AGREEMENT, self._partition())]

    def reads(self) -> Sequence[LakePartition]:
        """The samples."""
        return [LakePartition(schema.SAMPLES, {"dataset": self.dataset, "split": self.split})]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """How the system is sampled, asked and segmented, and the weights of both models."""
        return {
            "sampling": self.sampling,
            "published_rule": published_rule(self.dataset),
            "prompter": weights_fingerprint(self.system.prompter),
            "segmenter": weights_fingerprint(self.system.segmenter),
            "prompts": [self.system.recipe.combination_definition, self.system.asking],
            "inference": self.system.recipe.inference,
        }

    def _options(self) -> tuple[str, ...]:
        return ("--sampling", json.dumps(asdict(self.sampling), sort_keys=True))
