"""The work that loads models: requests about scenes are answered, by as many workers as there are devices."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.distribution.crew import ON_CPU, Team, ThisProcess
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import NoProgress, Progress
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


def answer_requests(file: Path, progress: Progress, device: str, team: Team = ON_CPU) -> None:
    """Answer the requests of a file and write the result of each.

    A scene that cannot be read has a result with the reason, and the next one follows. A single request is answered
    here. Several are shared out: one worker answers all of a request.

    Args:
        file: of ``Requests.write``.
        progress: receives the number of views; if requests are shared out, the number of requests.
        device: a torch device, for what is answered here.
        team: who answers several requests.
    """
    requests = read_requests(file).requests
    remaining = [(number, number) for number, request in enumerate(requests) if not request.result.is_file()]
    if len(remaining) <= 1 or isinstance(team, ThisProcess):
        answerer = SystemAnswerer(System.from_json(read_requests(file).system), device)
        for number, _ in remaining:
            _answer(requests[number], answerer, progress)
        return
    done = 0

    def count(number: int, result: None) -> None:
        nonlocal done
        done += 1
        progress.advance(done, f"{requests[number].path.name}: {requests[number].question}")

    progress.start("questions about scenes:", len(remaining))
    team.do(_AnsweredScenes(file), remaining, count)


@dataclass(frozen=True)
class _AnsweredScenes:
    """The workload of answering requests. A task is the number of a request in the file."""

    file: Path

    def open(self, device: str) -> Callable[[int], None]:
        """The function that answers a request and writes its result."""
        requests = read_requests(self.file)
        answerer = SystemAnswerer(System.from_json(requests.system), device)
        return lambda number: _answer(requests.requests[number], answerer, NoProgress())


def _answer(request: SceneRequest, answerer: SystemAnswerer, progress: Progress) -> None:
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
