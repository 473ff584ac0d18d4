"""The work that loads models: requests about scenes are answered one after the other."""

import math
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.methods.system import System
from t2s_pipeline.scenes.merging import distinct
from t2s_pipeline.scenes.piece import Piece, SceneObject, box_around
from t2s_pipeline.scenes.refining import extent, view_around
from t2s_pipeline.scenes.request import SceneRequest, SceneResult, read_requests, write_result
from t2s_pipeline.scenes.search import Search
from t2s_pipeline.scenes.system_answerer import SystemAnswerer
from t2s_pipeline.vision.geometry import Box
from t2s_pipeline.vision.scene import OpenScene, open_scene
from t2s_pipeline.vision.view import WHOLE, SceneView, Tiling


def answer_requests(file: Path, progress: Progress, device: str) -> None:
    """Answer the requests of a file and write the result of each.

    A scene that cannot be read has a result with the reason, and the next one follows.

    Args:
        file: of ``Requests.write``.
        progress: receives the number of views.
        device: a torch device.
    """
    requests = read_requests(file)
    answerer = SystemAnswerer(System.from_json(requests.system), device)
    for request in requests.requests:
        if request.result.is_file():
            continue
        try:
            with open_scene(request.path, request.bands) as scene:
                result = _result(scene, request, answerer, progress)
        except InputError as fault:
            result = SceneResult(fault=str(fault))
        write_result(request.result, result)


def _result(scene: OpenScene, request: SceneRequest, answerer: SystemAnswerer, progress: Progress) -> SceneResult:
    if request.prompts:
        objects = _prompted(scene, request, answerer)
        return SceneResult(tuple(objects), segmenter=answerer.segmenter.sha256)
    tile = request.tile or answerer.tile
    overlap = tile // 8 if request.overlap is None else request.overlap
    search = Search(scene, request.question, Tiling(tile, overlap, request.factor), request.draws, request.folder)
    views, located = search.run(answerer, progress)
    return SceneResult(tuple(located), tuple(views), tile, overlap, answerer.prompter.sha256, answerer.segmenter.sha256)


def _prompted(scene: OpenScene, request: SceneRequest, answerer: SystemAnswerer) -> list[SceneObject]:
    """The objects of a person's prompts, each in the whole scene if that is small, else in a view of its own."""
    size, side = (scene.width, scene.height), answerer.segmenter_side
    objects = []
    for prompt in request.prompts:
        view = _whole(scene, side) or _given(request.view, extent(prompt))
        view = view or view_around(extent(prompt), size, side, request.factor, math.inf)
        assert view is not None  # no view is too coarse
        image, _ = scene.read(view)
        item = answerer.segment(image, [view.from_scene(prompt)])[0]
        piece = Piece.of(view, item.mask, prompt, item.score)
        if piece is not None:
            objects.append(SceneObject((piece,), prompt, item.score, None, 1))
    scene.require_unchanged()
    return distinct(objects)


def _given(view: SceneView | None, box: Box) -> SceneView | None:
    """The view if the box lies in it, else None."""
    return view if view is not None and box_around([view.box, box]) == view.box else None


def _whole(scene: OpenScene, side: int) -> SceneView | None:
    """The view of the whole scene; None if the segmenter would see it much reduced."""
    longest = max(scene.width, scene.height)
    return SceneView(0, 0, scene.width, scene.height, scene.width, scene.height) if longest <= WHOLE * side else None
