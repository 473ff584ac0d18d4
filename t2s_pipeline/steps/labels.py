"""Steps around pseudo-labels: make them as a rival method does, and measure how far they could carry."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow.compute as pc

from t2s_pipeline.core.distribution.pools import cluster_of
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.methods.registry import methods_with_labels
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH
from t2s_pipeline.steps.fingerprints import precision_input, weights_fingerprint
from t2s_pipeline.steps.step import Context, LakePartition, Step, StepReport


@dataclass(frozen=True)
class MakeLabels(Step):
    """Make the pseudo-labels of a rival method for a split; ``overrides`` change its settings (``eps=7``)."""

    method: str
    dataset: str
    split: str
    overrides: tuple[str, ...] = ()

    name: ClassVar[str] = "label"
    code: ClassVar[str] = "pseudo_labels.table"

    @property
    def samples(self) -> LakePartition:
        """The samples that are labelled."""
        return LakePartition(schema.SAMPLES, {"dataset": self.dataset, "split": self.split})

    def writes(self) -> Sequence[LakePartition]:
        """The method's labels of the split."""
        return [LakePartition(schema.PSEUDO_LABELS, {"method": self.method, **self.samples.partition})]

    def reads(self) -> Sequence[LakePartition]:
        """The samples."""
        return [self.samples]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The method's settings."""
        # Imported here, because SciPy takes half a second to import and Dagster must load the project quickly.
        from t2s_pipeline.pseudo_labels.labellings import labelling, parameters

        return {"parameters": parameters(labelling(self.method, self.overrides))}

    def work(self, context: Context, fingerprint: str) -> None:
        """Label every mask, on all cores."""
        from t2s_pipeline.pseudo_labels.labellings import labelling
        from t2s_pipeline.pseudo_labels.table import label_samples

        lake = context.settings.lake
        samples = read_partition(lake, schema.SAMPLES, self.samples.partition, ["sample_id", "mask", "is_empty"])
        cluster = cluster_of(context.settings)
        rows = label_samples(samples, labelling(self.method, self.overrides), os.cpu_count() or 1, cluster)
        (target,) = self.writes()
        write_partition(lake, target.table, target.partition, rows, fingerprint)

    def reports(self, context: Context, skipped: bool) -> list[StepReport]:
        """One report, which also counts the targets that got no label."""
        lake = context.settings.lake
        (target,) = self.writes()
        samples = read_partition(lake, schema.SAMPLES, self.samples.partition, ["is_empty"])
        sample_ids = read_partition(lake, target.table, target.partition, ["sample_id"])["sample_id"]
        empty, labelled = pc.sum(samples["is_empty"]).as_py() or 0, pc.count_distinct(sample_ids).as_py()
        counts = {
            "samples": samples.num_rows,
            "instances": len(sample_ids),
            "empty_targets": empty,
            "targets_without_label": samples.num_rows - empty - labelled,
        }
        return [StepReport(target.table.name, target.partition, len(sample_ids), skipped, {**counts})]


@dataclass(frozen=True)
class Judge(Step):
    """Segment with the labels of a split as prompts, and with the best prompts near them.

    Attributes:
        segmenter: by the name that tables show (``training.model_names.segmenter_name``).
        dataset: key of the dataset.
        split: of the dataset.
        wide: also judge rotated boxes, chains, and the best kind per object.
    """

    segmenter: str
    dataset: str
    split: str
    wide: bool = False

    name: ClassVar[str] = "judge"
    code: ClassVar[str] = "evaluation.label_quality"

    def writes(self) -> Sequence[LakePartition]:
        """One partition per method, and one for the search around the labels."""
        partition = {"segmenter": self.segmenter, "dataset": self.dataset, "split": self.split}
        return [
            LakePartition(schema.LABEL_QUALITY, {"method": method, **partition})
            for method in (*methods_with_labels(), SEARCH)
        ]

    def reads(self) -> Sequence[LakePartition]:
        """The samples and each method's labels."""
        split = {"dataset": self.dataset, "split": self.split}
        labels = [
            LakePartition(schema.PSEUDO_LABELS, {"method": method.labels, **split})
            for method in methods_with_labels().values()
        ]
        return [LakePartition(schema.SAMPLES, split), *labels]

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The segmenter's weights, and how each method prompts it."""
        return {
            "segmenter": weights_fingerprint(self.segmenter),
            "inference": [method.recipe.inference for method in methods_with_labels().values()],
            **({"wide": True} if self.wide else {}),
            **precision_input(),
        }

    def work(self, context: Context, fingerprint: str) -> None:
        """Let the worker segment."""
        options = ("--segmenter", self.segmenter, "--dataset", self.dataset, "--split", self.split)
        context.worker("judge-labels", fingerprint, *options, *(["--wide"] if self.wide else []))
