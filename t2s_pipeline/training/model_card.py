"""The model card of an exported prompter: what it is, what it was made from, and its measured scores."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake.schema import BENCHMARK_METRICS, IMAGES, SAMPLES
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.training.checkpoints import Checkpoint

HEADLINE = ("giou", "ciou", "p_at_50")
"""The metrics that the card lists."""

Row = dict[str, Any]


@dataclass(frozen=True)
class TrainingData:
    """The split that was trained on. The hashes are over its contents in the order of ids, not over its files."""

    dataset: str
    samples: int
    images_sha256: str
    samples_sha256: str

    @classmethod
    def read(cls, lake: LakePlace, dataset: str) -> "TrainingData | None":
        """The training split of a dataset; None if it is no longer in the lake."""
        split = {"dataset": dataset, "split": "train"}
        try:
            images = read_partition(lake, IMAGES, split, ["image_id", "sha256"])
            samples = read_partition(lake, SAMPLES, split, ["sample_id", "image_id", "questions", "mask"])
        except NotMaterializedError:
            return None
        return cls(
            dataset,
            samples.num_rows,
            _digest(sorted(images.to_pylist(), key=lambda row: row["image_id"])),
            _digest(sorted(samples.to_pylist(), key=lambda row: row["sample_id"])),
        )


def _digest(rows: Sequence[Row]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, sort_keys=True, default=lambda value: value.hex()).encode())
    return digest.hexdigest()


def metrics(lake: LakePlace, system: str) -> list[Row]:
    """The rows of ``benchmark_metrics`` of a system."""
    try:
        rows = read_partition(lake, BENCHMARK_METRICS, {}).to_pylist()
    except NotMaterializedError:
        return []
    return [row for row in rows if row["system"] == system]


def card(checkpoint: Checkpoint, data: TrainingData | None, scores: Sequence[Row], weights: str, form: str) -> str:
    """The card in Markdown, with the front matter that the Hub reads.

    Args:
        checkpoint: the exported checkpoint.
        data: what it was trained on, if that is still in the lake.
        scores: rows as ``metrics`` gives them.
        weights: SHA-256 of the exported files.
        form: a sentence that says whether the files are the whole model or adapters for the base.
    """
    experiment = Experiment.from_json(checkpoint.experiment)
    lines = [
        "---",
        "library_name: transformers",
        f"base_model: {experiment.prompter}",
        "pipeline_tag: image-text-to-text",
        "tags: [remote-sensing, reasoning-segmentation, grpo]",
        "---",
        f"# {checkpoint.name}",
        "",
        f"A prompter for {experiment.segmenter}: it answers a question about an image with prompts of the form "
        f"`{experiment.recipe.combination}`, in pixels of the square that its processor makes. Trained from "
        f"`{experiment.prompter}` with GRPO, rewarded for the mask that the frozen segmenter makes (Think2Seg-RS), by "
        f"t2s_pipeline: step {checkpoint.step} of {checkpoint.steps}. {form}",
        "",
        "| made from | |",
        "|---|---|",
        f"| run | `{checkpoint.run}`, step {checkpoint.step} |",
        f"| checkpoint, sha256 of its weights | `{checkpoint.sha256}` |",
        f"| these weights, sha256 | `{weights}` |",
        f"| code, data and settings, fingerprint | `{checkpoint.fingerprint}` |",
        f"| finished | {checkpoint.created_at} |",
    ]
    if data is None:
        lines.append(f"| data | {experiment.dataset}-train, no longer in the lake |")
    else:
        lines += [
            f"| data | {data.dataset}-train, {data.samples} samples |",
            f"| its images, sha256 | `{data.images_sha256}` |",
            f"| its questions and masks, sha256 | `{data.samples_sha256}` |",
        ]
    lines += ["", "## Measured", ""]
    if scores:
        lines += [
            "Percent, with 95 % bootstrap intervals by image. The two protocols differ in what counts as a hit and in "
            "the resolution. Numbers of different protocols cannot be compared.",
            "",
            "| split | protocol | samples | gIoU | cIoU | P@0.5 |",
            "|---|---|---:|---:|---:|---:|",
        ]
        lines += map(_score_line, scores)
    else:
        lines.append("This checkpoint was not evaluated.")
    lines += ["", "## Settings", "", "```json", json.dumps(checkpoint.experiment, indent=1), "```", ""]
    return "\n".join(lines)


def _score_line(row: Row) -> str:
    cells = " | ".join(_cell(row, metric) for metric in HEADLINE)
    return f"| {row['dataset']}-{row['split']} | {row['protocol']} | {row['n']} | {cells} |"


def _cell(row: Row, metric: str) -> str:
    """A metric with its interval, in percent. A dash where it is not defined, as P@0.5 of no answer."""
    numbers = [row[f"{metric}{suffix}"] for suffix in ("", "_low", "_high")]
    if None in numbers:
        return "–"
    value, low, high = numbers
    return f"{value:.2f} [{low:.2f}, {high:.2f}]"
