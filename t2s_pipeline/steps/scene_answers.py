"""Questions about scenes, from file to answer: the worker searches, this process writes maps.

An answer that was made from the same file, question, models and settings is not made again. A search that was stopped
goes on where it stopped.
"""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.launch import Launch
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.weight_files import sha256_of
from t2s_pipeline.datasets.dataset import dataset_name
from t2s_pipeline.methods.system import System
from t2s_pipeline.scenes.answer_files import AnswerAbout, fingerprint_of_answer, write_answer
from t2s_pipeline.scenes.features import Feature, features_of, ground_of
from t2s_pipeline.scenes.request import Requests, SceneRequest, SceneResult, read_result
from t2s_pipeline.scenes.typed_prompts import read_prompts
from t2s_pipeline.steps.fingerprints import code_fingerprint, known_sha256, weights_fingerprint
from t2s_pipeline.vision.scene import OpenScene, open_scene
from t2s_pipeline.vision.view import Tiling

MAX_QUESTION = 2_000
"""The most characters of a question. The longest one of the benchmarks has fewer than 500."""


@dataclass(frozen=True)
class SceneOptions:
    """How scenes are asked.

    Attributes:
        tile: the side of a tile in pixels that are read; 0 for the default of the prompter.
        overlap: the pixels that neighbouring tiles share; None for an eighth of the tile.
        resolution: metres per pixel that is read; None for the scene's own.
        bands: the bands that are red, green and blue, or the one that is grey; empty for the default.
        draws: sampled answers per view.
        prompts: prompts that a person typed (``scenes.typed_prompts``), one text per object.
        on_map: the coordinates of the prompts are those of the scene's CRS.
        objects_name: the name of the file with the objects.
        fresh: make finished answers again.
    """

    tile: int = 0
    overlap: int | None = None
    resolution: float | None = None
    bands: tuple[int, ...] = ()
    draws: int = 0
    prompts: tuple[str, ...] = ()
    on_map: bool = False
    objects_name: str = "objects.gpkg"
    fresh: bool = False


@dataclass(frozen=True)
class SceneQuestion:
    """A question about a scene, and the folder for the answer."""

    path: Path
    question: str
    folder: Path


@dataclass(frozen=True)
class SceneAnswer:
    """What became of a question.

    Attributes:
        asked: the question.
        notes: what a person should know about the file.
        features: the objects; empty if the answer was there already.
        result: what the worker found; None if the answer was there already.
        fault: why there is no answer; empty if there is one.
    """

    asked: SceneQuestion
    notes: tuple[str, ...] = ()
    features: tuple[Feature, ...] = ()
    result: SceneResult | None = None
    fault: str = ""


def answer_folder(out: Path, path: Path, question: str) -> Path:
    """The folder of an answer below ``out``, readable and different for every file and question."""
    mark = hashlib.sha256(f"{path.absolute()}\0{question}".encode()).hexdigest()[:6]
    words = dataset_name(question)[:48].strip("-")
    return out / (dataset_name(path.stem) or "scene") / (f"{words}-{mark}" if words else mark)


def require_question(question: str) -> str:
    """The question without white space around it.

    Raises:
        InputError: if it is empty or too long.
    """
    question = " ".join(question.split())
    if not question:
        raise InputError("The question is empty.")
    if len(question) > MAX_QUESTION:
        raise InputError(
            f"The question has {len(question):,} characters, more than {MAX_QUESTION:,}: ask a shorter one."
        )
    return question


def answer_scenes(
    settings: Settings, launch: Launch, system: System, asked: Sequence[SceneQuestion], options: SceneOptions
) -> Iterator[SceneAnswer]:
    """Answer questions about scenes with one start of the worker.

    What cannot be answered is an answer with a fault, and the others follow.

    Args:
        settings: names T2S_HOME.
        launch: runs the worker.
        system: who answers.
        asked: the questions.
        options: how.

    Raises:
        T2SError: if the worker fails.
    """
    prepared: list[_Prepared] = []
    for question in asked:
        try:
            prepared.append(_prepare(settings, system, question, options))
        except InputError as fault:
            yield SceneAnswer(question, fault=str(fault))
    with ExitStack() as locks:
        for folder in sorted({item.request.folder for item in prepared}):
            locks.enter_context(only_one(settings.home, f"the answer {folder.name}", print))
        waiting = [item for item in prepared if options.fresh or not item.is_finished(options)]
        yield from (SceneAnswer(item.asked, item.notes) for item in prepared if item not in waiting)
        if not waiting:
            return
        for item in waiting:
            item.forget_result(options.fresh)
        requests = settings.home / "tmp" / "ask" / f"requests-{waiting[0].request.folder.name}.json"
        Requests(system.as_json(), [item.request for item in waiting]).write(requests)
        launch(["ask", "--requests", str(requests), "--home", str(settings.home)])
        requests.unlink()
        for item in waiting:
            yield _written(item, system, options)


