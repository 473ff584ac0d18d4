"""What the worker is asked about scenes, and what it gives back, as files that the orchestrator writes and reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.scenes.piece import SceneObject, prompt_as_json, prompt_from_json
from t2s_pipeline.scenes.search import ViewAnswer
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.view import SceneView


@dataclass(frozen=True)
class SceneRequest:
    """One question about one scene, or prompts that a person gives.

    Attributes:
        path: of the raster.
        question: what is asked.
        folder: where the worker keeps finished work and writes the result.
        tile: the side of a tile in pixels that are read; 0 for the default of the prompter.
        overlap: the pixels that neighbouring tiles share; None for an eighth of the tile.
        factor: native pixels per pixel that is read.
        bands: the bands that are shown as red, green and blue; empty for the default.
        draws: sampled answers per view.
        prompts: prompts of a person, in pixels of the scene. Then no prompter is asked.
        view: the view in which these prompts are segmented if they lie in it; None: it follows from the prompts. So a
            prompt that is moved a little needs no other encoding.
    """

    path: Path
    question: str
    folder: Path
    tile: int = 0
    overlap: int | None = None
    factor: float = 1.0
    bands: tuple[int, ...] = ()
    draws: int = 0
    prompts: tuple[PromptObject, ...] = ()
    view: SceneView | None = None

    @property
    def result(self) -> Path:
        """The file with the result."""
        return self.folder / "result.json"


@dataclass(frozen=True)
class SceneResult:
    """What the worker found in a scene.

    Attributes:
        objects: the objects, from top to bottom.
        views: the answers about its views; empty if a person gave the prompts.
        tile: the side of the tiles in pixels that are read.
        overlap: the pixels that they share.
        prompter: SHA-256 of its weights; empty if none was asked.
        segmenter: SHA-256 of its weights.
        fault: why the scene could not be searched; empty if it could.
    """

    objects: tuple[SceneObject, ...] = ()
    views: tuple[ViewAnswer, ...] = ()
    tile: int = 0
    overlap: int = 0
    prompter: str = ""
    segmenter: str = ""
    fault: str = ""

    def failed(self) -> list[ViewAnswer]:
        """The views that could not be read, asked or segmented."""
        return [view for view in self.views if view.status == "failed"]


@dataclass(frozen=True)
class Requests:
    """What one start of the worker does: requests to one system.

    Attributes:
        system: the system as JSON (``System.as_json``).
        requests: in the order in which they are answered.
    """

    system: dict[str, Any]
    requests: Sequence[SceneRequest] = field(default_factory=tuple)

    def write(self, path: Path) -> None:
        """Write them for ``read_requests``."""
        requests = [
            {
                **asdict(item),
                "path": str(item.path),
                "folder": str(item.folder),
                "prompts": [prompt_as_json(prompt) for prompt in item.prompts],
            }
            for item in self.requests
        ]
        with atomic_file(path) as temporary:
            temporary.write_text(json.dumps({"system": self.system, "requests": requests}), "utf-8")


def read_requests(path: Path) -> Requests:
    """The requests that ``Requests.write`` wrote."""
    content = json.loads(path.read_text("utf-8"))
    requests = [
        SceneRequest(
            **{
                **value,
                "path": Path(value["path"]),
                "folder": Path(value["folder"]),
                "bands": tuple(value["bands"]),
                "prompts": tuple(map(prompt_from_json, value["prompts"])),
                "view": value["view"] and SceneView(**value["view"]),
            }
        )
        for value in content["requests"]
    ]
    return Requests(content["system"], requests)


def write_result(path: Path, result: SceneResult) -> None:
    """Write a result for ``read_result``."""
    content = {
        **vars(result),
        "objects": [item.as_json() for item in result.objects],
        "views": [item.as_json() for item in result.views],
    }
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(content), "utf-8")


def read_result(path: Path) -> SceneResult:
    """The result that ``write_result`` wrote."""
    content = json.loads(path.read_text("utf-8"))
    objects = tuple(map(SceneObject.from_json, content["objects"]))
    views = tuple(map(ViewAnswer.from_json, content["views"]))
    return SceneResult(**{**content, "objects": objects, "views": views})
