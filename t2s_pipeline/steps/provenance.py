"""What a measured system may be compared with: the published row of its name, and the base of its training.

A measured value stands beside a published one only if the system has the settings of that row. The named experiment of
the row says which settings these are. The settings that were used are recorded with the checkpoints (training) and in
the table ``answer_settings`` (evaluation). What is not recorded is not assumed.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.datasets.registry import published_samples
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.published import published_metrics
from t2s_pipeline.lake.store import list_partitions, read_partition
from t2s_pipeline.lake.table import Table
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.methods.experiments import EXPERIMENTS, READY, RELEASED, ZERO_SHOT
from t2s_pipeline.steps.model_identity import (
    prompter_title,
    recorded_prompter,
    recorded_segmenter,
    same_prompter,
    segmenter_title,
)
from t2s_pipeline.steps.settings_differences import answering_differences, training_differences

Row = dict[str, Any]

NOT_RECORDED = "its settings are not recorded: run t2s evaluate again"


@dataclass(frozen=True)
class Provenance:
    """What a system on a split may be compared with.

    Attributes:
        base: the untrained system with the prompter that its training started from and with the same segmenter.
        differs: how it differs from the published row whose ``measured_as`` is its name, in phrases. Empty if its
            settings are that row's; None if there is no such row. Neither the seed nor the word ``released`` counts as
            a part of the name.
    """

    base: str | None
    differs: tuple[str, ...] | None


@dataclass(frozen=True)
class Recorded:
    """The settings that the lake records."""

    lake: LakePlace

    def provenance(self, system: str, dataset: str, split: str, samples: int | None = None) -> Provenance:
        """What a system on a split may be compared with.

        Args:
            system: its name.
            dataset: key of the dataset.
            split: of the dataset.
            samples: that were scored; None if they are not to be compared with the published number.
        """
        # The view compared_with_published takes the same parts of a name away.
        name = system.partition("--")[0].partition("-seed")[0]
        row = name.removeprefix("released-") if name in RELEASED else name
        if row not in self._published:
            return Provenance(self._base(system), None)
        phrases = [*self._differences(name, system, dataset, split)]
        published = published_samples(dataset, split)
        if samples is not None and published is not None and samples != published:
            phrases.append(f"{samples:,} samples instead of {published:,}")
        return Provenance(self._base(system), tuple(phrases))

    def _differences(self, name: str, system: str, dataset: str, split: str) -> Iterator[str]:
        answered = self._rows(schema.ANSWER_SETTINGS, {"system": system, "dataset": dataset, "split": split})
        checkpoint = self._checkpoints.get(system)
        if name in EXPERIMENTS:
            expected = EXPERIMENTS[name]
            if checkpoint is None or not checkpoint["settings"] or not answered:
                yield NOT_RECORDED
                return
            used = self._experiment(checkpoint)
            if used is None:
                yield "its recorded settings cannot be read by this release"
                return
            yield from training_differences(used, expected, self._steps(checkpoint["run"]))
            yield from answering_differences(answered[0], expected, checkpoint["sha256"])
        elif name in READY:
            if not answered:
                yield NOT_RECORDED
                return
            yield from answering_differences(answered[0], READY[name], own_instruction=name in RELEASED)
        elif answered:
            yield f"its texts were segmented here with {answered[0]['segmenter']}"

    def _base(self, system: str) -> str | None:
        """The zero-shot system of the same prompter and segmenter, preferably with the same prompt combination."""
        checkpoint = self._checkpoints.get(system)
        used = self._experiment(checkpoint) if checkpoint else None
        if used is None:
            return None
        same = [
            name
            for name, item in ZERO_SHOT.items()
            if same_prompter(prompter_title(item.prompter), recorded_prompter(used.prompter))
            and segmenter_title(item.segmenter) == recorded_segmenter(used.segmenter)
        ]
        same.sort(key=lambda name: ZERO_SHOT[name].recipe.combination != used.recipe.combination)
        return same[0] if same else None

    def _steps(self, run: str) -> int | None:
        """The steps of a finished run; None if its last checkpoint is not there."""
        last = self._checkpoints.get(run)
        return None if last is None else int(last["step"])

    @staticmethod
    def _experiment(checkpoint: Row) -> Experiment | None:
        try:
            return Experiment.from_json(json.loads(checkpoint["settings"] or "{}"))
        except (InputError, ValueError):
            return None

    @cached_property
    def _published(self) -> frozenset[str]:
        return frozenset(published_metrics()["measured_as"].to_pylist())

    @cached_property
    def _checkpoints(self) -> Mapping[str, Row]:
        """System → its row of ``checkpoints``, with its run."""
        rows: dict[str, Row] = {}
        for partition in list_partitions(self.lake, schema.CHECKPOINTS):
            rows |= {row["system"]: {**row, **partition} for row in self._rows(schema.CHECKPOINTS, partition)}
        return rows

    def _rows(self, table: Table, partition: Partition) -> list[Row]:
        if partition not in list_partitions(self.lake, table):
            return []
        rows: list[Row] = read_partition(self.lake, table, partition).to_pylist()
        return rows
