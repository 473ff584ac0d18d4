"""Sample completions of a run: at regular steps, some completions are kept as table rows and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from PIL import Image

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.prompts import prompts_to_arrow
from t2s_pipeline.lake.schema import TRAINING_SAMPLES
from t2s_pipeline.lake.store import read_partition, write_partition
from t2s_pipeline.methods.recipe import Recipe
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS
from t2s_pipeline.prompting.parsing import FormatError, parse
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.panels import panel

if TYPE_CHECKING:
    from t2s_pipeline.segmenters.sam2 import Sam2Segmenter

GROUPS = 4
"""The number of prompts per step that are shown, each with its best and its worst completion."""
GAP = 6
"""Pixels between the panels of a picture."""


@dataclass(frozen=True)
class ShownCompletion:
    """A completion that is shown to people, with the image and the truth on the prompter's square of side S.

    Attributes:
        row: the prompt's place in the run's order.
        square: the image, uint8 (S, S, 3).
        truth: bool (S, S).
        rank: ``best`` or ``worst`` of its group.
        text: the completion.
        rewards: the parts of the reward, unweighted; all NaN if the completion has no reward.
    """

    row: int
    square: np.ndarray
    truth: np.ndarray
    rank: str
    text: str
    rewards: tuple[float, ...]


def best_and_worst(
    inputs: Sequence[Mapping[str, Any]],
    texts: Sequence[str],
    rewards: np.ndarray,
    weights: Sequence[float] | np.ndarray,
) -> list[ShownCompletion]:
    """The best and the worst completion of each of the first prompts of a batch.

    Args:
        inputs: the rows of the batch with ``row``, ``square`` and ``truth``, one per completion.
        texts: the completions.
        rewards: (completions, parts), unweighted.
        weights: of the parts.
    """
    totals = rewards @ np.asarray(weights)
    groups: dict[int, list[int]] = {}
    for index, item in enumerate(inputs):
        groups.setdefault(item["row"], []).append(index)
    shown = []
    for row, members in list(groups.items())[:GROUPS]:
        rewarded = [index for index in members if not np.isnan(totals[index])] or members
        ranks = {"best": max(rewarded, key=lambda i: totals[i]), "worst": min(rewarded, key=lambda i: totals[i])}
        for rank, index in ranks.items():
            item, parts = inputs[index], tuple(map(float, rewards[index]))
            shown.append(ShownCompletion(row, item["square"], item["truth"], rank, texts[index], parts))
    return shown


class SampleBook:
    """The table ``training_samples`` of one run, with one picture per step.

    Args:
        home: T2S_HOME.
        run: the run's name.
        pictures: the folder for the pictures.
        recipe: of the run: how answers are read and fed to the segmenter.
        frame: the prompter's square, in pixels.
        written: the frame that the coordinates of the answers are written in.
        segmenter: makes the masks that the pictures show.
        parts: names and weights of the parts of the reward.
    """

    def __init__(
        self,
        home: Path,
        run: str,
        pictures: Path,
        recipe: Recipe,
        frame: Frame,
        written: Frame,
        segmenter: "Sam2Segmenter",
        parts: Sequence[tuple[str, float]],
    ) -> None:
        self._home, self._partition, self._pictures = home, {"run": run}, pictures
        self._lake = Settings.of_worker(home).lake
        self._recipe, self._frame, self._written = recipe, frame, written
        self._segmenter, self._parts = segmenter, parts
        self._rows: list[dict[str, Any]] = []

    def resume(self, step: int) -> None:
        """Read the rows of an interrupted run, up to a step."""
        try:
            rows = read_partition(self._lake, TRAINING_SAMPLES, self._partition).to_pylist()
        except NotMaterializedError:
            rows = []
        self._rows = [row for row in rows if row["step"] <= step]

    def add(self, step: int, completions: Sequence[tuple[ShownCompletion, str, str]]) -> Path:
        """Write the rows and the picture of a step.

        Args:
            step: the optimizer step.
            completions: each with its sample_id and its question.

        Returns:
            The picture's file.
        """
        path = self._pictures / f"step-{step:06d}.jpg"
        panel_path = path.relative_to(self._home).as_posix()
        panels = []
        for completion, sample_id, question in completions:
            row, picture = self._row(completion)
            self._rows.append({"step": step, "sample_id": sample_id, "question": question, "panel": panel_path, **row})
            panels.append(picture)
        with atomic_file(path) as temporary:
            _sheet(panels).save(temporary, "JPEG", quality=88)
        table = pa.Table.from_pylist(self._rows, schema=TRAINING_SAMPLES.schema)
        write_partition(self._lake, TRAINING_SAMPLES, self._partition, table, "")
        return path

    def _row(self, shown: ShownCompletion) -> tuple[dict[str, Any], Image.Image]:
        """The table row of a completion and its panel."""
        combination = PROMPT_COMBINATIONS[self._recipe.combination]
        answer = parse(shown.text, combination, self._written, self._recipe.repair).moved(self._written, self._frame)
        objects: tuple[PromptObject, ...] = () if isinstance(answer, FormatError) else answer.objects
        status = "format_error" if isinstance(answer, FormatError) else "ok" if objects else "rejected"
        mask = None
        if objects:
            try:
                mask = self._segment(shown.square, objects)
            except RuntimeError:  # from the segmenter; the completion has no reward and is counted as such
                status = "error"
        abstained = any(np.isnan(shown.rewards))
        parts = list(zip(self._parts, shown.rewards, strict=True))
        row = {
            "rank": shown.rank,
            "text": shown.text,
            "reward": None if abstained else sum(weight * value for (_, weight), value in parts),
            "reward_parts": [] if abstained else [(name, value) for (name, _), value in parts],
            "status": status,
            "prompts": prompts_to_arrow(objects),
            "side": self._frame.width,
            "mask": None if mask is None else masks.encode(mask).as_arrow(),
        }
        return row, panel(shown.square, objects, self._frame, mask, shown.truth if shown.truth.any() else None)

    def _segment(self, square: np.ndarray, objects: tuple[PromptObject, ...]) -> np.ndarray:
        """The union of the objects' masks, bool (S, S)."""
        prompts = [self._recipe.inference.prompts(objects)]
        embedding = self._segmenter.encode(square)
        (segmented,) = self._segmenter.decode(
            embedding, prompts, self._frame, self._frame, multimask=self._recipe.inference.multimask
        )
        mask: np.ndarray = segmented.mask
        return mask


def _sheet(panels: Sequence[Image.Image]) -> Image.Image:
    """Pairs of panels side by side: the best completion of a group left, the worst right."""
    width, height = max(item.width for item in panels), max(item.height for item in panels)
    rows = (len(panels) + 1) // 2
    sheet = Image.new("RGB", (2 * (width + GAP) + GAP, rows * (height + GAP) + GAP), "white")
    for index, item in enumerate(panels):
        sheet.paste(item, (GAP + (index % 2) * (width + GAP), GAP + index // 2 * (height + GAP)))
    return sheet
