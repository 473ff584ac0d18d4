"""An answer read back from its files (``answer_files.py``): its thoughts and its objects."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import shapely
from numpy.typing import NDArray

from t2s_pipeline.scenes.answer_files import ANSWER
from t2s_pipeline.scenes.features import Feature
from t2s_pipeline.scenes.piece import prompt_from_json
from t2s_pipeline.vision.place import Place
from t2s_pipeline.vision.view import SceneView


@dataclass(frozen=True)
class Thought:
    """What the system said about one view.

    Attributes:
        view: the view.
        status: as in ``search.ViewAnswer``.
        detail: why it is unreadable or failed.
        thought: the reasoning.
        text: the answer as the prompter wrote it.
        objects: the number of masks.
    """

    view: SceneView
    status: str
    detail: str
    thought: str
    text: str
    objects: int


@dataclass(frozen=True)
class WrittenAnswer:
    """The content of an answer's files."""

    thoughts: tuple[Thought, ...]
    features: tuple[Feature, ...]


def read_answer(folder: Path, objects_name: str, place: Place) -> WrittenAnswer:
    """The answer in a folder.

    Args:
        folder: of the answer.
        objects_name: the file with the objects, a GeoPackage.
        place: where the scene lies.
    """
    content = json.loads((folder / ANSWER).read_text("utf-8"))
    _, _, wkb, _ = pyogrio.raw.read(folder / objects_name, columns=[])
    return WrittenAnswer(
        tuple(Thought(**{**item, "view": SceneView(**item["view"])}) for item in content["answers"]),
        tuple(_features(content["objects"], shapely.from_wkb(wkb), place)),
    )


def _features(objects: list[dict[str, Any]], geometries: NDArray[Any], place: Place) -> Iterator[Feature]:
    for item, geometry in zip(objects, geometries, strict=True):
        yield Feature(
            outline=shapely.transform(geometry, lambda points: _pixels(points, place)),
            geometry=geometry,
            pixels=item["pixels"],
            area_m2=item["area_m2"],
            confidence=item["confidence"],
            agreement=item["agreement"],
            bounds=item["bounds"] and tuple(item["bounds"]),
            prompt=prompt_from_json(item["prompt_in_pixels"]),
            views=item["views"],
        )


def _pixels(points: NDArray[np.float64], place: Place) -> NDArray[np.float64]:
    """Positions (n, 2) in pixels, from map coordinates. Outlines follow the edges of pixels, so they are whole."""
    return np.column_stack(place.pixels_at(*points.T)).round()
