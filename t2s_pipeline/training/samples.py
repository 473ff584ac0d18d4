"""What the prompter says while it learns: some completions every so many steps as a table and pictures. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from PIL import Image

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import NotMaterializedError
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
"""Prompts of a step that are shown, each by the best and the worst of its completions."""
GAP = 6


@dataclass(frozen=True)
class ShownCompletion:
    """A completion that is looked at.

    Attributes:
        row: the prompt's place in the run's order.
        square, truth: uint8 (S, S, 3) and bool (S, S), the prompter's square.
        rank: best or worst of its group.
        rewards: the parts, unweighted; NaN throughout if it abstained.
    """

    row: int
    square: np.ndarray
    truth: np.ndarray
    rank: str
    text: str
    rewards: tuple[float, ...]


def best_and_worst(
    inputs: Sequence[dict], texts: Sequence[str], rewards: np.ndarray, weights: Sequence[float]
) -> list[ShownCompletion]:
    """The best and the worst completion of each of a batch's first prompts.

    Args:
        inputs: the batch's rows with ``row``, ``square`` and ``truth``, one a completion.
        rewards: (completions, parts), unweighted.
    """
    totals = rewards @ np.asarray(weights)
    groups: dict[int, list[int]] = {}
    for index, row in enumerate(inputs):
        groups.setdefault(row["row"], []).append(index)
    looks = []
    for row, members in list(groups.items())[:GROUPS]:
        judged = [index for index in members if not np.isnan(totals[index])] or members
        chosen = {"best": max(judged, key=lambda i: totals[i]), "worst": min(judged, key=lambda i: totals[i])}
        for rank, index in chosen.items():
            one = inputs[index]
            parts = tuple(map(float, rewards[index]))
            looks.append(ShownCompletion(row, one["square"], one["truth"], rank, texts[index], parts))
    return looks


class SampleBook:
    """The table ``training_samples`` of one run, and a picture for each step in it.

    Args:
        home: T2S_HOME.
        frame: the square the prompter sees.
        written: what the coordinates of its answers count in.
        parts: names and weights of the reward's parts.
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
        self._recipe, self._frame, self._written = recipe, frame, written
        self._segmenter, self._parts = segmenter, parts
        self._rows: list[dict] = []

    def resume(self, step: int) -> None:
        """Take over what an interrupted run wrote, up to a step."""
        try:
            rows = read_partition(self._home / "lake", TRAINING_SAMPLES, self._partition).to_pylist()
        except NotMaterializedError:
            rows = []
        self._rows = [row for row in rows if row["step"] <= step]

    def add(self, step: int, looks: Sequence[tuple[ShownCompletion, str, str]]) -> Path:
        """QuestionChoice and write what was looked at; each with its sample_id and question. Returns the picture."""
        path = self._pictures / f"step-{step:06d}.jpg"
        panels = []
        for look, sample_id, question in looks:
            row, picture = self._row(look)
            place = path.relative_to(self._home).as_posix()
            self._rows.append({"step": step, "sample_id": sample_id, "question": question, "panel": place, **row})
            panels.append(picture)
        with atomic_file(path) as temporary:
            _sheet(panels).save(temporary, "JPEG", quality=88)
        table = pa.Table.from_pylist(self._rows, schema=TRAINING_SAMPLES.schema)
        write_partition(self._home / "lake", TRAINING_SAMPLES, self._partition, table, "")
        return path

    def _row(self, look: ShownCompletion) -> tuple[dict, Image.Image]:
        answer = parse(look.text, PROMPT_COMBINATIONS[self._recipe.combination], self._written, self._recipe.repair)
        answer = answer.moved(self._written, self._frame)
        objects: tuple[PromptObject, ...] = () if isinstance(answer, FormatError) else answer.objects
        status = "format_error" if isinstance(answer, FormatError) else "ok" if objects else "rejected"
        drawn = None
        if objects:
            try:
                drawn = self._draw(look.square, objects)
            except RuntimeError:  # the segmenter's; its reward has abstained and was counted
                status = "error"
        abstained = any(np.isnan(look.rewards))
        parts = [] if abstained else [(name, value) for (name, _), value in zip(self._parts, look.rewards, strict=True)]
        row = {
            "rank": look.rank,
            "text": look.text,
            "reward": None if abstained else sum(w * v for (_, w), v in zip(self._parts, look.rewards, strict=True)),
            "reward_parts": parts,
            "status": status,
            "prompts": prompts_to_arrow(objects),
            "side": self._frame.width,
            "mask": None if drawn is None else masks.encode(drawn).as_arrow(),
        }
        return row, panel(look.square, objects, self._frame, drawn, look.truth if look.truth.any() else None)

    def _draw(self, square: np.ndarray, objects: tuple[PromptObject, ...]) -> np.ndarray:
        fed = [self._recipe.inference.prompts(objects)]
        embedding = self._segmenter.encode(square)
        (drawn,) = self._segmenter.decode(
            embedding, fed, self._frame, self._frame, multimask=self._recipe.inference.multimask
        )
        return drawn.mask


def _sheet(panels: Sequence[Image.Image]) -> Image.Image:
    """Pairs side by side: the best of a group left, the worst right."""
    width, height = max(one.width for one in panels), max(one.height for one in panels)
    rows = (len(panels) + 1) // 2
    sheet = Image.new("RGB", (2 * (width + GAP) + GAP, rows * (height + GAP) + GAP), "white")
    for index, one in enumerate(panels):
        sheet.paste(one, (GAP + (index % 2) * (width + GAP), GAP + index // 2 * (height + GAP)))
    return sheet
