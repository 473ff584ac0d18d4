"""Scenes of painted objects, and a system that recognizes them by their colour."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import NoProgress
from t2s_pipeline.scenes.answering import ObjectMask, Reading
from t2s_pipeline.scenes.request import SceneResult, read_requests, write_result
from t2s_pipeline.scenes.search import Search
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.scene import open_scene
from t2s_pipeline.vision.view import Tiling

GROUND, TARGET = (90, 120, 70), (220, 40, 200)
UTM = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def painted(height: int, width: int, boxes: Sequence[tuple[int, int, int, int]]) -> NDArray[np.uint8]:
    """An image with an ellipse of the target's colour in each box x0, y0, x1, y1."""
    image = np.full((height, width, 3), GROUND, np.uint8)
    for x0, y0, x1, y1 in boxes:
        y, x = np.ogrid[y0:y1, x0:x1]
        inside = ((2 * x + 1 - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y + 1 - y0 - y1) / (y1 - y0)) ** 2 <= 1
        image[y0:y1, x0:x1][inside] = TARGET
    return image


def save(path: Path, image: NDArray[np.generic], **profile: object) -> Path:
    """Write an image (H, W, bands) as GeoTIFF, by default in UTM with pixels of half a metre."""
    settings = {"driver": "GTiff", "crs": "EPSG:32632", "transform": UTM, **profile}
    height, width, count = image.shape
    with rasterio.open(
        path, "w", width=width, height=height, count=count, dtype=image.dtype, compress="deflate", **settings
    ) as file:
        file.write(np.moveaxis(image, 2, 0))
    return path


def is_target(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The pixels that are nearer to the target's colour than to the ground's."""
    return image[..., 2].astype(int) > (GROUND[2] + TARGET[2]) // 2


@dataclass
class ByColour:
    """An ``Answerer`` that boxes every blob of the target's colour, and segments the blobs that a box meets."""

    asked: list[tuple[int, int]] = field(default_factory=list)
    """The sizes of the images that it was asked about."""
    segmenter_side: int = 128
    batch: int = 4
    stops_at: int = 1 << 30
    """It is interrupted before it answers about this image."""
    fails_at: frozenset[int] = frozenset()
    """It fails for these images."""

    def ask(self, images: Sequence[NDArray[np.uint8]], question: str) -> list[Reading]:
        readings = []
        for image in images:
            if len(self.asked) >= self.stops_at:
                raise KeyboardInterrupt
            self.asked.append(image.shape[:2])
            if len(self.asked) - 1 in self.fails_at:
                raise RuntimeError("out of memory")
            objects = tuple(PromptObject(box) for box in blobs(image))
            readings.append(Reading(f"<answer>{len(objects)}</answer>", "I look for colour.", objects))
        return readings

    def sample(self, image: NDArray[np.uint8], question: str, count: int) -> list[Reading]:
        """Every second sample sees nothing."""
        (reading,) = self.ask([image], question)
        return [reading if number % 2 == 0 else Reading("[]") for number in range(count)]

    def segment(self, image: NDArray[np.uint8], prompts: Sequence[PromptObject]) -> list[ObjectMask]:
        labels, _ = ndimage.label(is_target(image))
        masks = []
        for prompt in prompts:
            if prompt.bbox is None:
                chosen = {labels[int(y), int(x)] for x, y in prompt.positive_points}
            else:
                x0, y0, x1, y1 = (max(0, round(value)) for value in prompt.bbox)
                chosen = set(np.unique(labels[y0:y1, x0:x1]).tolist())
            masks.append(ObjectMask(np.isin(labels, list(chosen - {0})), 0.9))
        return masks


def answer_by_colour(requests: Path, **settings: Any) -> Iterator[ByColour]:
    """Answer the requests of a file as the worker does; yield a ``ByColour`` with these settings before each."""
    for request in read_requests(requests).requests:
        if request.result.is_file():
            continue
        answerer = ByColour(**settings)
        yield answerer
        try:
            with open_scene(request.path, request.bands) as scene:
                tiling = Tiling(request.tile or 64, request.overlap or 16, request.factor)
                search = Search(scene, request.question, tiling, request.draws, request.folder)
                views, objects = search.run(answerer, NoProgress())
            result = SceneResult(tuple(objects), tuple(views), 64, 16, "p", "s")
        except InputError as fault:
            result = SceneResult(fault=str(fault))
        write_result(request.result, result)


def blobs(image: NDArray[np.uint8]) -> list[Box]:
    """The boxes around the blobs of the target's colour."""
    labels, _ = ndimage.label(is_target(image))
    return [(float(c.start), float(r.start), float(c.stop), float(r.stop)) for r, c in ndimage.find_objects(labels)]
