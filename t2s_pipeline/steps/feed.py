"""The feed of scenes: which scenes of the imagery folder are asked what, and when."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.scenes.imagery_folder import SceneFile, scenes_in
from t2s_pipeline.steps.question_times import QuestionTimes
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.scene_objects import AnswerScene
from t2s_pipeline.steps.scene_registry import RegisterScene
from t2s_pipeline.steps.standing_questions import ReadQuestions, StandingQuestion, system_of, usable_questions
from t2s_pipeline.steps.step import StepReport


@dataclass(frozen=True)
class SeenScene:
    """What was requested for a scene.

    Attributes:
        files: the fingerprint of its files (``SceneFile.fingerprint``).
        since: when these files were first seen, UTC.
        asked: the questions that were requested for these files, by their keys.
    """

    files: str
    since: datetime
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class FeedState:
    """What was seen and requested so far.

    Attributes:
        scenes: by name.
        questions: by key, when they were first seen, UTC.
    """

    scenes: Mapping[str, SeenScene] = field(default_factory=dict)
    questions: Mapping[str, datetime] = field(default_factory=dict)

    def as_json(self) -> str:
        """The state as text."""
        return json.dumps(asdict(self), default=datetime.isoformat, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None) -> "FeedState":
        """The inverse of ``as_json``; the first state for None."""
        if not text:
            return cls()
        content = json.loads(text)
        scenes = {
            name: SeenScene(value["files"], datetime.fromisoformat(value["since"]), tuple(value["asked"]))
            for name, value in content["scenes"].items()
        }
        return cls(scenes, {key: datetime.fromisoformat(since) for key, since in content["questions"].items()})


@dataclass(frozen=True)
class DueScene:
    """A scene that is to be registered and asked.

    Attributes:
        name: of the scene.
        files: the fingerprint of its files.
        since: when these files were first seen, UTC.
        questions: the keys of the questions that are due; empty if the scene is registered only.
    """

    name: str
    files: str
    since: datetime
    questions: tuple[str, ...]


def due_scenes(
    state: FeedState, scenes: Sequence[SceneFile], questions: Sequence[StandingQuestion], now: datetime
) -> tuple[FeedState, list[DueScene]]:
    """What is to be done now, and the state after it was requested.

    A scene is registered when its files are new. A question about every new scene is asked at once. A question with a
    time is asked when one of its times has come since scene and question are both there. Nothing is requested twice
    for the same files.

    Args:
        state: what was requested before.
        scenes: the complete scenes of the folder.
        questions: the usable questions.
        now: UTC.
    """
    known = {question.key: state.questions.get(question.key, now) for question in questions}
    seen = {name: scene for name, scene in state.scenes.items() if name in {scene.name for scene in scenes}}
    due: list[DueScene] = []
    for scene in scenes:
        before = seen.get(scene.name)
        is_new = before is None or before.files != scene.fingerprint
        current = SeenScene(scene.fingerprint, now) if before is None or is_new else before
        keys = tuple(
            question.key
            for question in questions
            if question.key not in current.asked
            and QuestionTimes.read(question.schedule).is_due(max(current.since, known[question.key]), now)
        )
        if is_new or keys:
            due.append(DueScene(scene.name, scene.fingerprint, current.since, keys))
        seen[scene.name] = replace(current, asked=(*current.asked, *keys))
    return FeedState(seen, known), due


def look_at_feed(settings: Settings, state: FeedState, now: datetime) -> tuple[FeedState, list[DueScene], list[str]]:
    """``due_scenes`` of the imagery folder and ``questions.csv``, and sentences about files that are not complete."""
    scenes, incomplete = scenes_in(settings.imagery)
    following, due = due_scenes(state, scenes, usable_questions(settings), now)
    return following, due, [f"{path} was changed a moment ago: waiting until it is whole" for path in incomplete]


def answer_scene(runner: Runner, scene: str, keys: Collection[str] = ()) -> list[StepReport]:
    """Ask a registered scene the standing questions with these keys; all of them if there are none.

    A question whose system fails does not stop the others.

    Raises:
        InputError: if there is no such question.
        T2SError: after everything else, if a system failed.
    """
    settings = runner.settings
    questions = [question for question in usable_questions(settings) if not keys or question.key in keys]
    if not questions:
        raise InputError(
            f"No standing question is due for {scene}: write them into {settings.standing_questions}, one per row "
            "below the header question,system,schedule. `t2s questions` checks the file."
        )
    reports: list[StepReport] = []
    faults: list[str] = []
    for question in questions:
        try:
            reports += runner.run(AnswerScene(scene, question, system_of(settings, question)))
        except T2SError as fault:
            faults.append(f"{question.question!r}: {fault}")
    if faults:
        raise T2SError(f"{len(faults)} of {len(questions)} questions about {scene} failed: {faults[0]}")
    return reports


def answer_all(runner: Runner, names: Collection[str] = ()) -> list[str]:
    """Register and ask the complete scenes of the imagery folder, or those with these names.

    Returns:
        One sentence per scene that could not be asked completely.

    Raises:
        InputError: if there is no scene of a name.
    """
    runner.run(ReadQuestions())
    scenes, incomplete = scenes_in(runner.settings.imagery)
    unknown = sorted(set(names) - {scene.name for scene in scenes})
    if unknown:
        raise InputError(f"There is no scene {unknown[0]} in {runner.settings.imagery}: `t2s scenes` lists them.")
    faults = [f"{path} was changed a moment ago: run the same command again." for path in incomplete]
    for scene in scenes:
        if not names or scene.name in names:
            try:
                runner.run(RegisterScene(scene.name))
                answer_scene(runner, scene.name)
            except T2SError as fault:
                faults.append(str(fault))
    return faults
