"""Answers that a person keeps as labelled samples: a folder that `t2s ingest custom` reads.

``T2S_HOME/samples/<dataset>`` holds ``images/``, ``masks/`` and ``questions.jsonl``. The pictures are GeoTIFF files
with the place of their part of the scene.
"""

import hashlib
import json
import shlex
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.outside_files import INDEX_BYTES, outside_text
from t2s_pipeline.datasets.dataset import dataset_name
from t2s_pipeline.datasets.layout import SPLITS
from t2s_pipeline.scenes.features import Feature
from t2s_pipeline.scenes.mask_file import rasterized
from t2s_pipeline.vision.scene import OpenScene
from t2s_pipeline.vision.view import SceneView

MOST_SIDE = 2_048
"""The most pixels per side of a sample. Of a larger scene the part on view is kept."""

LEAST_SIDE = 16
TARGET, BACKGROUND = 255, 0


@dataclass(frozen=True)
class KeptSample:
    """A sample that was kept.

    Attributes:
        folder: of the dataset.
        image: the name of the picture below ``images``.
        samples: the questions that the dataset has now.
        command: the command that reads the folder.
    """

    folder: Path
    image: str
    samples: int
    command: str


def keep(
    home: Path,
    dataset: str,
    split: str,
    scene: OpenScene,
    question: str,
    features: Sequence[Feature],
    view: SceneView | None,
) -> KeptSample:
    """Write a picture, its mask and its question. The same question about the same picture replaces the earlier one.

    Args:
        home: T2S_HOME.
        dataset: the name of the dataset, as a person writes it.
        split: train, val or test.
        scene: the scene.
        question: what was asked.
        features: the objects that answer it; none means that there is no target.
        view: the part of a large scene; None for the whole scene.

    Raises:
        InputError: if the name or the split cannot be used, or the part is too large or too small.
        T2SError: if the disk is full.
    """
    name = dataset_name(dataset)
    if not name:
        raise InputError("Give the dataset a name with letters or digits.")
    if split not in SPLITS:
        raise InputError(f"There is no split {split}. Choose one of {', '.join(SPLITS)}.")
    part = _part(scene, view)
    folder = home / "samples" / name
    origin = hashlib.sha256(str(scene.path).encode("utf-8", "backslashreplace")).hexdigest()[:6]
    stem = f"{dataset_name(scene.path.stem)[:40] or 'scene'}-{origin}-{part.x}-{part.y}-{part.width}x{part.height}"
    with only_one(home, f"the samples of {name}"):
        image, present = scene.read(part)
        image[~present] = 0
        _write(folder / "images" / f"{stem}.tif", image, scene, part)
        mask = _mask(features, part)
        mark = hashlib.sha256(question.encode()).hexdigest()[:8]
        mask_name = f"{stem}-{mark}.tif" if mask.any() else ""
        if mask_name:
            _write(folder / "masks" / mask_name, mask, scene, part)
        (folder / "masks").mkdir(exist_ok=True)
        row = {"image": f"{stem}.tif", "question": question, "mask": mask_name, "split": split}
        count = _add(folder / "questions.jsonl", row)
    paths = {"images": folder / "images", "masks": folder / "masks", "queries": folder / "questions.jsonl"}
    options = " ".join(f"--{option} {shlex.quote(str(path))}" for option, path in paths.items())
    return KeptSample(folder, f"{stem}.tif", count, f"t2s ingest custom {options} --name {name}")


def _part(scene: OpenScene, view: SceneView | None) -> SceneView:
    """The view at the scene's own resolution.

    Raises:
        InputError: if it is too large or too small.
    """
    whole = SceneView(0, 0, scene.width, scene.height, scene.width, scene.height)
    if view is None or max(scene.width, scene.height) <= MOST_SIDE:
        view = whole
    x, y = max(0, view.x), max(0, view.y)
    width, height = min(scene.width, view.x + view.width) - x, min(scene.height, view.y + view.height) - y
    if max(width, height) > MOST_SIDE:
        raise InputError(
            f"The part on view has {width:,} × {height:,} pixels and a sample at most {MOST_SIDE:,} per side: zoom in "
            "on what the question is about."
        )
    if min(width, height) < LEAST_SIDE:
        raise InputError(f"The part on view has less than {LEAST_SIDE} pixels per side: zoom out.")
    return SceneView(x, y, width, height, width, height)


def _mask(features: Sequence[Feature], part: SceneView) -> NDArray[np.uint8]:
    outlines = [feature.outline for feature in features]
    inside = rasterized(outlines, part) if outlines else np.zeros((part.rows, part.columns), bool)
    return np.where(inside, TARGET, BACKGROUND).astype(np.uint8)


def _write(path: Path, pixels: NDArray[np.uint8], scene: OpenScene, part: SceneView) -> None:
    """Write pixels (H, W) or (H, W, 3) as GeoTIFF at their place."""
    layers = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": part.width,
        "height": part.height,
        "count": len(layers),
        "dtype": "uint8",
        "compress": "deflate",
        "photometric": "RGB" if len(layers) == 3 else "MINISBLACK",
    }
    if scene.has_grid:
        place = scene.place.moved(part.x, part.y)
        profile |= {"crs": place.crs or None, "transform": Affine(*place.transform)}
    with atomic_file(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(temporary, "w", **profile) as dataset:
            dataset.write(layers)


def _add(path: Path, row: dict[str, str]) -> int:
    """Add a row to a table; return how many it has. A row of the same picture and question is replaced."""
    lines = outside_text(path, INDEX_BYTES).splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines if line.strip()]
    rows = [item for item in rows if (item["image"], item["question"]) != (row["image"], row["question"])]
    rows.append(row)
    with atomic_file(path) as temporary:
        temporary.write_text("".join(json.dumps(item, ensure_ascii=True) + "\n" for item in rows), "ascii")
    return len(rows)
