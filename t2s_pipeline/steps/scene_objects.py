"""The step that asks a registered scene a standing question: the answer's objects as rows of ``scene_objects``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import write_partition
from t2s_pipeline.methods.system import System
from t2s_pipeline.steps.fingerprints import weights_fingerprint
from t2s_pipeline.steps.scene_registry import VANISHED, Row, path_in_tables, registered_scene
from t2s_pipeline.steps.standing_questions import StandingQuestion
from t2s_pipeline.steps.step import Context, LakePartition, Step

if TYPE_CHECKING:
    from t2s_pipeline.steps.scene_answers import SceneAnswer

OBJECTS = "objects.gpkg"
"""The name of the file with the objects in the folder of an answer."""

ABOUT_SCENE = ("sha256", "crs", "transform", "reason", "detail")
"""What an answer depends on, of the scene's row. Its time and its STAC item count for nothing."""


@dataclass(frozen=True)
class AnswerScene(Step):
    """Ask a scene a question: the worker searches, this process writes maps and rows.

    A scene that cannot be asked has one row with the reason.
    """

    scene: str
    question: StandingQuestion
    system: System = field(repr=False)

    name: ClassVar[str] = "ask"
    code: ClassVar[str] = "scenes.worker"

    def writes(self) -> Sequence[LakePartition]:
        """The answer's objects."""
        return [LakePartition(schema.SCENE_OBJECTS, self.partition)]

    @property
    def partition(self) -> dict[str, str]:
        """The partition of the answer."""
        return {"scene": self.scene, "question_id": self.question.question_id, "system": self.system.name}

    def inputs(self, context: Context) -> Mapping[str, object]:
        """The scene's file and place, the question, both models' weights, and how they are asked."""
        scene = self._scene(context.settings)
        return {
            "scene": {name: scene[name] for name in ABOUT_SCENE},
            "question": self.question.question,
            "prompter": weights_fingerprint(self.system.prompter),
            "segmenter": weights_fingerprint(self.system.segmenter),
            "answering": [self.system.asking, self.system.recipe.combination_definition, self.system.generation],
            "inference": self.system.recipe.inference,
        }

    def is_valid(self, context: Context, fingerprint: str) -> bool:
        """Answers about a scene stay when its file disappears."""
        finished = self.finished(context)
        is_gone = self._scene(context.settings)["reason"] == VANISHED
        return finished == fingerprint or (is_gone and finished is not None)

    def work(self, context: Context, fingerprint: str) -> None:
        """Answer, and write the rows. An answer that is incomplete is stored, and asked again by the next run."""
        scene = self._scene(context.settings)
        if scene["reason"]:
            rows = [self._row(scene, {"status": "failed", "detail": scene["detail"]})]
        else:
            rows = list(self._answered(context, scene))
            if any(row["status"] == "incomplete" for row in rows):
                fingerprint = ""
        table = pa.Table.from_pylist(rows, schema=schema.SCENE_OBJECTS.schema)
        write_partition(context.settings.lake, schema.SCENE_OBJECTS, self.partition, table, fingerprint)

    def _scene(self, settings: Settings) -> Row:
        scene = registered_scene(settings, self.scene)
        if scene is None:
            raise NotMaterializedError(f"The scene {self.scene} is needed first: `t2s scenes answer` registers it.")
        return scene

    def _answered(self, context: Context, scene: Row) -> Iterator[Row]:
        """The rows of the answer, read from its files."""
        # Imported here, because they take long and Dagster must load the project quickly.
        from t2s_pipeline.scenes.vector_files import read_features
        from t2s_pipeline.steps.scene_answers import SceneOptions, SceneQuestion, answer_folder, answer_scenes

        settings = context.settings
        path = settings.home / scene["path"]
        place = settings.home / "answers" / "scenes"
        # Systems do not share a folder: each answer keeps its maps.
        folder = answer_folder(place, path, f"{self.question.question} {self.system.name}")
        asked = SceneQuestion(path, self.question.question, folder)
        options = SceneOptions(objects_name=OBJECTS, fresh=context.fresh)
        (answer,) = answer_scenes(settings, context.launch, self.system, [asked], options)
        if answer.fault:
            yield self._row(scene, {"status": "failed", "detail": answer.fault})
            return
        views = _views(answer)
        about: Row = {
            "thought": views[0]["thought"].strip() or None if views else None,
            "folder": path_in_tables(settings, folder),
        }
        objects = read_features(folder / OBJECTS).to_pylist()
        for item in objects:
            known = {name: item[name] for name in schema.SCENE_OBJECTS.schema.names if name in item}
            yield self._row(scene, {**known, "crs": scene["crs"], **about, "status": "ok", "detail": None})
        fault = _fault(views)
        if fault or not objects:
            status, detail = fault or (_status(views), None)
            yield self._row(scene, {**about, "status": status, "detail": detail})

    def _row(self, scene: Row, values: Row) -> Row:
        columns = dict.fromkeys(schema.SCENE_OBJECTS.schema.names)
        return {**columns, **values, "question": self.question.question, "scene_sha256": scene["sha256"]}


def _views(answer: "SceneAnswer") -> list[dict[str, Any]]:
    """The answers about the views of the scene, from the file of the answer."""
    from t2s_pipeline.scenes.answer_files import ANSWER

    content: dict[str, Any] = json.loads((answer.asked.folder / ANSWER).read_text("utf-8"))
    views: list[dict[str, Any]] = content["answers"]
    return views


def _fault(views: Sequence[dict[str, Any]]) -> tuple[str, str] | None:
    """Status and detail if views failed or could not be read; None if all were answered."""
    for status, word in (("failed", "incomplete"), ("unreadable", "unreadable")):
        wrong = [view for view in views if view["status"] == status]
        if wrong:
            what = "failed" if status == "failed" else "gave an answer of another form"
            return word, f"{len(wrong)} of {len(views)} views {what}: {wrong[0]['detail']}"
    return None


def _status(views: Sequence[dict[str, Any]]) -> str:
    """What an answer without objects is: the scene was not there, the system saw no target, or its masks are empty."""
    statuses = {view["status"] for view in views}
    if statuses <= {"absent"}:
        return "absent"
    return "empty_mask" if "ok" in statuses else "no_target"
