"""The files of an answer: mask, objects, picture, and everything as JSON."""

import json
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.scenes.features import Feature
from t2s_pipeline.scenes.mask_file import rasterized, write_mask
from t2s_pipeline.scenes.piece import prompt_as_json
from t2s_pipeline.scenes.request import SceneResult
from t2s_pipeline.scenes.search import ViewAnswer
from t2s_pipeline.scenes.vector_files import Attribution, write_features
from t2s_pipeline.vision.geometry import Frame, PromptObject
from t2s_pipeline.vision.panels import panel
from t2s_pipeline.vision.scene import OpenScene
from t2s_pipeline.vision.view import SceneView

ANSWER, MASK, PANEL = "answer.json", "mask.tif", "panel.png"
PANEL_HEIGHT = 720
MOST_PROMPTS = 60
"""A picture with more objects shows their masks and not their prompts, which would cover them."""


@dataclass(frozen=True)
class AnswerAbout:
    """What an answer is about, and what it was made from.

    Attributes:
        question: what was asked; empty if a person gave the prompts.
        system: who answered.
        fingerprint: of everything that the answer depends on.
        made_from: the parts of the fingerprint that a person may look for.
    """

    question: str
    system: str
    fingerprint: str
    made_from: Mapping[str, str] = field(default_factory=dict)


def write_answer(
    folder: Path,
    objects_name: str,
    scene: OpenScene,
    features: Sequence[Feature],
    result: SceneResult,
    about: AnswerAbout,
    temporary: Path,
) -> None:
    """Write the files of an answer into a folder. Each appears whole; ``answer.json`` is the last.

    Args:
        folder: it is created if it is missing. Its other files stay.
        objects_name: the name of the file with the objects; its ending says the format.
        scene: the scene.
        features: its objects.
        result: what the worker found.
        about: what the answer is about.
        temporary: an empty folder for the files while they are incomplete.
    """
    temporary.mkdir(parents=True, exist_ok=True)
    unsearched = [answer.view.box for answer in result.failed()]
    write_mask(temporary / MASK, scene, features, unsearched)
    attribution = Attribution(about.question, about.system, scene.path.name, scene.place.crs)
    write_features(temporary / objects_name, features, attribution)
    picture_of(scene, features).save(temporary / PANEL)
    text = json.dumps(_as_json(objects_name, scene, features, result, about), indent=1, ensure_ascii=False)
    (temporary / ANSWER).write_text(text, "utf-8")
    scene.require_unchanged()
    for name in (MASK, objects_name, PANEL, ANSWER):
        with atomic_file(folder / name) as path:
            shutil.copyfile(temporary / name, path)


def fingerprint_of_answer(folder: Path, objects_name: str) -> str:
    """The fingerprint of the answer in a folder; empty if there is none, or a file of it is missing."""
    if not all((folder / name).is_file() for name in (MASK, objects_name, PANEL, ANSWER)):
        return ""
    try:
        return str(json.loads((folder / ANSWER).read_text("utf-8"))["fingerprint"])
    except (ValueError, KeyError, TypeError):
        return ""


def picture_of(scene: OpenScene, features: Sequence[Feature]) -> Image.Image:
    """The scene with its mask and prompts, as the results page shows a sample."""
    scale = max(1.0, scene.height / PANEL_HEIGHT, scene.width / (2 * PANEL_HEIGHT))
    size = max(1, round(scene.width / scale)), max(1, round(scene.height / scale))
    view = SceneView(0, 0, scene.width, scene.height, *size)
    image, present = scene.read(view)
    image[~present] = 0
    outlines = [feature.outline for feature in features]
    mask = rasterized(outlines, view, all_touched=scale > 1) if outlines else np.zeros(present.shape, bool)
    prompts = [feature.prompt for feature in features] if len(features) <= MOST_PROMPTS else []
    height = min(PANEL_HEIGHT, max(scene.height, 360))
    return panel(image, prompts, Frame(scene.width, scene.height), mask, height=height)


def _as_json(
    objects_name: str, scene: OpenScene, features: Sequence[Feature], result: SceneResult, about: AnswerAbout
) -> dict[str, Any]:
    return {
        "question": about.question,
        "system": about.system,
        "scene": {
            "path": str(scene.path),
            "width": scene.width,
            "height": scene.height,
            "bands": list(scene.bands),
            "crs": scene.place.crs or None,
            "transform": list(scene.place.transform),
            "notes": list(scene.notes),
        },
        "fingerprint": about.fingerprint,
        "made_from": {**about.made_from, "prompter_sha256": result.prompter, "segmenter_sha256": result.segmenter},
        "tile": result.tile,
        "overlap": result.overlap,
        "files": {"mask": MASK, "objects": objects_name, "panel": PANEL},
        "objects": [_object(number, feature, scene) for number, feature in enumerate(features, start=1)],
        "views": {"count": len(result.views), "status": Counter(view.status for view in result.views)},
        "answers": [_view(answer) for answer in result.views],
    }


def _object(number: int, feature: Feature, scene: OpenScene) -> dict[str, Any]:
    return {
        "object": number,
        "pixels": feature.pixels,
        "area_m2": feature.area_m2,
        "confidence": feature.confidence,
        "agreement": feature.agreement,
        "views": feature.views,
        "bounds": feature.bounds,
        "prompt_in_pixels": prompt_as_json(feature.prompt),
        "prompt_on_map": prompt_as_json(_on_map(feature.prompt, scene)) if scene.has_grid else None,
    }


def _on_map(prompt: PromptObject, scene: OpenScene) -> PromptObject:
    """A prompt in map coordinates. Of a rotated grid, the box is the one around the two corners."""

    def placed(point: tuple[float, float]) -> tuple[float, float]:
        x, y = scene.place.at(np.array([point[0]]), np.array([point[1]]))
        return float(x[0]), float(y[0])

    box = prompt.bbox
    if box is not None:
        (xa, ya), (xb, yb) = placed(box[:2]), placed(box[2:])
        box = (min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb))
    positive, negative = prompt.positive_points, prompt.negative_points
    return PromptObject(box, tuple(map(placed, positive)), tuple(map(placed, negative)))


def _view(answer: ViewAnswer) -> dict[str, Any]:
    return {
        "view": vars(answer.view),
        "status": answer.status,
        "detail": answer.detail,
        "thought": answer.thought,
        "text": answer.text,
        "objects": len(answer.pieces),
    }
