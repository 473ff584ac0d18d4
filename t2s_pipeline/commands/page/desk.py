"""What the page can do, without HTTP: list, open, ask, prompt, change, write, keep."""

import secrets
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2s_pipeline.commands.page.answers import PageAnswer, object_as_json, simplification
from t2s_pipeline.commands.page.samples import KeptSample, keep
from t2s_pipeline.commands.page.scene_list import ListedScene, scenes_of
from t2s_pipeline.commands.page.tiles import levels_of
from t2s_pipeline.commands.page.uploads import Uploads
from t2s_pipeline.commands.page.work import Work
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.methods.system import System
from t2s_pipeline.scenes.answer_reading import read_answer
from t2s_pipeline.scenes.features import features_of, ground_of
from t2s_pipeline.scenes.request import Requests, SceneRequest, SceneResult, read_result
from t2s_pipeline.steps.best_system import (
    available_segmenters,
    available_systems,
    knows_drawn_scenes_only,
    segments_prompts,
)
from t2s_pipeline.steps.scene_answers import SceneOptions, SceneQuestion, answer_folder, answer_scenes, require_question
from t2s_pipeline.systems.resolve import resolve
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.scene import OpenScene, open_scene
from t2s_pipeline.vision.view import SceneView

MOST_ANSWERS = 100
"""Answers that the page's server remembers. Their files stay in any case."""

MOST_OBJECTS = 5_000
"""Objects that a person can add to one answer."""

DOWNLOADS = ("mask.tif", "objects.gpkg", "objects.geojson", "objects.parquet")


@dataclass(frozen=True)
class Chosen:
    """What a person chose for a question.

    Attributes:
        system: its name.
        segmenter: the name of another segmenter; empty for that of the system.
        bands: the bands that are red, green and blue; empty for the default.
        draws: sampled answers per view.
    """

    system: str
    segmenter: str = ""
    bands: tuple[int, ...] = ()
    draws: int = 0