@dataclass(frozen=True)
class _Prepared:
    """A question with its request to the worker."""

    asked: SceneQuestion
    notes: tuple[str, ...]
    request: SceneRequest
    about: AnswerAbout

    def is_finished(self, options: SceneOptions) -> bool:
        """Whether the answer was made from the same as now."""
        return fingerprint_of_answer(self.asked.folder, options.objects_name) == self.about.fingerprint

    def forget_result(self, fresh: bool) -> None:
        """Remove what the worker would take for finished: everything if ``fresh``, else a result with failures."""
        if fresh:
            shutil.rmtree(self.request.folder, ignore_errors=True)
        elif self.request.result.is_file():
            result = read_result(self.request.result)
            if result.fault or result.failed():
                self.request.result.unlink()


def _prepare(settings: Settings, system: System, asked: SceneQuestion, options: SceneOptions) -> _Prepared:
    """Check what can be checked without a model.

    Raises:
        InputError: if the scene or the options cannot be used.
    """
    with open_scene(asked.path, options.bands) as scene:
        size = scene.width, scene.height
        factor = _factor(scene, options.resolution)
        if options.tile:
            Tiling(options.tile, _overlap(options), factor).plan(*size)
        elif options.overlap is not None:
            raise InputError("--overlap needs --tile: say how large the tiles are that overlap.")
        prompts = tuple(read_prompts(text, scene.place, *size, options.on_map) for text in options.prompts)
        notes = scene.notes
        ground_of(scene)
        scene.require_values()
    made_from = {
        "scene_sha256": sha256_of([asked.path]),
        "prompter": "" if prompts else weights_fingerprint(system.prompter),
        "segmenter": weights_fingerprint(system.segmenter),
        "code": code_fingerprint("scenes.worker"),
    }
    request = SceneRequest(
        asked.path.absolute(),
        asked.question,
        Path(),
        options.tile,
        _overlap(options) if options.tile else None,
        factor,
        options.bands,
        options.draws,
        prompts,
    )
    answering = None if prompts else [system.asking, system.recipe.combination_definition, system.generation]
    counted = fingerprint(
        request=replace(request, path=Path(asked.path.name)),
        answering=answering,
        inference=system.recipe.inference,
        **made_from,
    )
    about = AnswerAbout(
        asked.question, system.name, counted, {"segmenter": known_sha256(system.segmenter), **made_from}
    )
    folder = settings.home / "tmp" / "ask" / counted[:24]
    return _Prepared(asked, notes, replace(request, folder=folder), about)


def _overlap(options: SceneOptions) -> int:
    return options.tile // 8 if options.overlap is None else options.overlap


def _factor(scene: OpenScene, resolution: float | None) -> float:
    """Native pixels per pixel that is read.

    Raises:
        InputError: if the resolution cannot be used.
    """
    if resolution is None:
        return 1.0
    ground = ground_of(scene)
    if ground is None:
        raise InputError(f"{scene.path} states no CRS, so a resolution in metres means nothing.")
    factor = resolution / ground.metres_per_pixel
    if factor < 0.1:
        raise InputError(
            f"The pixels of {scene.path} have {ground.metres_per_pixel:.3g} m: {resolution:g} m is more than "
            "ten times finer."
        )
    return factor


def _written(item: _Prepared, system: System, options: SceneOptions) -> SceneAnswer:
    """Write the answer that the worker found, and remove the worker's files."""
    result = read_result(item.request.result)
    if result.fault:
        return SceneAnswer(item.asked, item.notes, fault=result.fault)
    try:
        with open_scene(item.asked.path, options.bands) as scene:
            features = features_of(result.objects, scene)
            temporary = item.request.folder / "files"
            # An answer with views that failed is not finished: the same command asks them again.
            about = replace(item.about, fingerprint="") if result.failed() else item.about
            write_answer(item.asked.folder, options.objects_name, scene, features, result, about, temporary)
    except InputError as fault:
        return SceneAnswer(item.asked, item.notes, fault=str(fault))
    # What succeeded stays, so that the next run asks only the views that failed.
    shutil.rmtree(temporary if result.failed() else item.request.folder)
    return SceneAnswer(item.asked, item.notes, tuple(features), result)
