"""The objects of an answer as features: an outline and what is known about it."""

from dataclasses import dataclass

from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.scenes.areas import Ground, on_map
from t2s_pipeline.scenes.outlines import outline
from t2s_pipeline.scenes.piece import SceneObject
from t2s_pipeline.vision.geometry import Box, PromptObject
from t2s_pipeline.vision.scene import OpenScene


@dataclass(frozen=True)
class Feature:
    """An object on the map.

    Attributes:
        outline: in pixels of the scene.
        geometry: in map coordinates; of a scene without a place the outline itself.
        pixels: the number of pixels.
        area_m2: in square metres; None if the scene has no CRS.
        confidence: the segmenter's own estimate of the mask's IoU.
        agreement: the share of sampled answers with such an object; None if none were sampled.
        bounds: west, south, east, north in degrees; None if the scene has no CRS.
        prompt: what the segmenter was asked with, in pixels of the scene.
        views: the number of views in which the object was found.
    """

    outline: MultiPolygon
    geometry: BaseGeometry
    pixels: int
    area_m2: float | None
    confidence: float
    agreement: float | None
    bounds: Box | None
    prompt: PromptObject
    views: int


def features_of(objects: tuple[SceneObject, ...], scene: OpenScene) -> list[Feature]:
    """The objects of a scene that have present pixels, as features, in their order.

    Raises:
        InputError: if the scene's CRS cannot be used.
    """
    ground = ground_of(scene)
    features = []
    for item in objects:
        edge = outline(item, scene)
        if edge.is_empty:
            continue
        features.append(
            Feature(
                outline=edge,
                geometry=on_map(edge, scene.place),
                pixels=round(edge.area),
                area_m2=ground.area(edge) if ground else None,
                confidence=min(max(item.score, 0.0), 1.0),
                agreement=item.agreement,
                bounds=ground.bounds(edge) if ground else None,
                prompt=item.prompt,
                views=item.views,
            )
        )
    return features


def ground_of(scene: OpenScene) -> Ground | None:
    """Where the scene lies on Earth; None if it states no CRS.

    Raises:
        InputError: if its CRS cannot be used.
    """
    if not scene.place.crs:
        return None
    try:
        ground = Ground(scene.place, scene.width, scene.height)
        _ = ground.metres_per_pixel  # fails for a scene that its CRS cannot show
    except InputError as fault:
        raise InputError(f"{scene.path} cannot be laid on the map: {fault}") from fault
    return ground