class Desk:
    """The state of one server: its scenes, uploads and answers.

    Args:
        settings: names T2S_HOME and the worker's interpreter.
        paths: scenes and folders of scenes beside those of the folder of imagery.
        system: the name of the system that is chosen at first; empty for the best one.

    Raises:
        InputError: if a path does not exist or a folder holds no raster, or there is no such system.
    """

    def __init__(self, settings: Settings, paths: Sequence[Path] = (), system: str = "") -> None:
        self.settings, self.paths, self.system = settings, tuple(paths), system
        # A name that does not exist is a fault of the command, and not of the page.
        scenes_of(settings, self.paths)
        if system:
            resolve(system, settings)
        self.uploads = Uploads(settings.home)
        self.work = Work(settings)
        self._given: dict[str, ListedScene] = {}
        self._answers: dict[str, PageAnswer] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Stop the worker and remove what was given to the page."""
        self.work.close()
        self.uploads.close()

    def warm(self) -> None:
        """Let the worker import its libraries, which takes longer than everything after it."""
        system = resolve(self.system, self.settings) if self.system else available_systems(self.settings)[0].system
        self.work.warm(lambda: self._asked_of_worker(system, [], self.uploads.folder / "warm"))

    def choices(self) -> dict[str, Any]:
        """The scenes, systems and segmenters that can be chosen."""
        listed = [*self._given.values(), *scenes_of(self.settings, self.paths)]
        systems = [
            {"name": choice.system.name, "reason": choice.reason, "drawn_only": knows_drawn_scenes_only(choice.system)}
            for choice in available_systems(self.settings)
        ]
        if self.system and self.system not in [item["name"] for item in systems]:
            drawn_only = knows_drawn_scenes_only(resolve(self.system, self.settings))
            systems.insert(0, {"name": self.system, "reason": "named by --system", "drawn_only": drawn_only})
        return {
            "scenes": [{"key": item.key, "name": item.path.name, "group": item.group} for item in listed],
            "systems": systems,
            "system": self.system or systems[0]["name"],
            "segmenters": available_segmenters(),
            "most_bytes": self.uploads.max_bytes,
        }

    def add(self, scene: ListedScene) -> None:
        """List a scene that was given to the page."""
        self._given[scene.key] = scene

    def remove(self, key: str) -> None:
        """Remove a scene that was given to the page, with its answers."""
        scene = self._given.pop(key, None)
        if scene is None:
            raise InputError("Only a file that was given to this page can be removed.")
        with self._lock:
            self._answers = {name: item for name, item in self._answers.items() if item.scene.key != key}
        self.uploads.remove(scene)

    def scene(self, key: str) -> ListedScene:
        """The scene of that key.

        Raises:
            InputError: if there is none.
        """
        if key in self._given:
            return self._given[key]
        for scene in scenes_of(self.settings, self.paths):
            if scene.key == key:
                return scene
        raise InputError("This scene is not there any more: reload the page.")

    def describe(self, key: str, bands: tuple[int, ...]) -> dict[str, Any]:
        """What the page shows about a scene."""
        listed = self.scene(key)
        with open_scene(listed.path, bands) as scene:
            scene.require_values()
            ground = ground_of(scene)
            return {
                "key": key,
                "name": listed.path.name,
                "width": scene.width,
                "height": scene.height,
                "levels": levels_of(scene.width, scene.height),
                "bands": scene.bands,
                "notes": scene.notes,
                "metres_per_pixel": ground.metres_per_pixel if ground else None,
                "uploaded": listed.uploaded,
                "version": secrets.token_hex(4) if listed.uploaded else str(listed.path.stat().st_mtime_ns),
            }

    def ask(self, key: str, question: str, chosen: Chosen) -> int:
        """Begin to answer a question about a scene; the number of the task. Its result is the answer's JSON.

        Raises:
            InputError: if something is missing or cannot be used.
        """
        listed, question = self.scene(key), require_question(question)
        system = self._system(chosen)
        return self.work.start(lambda: self._answered(listed, question, system, chosen).as_json())

    def blank(self, key: str, chosen: Chosen) -> PageAnswer:
        """An answer without objects, for prompts of a person."""
        listed = self.scene(key)
        segmenter = chosen.segmenter or resolve(chosen.system, self.settings).segmenter
        with open_scene(listed.path, chosen.bands) as scene:
            return self._remembered(
                PageAnswer(listed, chosen.bands, "", segments_prompts(self.settings, segmenter), notes=scene.notes)
            )

    def answer(self, key: str) -> PageAnswer:
        """The answer of that key.

        Raises:
            InputError: if it is not remembered.
        """
        with self._lock:
            if key in self._answers:
                return self._answers[key]
        raise InputError("This answer is not remembered any more: ask again.")

    def prompt(self, key: str, number: int | None, prompt: PromptObject) -> dict[str, Any]:
        """Segment a prompt as a new object, or as the changed object of a number; the object as JSON.

        Raises:
            InputError: if nothing is segmented, or there is no such object.
        """
        answer = self.answer(key)
        if number is not None and number not in answer.objects:
            raise InputError("This object is not there any more.")
        if number is None and len(answer.objects) >= MOST_OBJECTS:
            raise InputError(f"The answer has {MOST_OBJECTS:,} objects already.")
        view = None if number is None else answer.views.get(number)
        with open_scene(answer.scene.path, answer.bands) as scene:
            feature, view = self._segmented(answer, scene, prompt, view)
        with self._lock:
            place = number if number is not None else max(answer.objects, default=0) + 1
            answer.objects[place], answer.views[place], answer.is_edited = feature, view, True
        return {
            "object": object_as_json(place, feature, simplification(answer.features)),
            "author": answer.author,
        }

    def delete(self, key: str, number: int) -> None:
        """Remove an object of an answer."""
        answer = self.answer(key)
        with self._lock:
            answer.objects.pop(number, None)
            answer.is_edited = True

    def written(self, key: str, name: str) -> Path:
        """A file of an answer as it is now; it is written first."""
        answer = self.answer(key)
        if name not in DOWNLOADS:
            raise InputError(f"There are {', '.join(DOWNLOADS)}.")
        folder = self.uploads.folder / f"download-{secrets.token_hex(6)}"
        folder.mkdir(parents=True)
        try:
            with open_scene(answer.scene.path, answer.bands) as scene:
                answer.write(folder / name, scene)
        except T2SError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return folder / name

    def keep(self, key: str, question: str, dataset: str, split: str, view: SceneView | None) -> KeptSample:
        """Keep an answer as a labelled sample of a custom dataset."""
        answer = self.answer(key)
        question = require_question(question or answer.question)
        with open_scene(answer.scene.path, answer.bands) as scene:
            return keep(self.settings.home, dataset, split, scene, question, answer.features, view)

    def _system(self, chosen: Chosen) -> System:
        system = resolve(chosen.system, self.settings)
        if chosen.segmenter and chosen.segmenter != system.segmenter:
            system = resolve(chosen.system, self.settings, [f"segmenter={chosen.segmenter}"])
        return system

    def _answered(self, listed: ListedScene, question: str, system: System, chosen: Chosen) -> PageAnswer:
        out = listed.path.parent / "answers" if listed.uploaded else self.settings.home / "answers"
        asked = SceneQuestion(listed.path, question, answer_folder(out, listed.path, question))
        options = SceneOptions(bands=chosen.bands, draws=chosen.draws)
        (result,) = answer_scenes(self.settings, self.work.launch, system, [asked], options)
        if result.fault:
            raise InputError(result.fault)
        with open_scene(listed.path, chosen.bands) as scene:
            content = read_answer(asked.folder, options.objects_name, scene.place)
        answer = PageAnswer(
            listed,
            chosen.bands,
            question,
            system,
            content.thoughts,
            result.notes,
            dict(enumerate(content.features, start=1)),
            folder=asked.folder,
        )
        return self._remembered(answer)

    def _segmented(self, answer: PageAnswer, scene: OpenScene, prompt: PromptObject, view: SceneView | None) -> Any:
        """The object of a prompt, and the view in which it was segmented."""
        folder = self.uploads.folder / f"prompt-{secrets.token_hex(6)}"
        request = SceneRequest(answer.scene.path, "", folder, bands=answer.bands, prompts=(prompt,), view=view)
        (result,) = self.work.now(lambda: self._asked_of_worker(answer.system, [request], folder))
        if result.fault:
            raise InputError(result.fault)
        features = features_of(result.objects, scene)
        if not features:
            raise InputError("The segmenter finds nothing there: move the box or the points.")
        return features[0], result.objects[0].pieces[0].view

    def _asked_of_worker(self, system: System, requests: Sequence[SceneRequest], folder: Path) -> list[SceneResult]:
        """The results of requests whose folder is ``folder``, which is removed."""
        try:
            Requests(system.as_json(), requests).write(folder / "requests.json")
            self.work.launch(["ask", "--requests", str(folder / "requests.json"), "--home", str(self.settings.home)])
            return [read_result(request.result) for request in requests]
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _remembered(self, answer: PageAnswer) -> PageAnswer:
        with self._lock:
            self._answers[answer.key] = answer
            while len(self._answers) > MOST_ANSWERS:
                del self._answers[next(iter(self._answers))]
        return answer
