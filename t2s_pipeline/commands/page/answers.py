"""The answers that the page shows, with what a person changed in them."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely

from t2s_pipeline.commands.page.scene_list import ListedScene
from t2s_pipeline.methods.system import System
from t2s_pipeline.scenes.answer_reading import Thought
from t2s_pipeline.scenes.features import Feature
from t2s_pipeline.scenes.mask_file import write_mask
from t2s_pipeline.scenes.piece import prompt_as_json
from t2s_pipeline.scenes.vector_files import Attribution, write_features
from t2s_pipeline.vision.geometry import Box
from t2s_pipeline.vision.scene import OpenScene
from t2s_pipeline.vision.view import SceneView

MOST_POSITIONS = 80_000
"""If the outlines of an answer have more positions, they are shown simplified. Files have them exactly."""

MOST_THOUGHTS = 40
SHOWN_TEXT = 4_000
"""Characters of a thought or text that are shown."""


@dataclass
class PageAnswer:
    """One answer on the page.

    Attributes:
        scene: what was asked.
        bands: the bands that were shown to the models.
        question: empty if a person prompts only.
        system: who answered, or who segments a person's prompts.
        thoughts: what it said, per view.
        notes: what a person should know about the scene.
        objects: by number, in their order.
        views: the views in which objects were segmented again, by their number.
        folder: of the answer's files; None if no file was written.
        is_edited: true if a person changed an object.
        key: the name of the answer in the page's requests.
    """

    scene: ListedScene
    bands: tuple[int, ...]
    question: str
    system: System
    thoughts: tuple[Thought, ...] = ()
    notes: tuple[str, ...] = ()
    objects: dict[int, Feature] = field(default_factory=dict)
    views: dict[int, SceneView] = field(default_factory=dict)
    folder: Path | None = None
    is_edited: bool = False
    key: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def author(self) -> str:
        """Who made the objects, for tables and files."""
        if not self.question and not self.thoughts:
            return f"{self.system.segmenter}, prompted by a person"
        return f"{self.system.name}, edited by a person" if self.is_edited else self.system.name

    @property
    def features(self) -> list[Feature]:
        """The objects in their order."""
        return [feature for _, feature in sorted(self.objects.items())]

    def unsearched(self) -> list[Box]:
        """The parts of the scene that could not be searched."""
        return [thought.view.box for thought in self.thoughts if thought.status == "failed"]

    def write(self, path: Path, scene: OpenScene) -> None:
        """Write the mask (``.tif``) or the objects (another ending) as they are now."""
        features = self.features
        if path.suffix == ".tif":
            write_mask(path, scene, features, self.unsearched())
        else:
            write_features(path, features, Attribution(self.question, self.author, scene.path.name, scene.place.crs))

    def as_json(self) -> dict[str, Any]:
        """What the page shows."""
        simplified = simplification(self.features)
        shown = sorted(self.thoughts, key=lambda thought: thought.objects == 0)
        return {
            "key": self.key,
            "scene": self.scene.key,
            "question": self.question,
            "system": self.system.name,
            "segmenter": self.system.segmenter,
            "author": self.author,
            "folder": str(self.folder) if self.folder and not self.scene.uploaded else "",
            "notes": self.notes,
            "objects": [object_as_json(number, item, simplified) for number, item in sorted(self.objects.items())],
            "simplified": simplified > 0,
            "views": len(self.thoughts),
            "failed": len(self.unsearched()),
            "thoughts": [_thought(thought) for thought in shown[:MOST_THOUGHTS]],
        }


def simplification(features: Sequence[Feature]) -> float:
    """The tolerance in pixels with which outlines are shown; 0 if they are shown exactly."""
    positions = sum(shapely.get_num_coordinates(feature.outline) for feature in features)
    return 0.0 if positions <= MOST_POSITIONS else positions / MOST_POSITIONS


def object_as_json(number: int, item: Feature, tolerance: float = 0.0) -> dict[str, Any]:
    """An object as the page shows it: prompt and outline in pixels of the scene."""
    edge = shapely.simplify(item.outline, tolerance) if tolerance else item.outline
    return {
        "number": number,
        "prompt": prompt_as_json(item.prompt),
        "outline": [
            [[[x, y] for x, y in ring.coords] for ring in (polygon.exterior, *polygon.interiors)]
            for polygon in shapely.get_parts(edge)
        ],
        "pixels": item.pixels,
        "area_m2": item.area_m2,
        "confidence": item.confidence,
        "agreement": item.agreement,
        "bounds": item.bounds,
    }


def _thought(thought: Thought) -> dict[str, Any]:
    return {
        "view": thought.view.box,
        "status": thought.status,
        "detail": thought.detail[:SHOWN_TEXT],
        "thought": thought.thought[:SHOWN_TEXT],
        "text": thought.text[:SHOWN_TEXT],
        "objects": thought.objects,
    }
