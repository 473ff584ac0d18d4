"""One question about one scene: its views are asked, pieces of one object are merged, objects are segmented again.

What is finished is written to a folder at once, so that a stopped search goes on where it stopped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.progress import Progress
from t2s_pipeline.scenes.answering import Answerer, Image, Reading
from t2s_pipeline.scenes.journal import Journal
from t2s_pipeline.scenes.merging import distinct, merged, overlaps
from t2s_pipeline.scenes.piece import Piece, SceneObject
from t2s_pipeline.scenes.refining import extent, view_around, views_of_objects
from t2s_pipeline.vision.geometry import PromptObject
from t2s_pipeline.vision.scene import OpenScene
from t2s_pipeline.vision.view import SceneView, Tiling

FAILURES = (InputError, RuntimeError, ValueError, ArithmeticError, LookupError, MemoryError)
"""What reading, asking or segmenting one view can raise. The out-of-memory error of torch is a RuntimeError."""

MOST_IMAGES = 16
"""The most images of a batch, so that memory stays flat."""

MOST_MASKS = 32
"""The most masks of a whole view in memory. A piece keeps the part of its mask that is not empty."""

AGREES = 0.5
"""A sampled answer agrees with an object if one of its objects has at least this IoU with it."""


BEYOND = 0.25
"""A mask of the overview may go on beyond its box by this share of the box's longer side."""


@dataclass(frozen=True)
class ViewAnswer:
    """What a view gave.

    Attributes:
        view: the view.
        status: ``ok``; ``no_target``: the answer says so; ``unreadable``: the answer has another form; ``absent``: no
            pixel of the view is present; ``failed``: reading, asking or segmenting it raised an error.
        detail: why it is unreadable or failed.
        text: the answer as the prompter wrote it.
        thought: the reasoning in it.
        pieces: the masks of its prompts.
    """

    view: SceneView
    status: str
    detail: str = ""
    text: str = ""
    thought: str = ""
    pieces: tuple[Piece, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**vars(self), "view": vars(self.view), "pieces": [piece.as_json() for piece in self.pieces]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "ViewAnswer":
        """The inverse of ``as_json``."""
        view = SceneView(**value["view"])
        pieces = tuple(Piece.from_json(view, piece) for piece in value["pieces"])
        return cls(**{**value, "view": view, "pieces": pieces})


@dataclass(frozen=True)
class Search:
    """One question about one scene.

    Attributes:
        scene: the scene.
        question: what is asked.
        tiling: how the scene is cut.
        draws: sampled answers per view; 0 for none.
        folder: where finished work is kept until the search is complete.
    """

    scene: OpenScene
    question: str
    tiling: Tiling
    draws: int
    folder: Path

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the scene."""
        return self.scene.width, self.scene.height

    def run(self, answerer: Answerer, progress: Progress) -> tuple[list[ViewAnswer], list[SceneObject]]:
        """Ask all views and return their answers and the objects of the scene.

        A view that fails is reported with its reason, and asked again by the next run.

        Raises:
            InputError: if the scene has too many tiles or no present pixel, or its file changes meanwhile.
        """
        views = self.tiling.plan(*self.size)
        answers = self._answers(views, answerer, progress)
        if all(answer.status == "absent" for answer in answers):
            raise InputError(f"{self.scene.path} cannot be used: every pixel is nodata or transparent.")
        if len(views) == 1:
            objects = distinct(merged(answers[0].pieces, *self.size))
        else:
            large = [piece for piece in answers[0].pieces if self._counts_beside_tiles(piece)]
            pieces = [piece for answer in answers[1:] for piece in answer.pieces]
            # Masks of tiles do not decide which objects are distinct: one that is wrong would hide others.
            objects = distinct(self._refined(merged([*large, *pieces], *self.size), answerer, progress))
        self.scene.require_unchanged()
        return answers, objects

    def _answers(self, views: Sequence[SceneView], answerer: Answerer, progress: Progress) -> list[ViewAnswer]:
        journal = Journal(self.folder / "views.jsonl")
        answers = {answer.view: answer for answer in map(ViewAnswer.from_json, journal.entries())}
        remaining = [view for view in views if view not in answers or answers[view].status == "failed"]
        done = len(views) - len(remaining)
        what = f"tiles of {self.scene.path.name}:" if len(views) > 1 else f"{self.scene.path.name}:"
        progress.start(what, len(views), done)
        size = max(1, min(answerer.batch, MOST_IMAGES))
        for start in range(0, len(remaining), size):
            for answer in self._ask(remaining[start : start + size], answerer):
                if answer.status == "failed":
                    progress.say(f"{_in_words(answer.view)} failed: {answer.detail}", warning=True)
                journal.add(answer.as_json())
                answers[answer.view] = answer
                done += 1
                progress.advance(done)
        return [answers[view] for view in views]

    def _ask(self, views: Sequence[SceneView], answerer: Answerer) -> Iterator[ViewAnswer]:
        """The answers about some views. If asking them together fails, each is asked alone."""
        try:
            read = [(view, *self.scene.read(view)) for view in views]
            shown = [(view, image) for view, image, present in read if present.any()]
            readings = answerer.ask([image for _, image in shown], self.question) if shown else []
        except FAILURES as fault:
            if len(views) == 1:
                yield ViewAnswer(views[0], "failed", f"{type(fault).__name__}: {fault}"[:500])
                return
            for view in views:
                yield from self._ask([view], answerer)
            return
        seen = {view for view, _ in shown}
        yield from (ViewAnswer(view, "absent") for view in views if view not in seen)
        for (view, image), reading in zip(shown, readings, strict=True):
            yield self._segmented(view, image, reading, answerer)

    def _segmented(self, view: SceneView, image: Image, reading: Reading, answerer: Answerer) -> ViewAnswer:
        answer = ViewAnswer(view, "ok", text=reading.text, thought=reading.thought)
        if reading.fault:
            return replace(answer, status="unreadable", detail=reading.fault)
        if not reading.objects:
            return replace(answer, status="no_target")
        try:
            pieces = self._pieces(view, image, [view.to_scene(item) for item in reading.objects], answerer)
            if self.draws and pieces:
                pieces = self._with_agreement(view, image, pieces, answerer)
        except FAILURES as fault:
            return replace(answer, status="failed", detail=f"{type(fault).__name__}: {fault}"[:500])
        return replace(answer, pieces=tuple(pieces))

    def _pieces(
        self, view: SceneView, image: Image, prompts: Sequence[PromptObject], answerer: Answerer
    ) -> list[Piece]:
        """The pieces of prompts, which are in pixels of the scene; an empty mask gives none."""
        pieces: list[Piece] = []
        for start in range(0, len(prompts), MOST_MASKS):
            batch = prompts[start : start + MOST_MASKS]
            masks = answerer.segment(image, [view.from_scene(prompt) for prompt in batch])
            cropped = (Piece.of(view, item.mask, prompt, item.score) for prompt, item in zip(batch, masks, strict=True))
            pieces += [piece for piece in cropped if piece is not None]
        return pieces

    def _with_agreement(self, view: SceneView, image: Image, pieces: list[Piece], answerer: Answerer) -> list[Piece]:
        """The pieces with the share of sampled answers that have such an object."""
        samples = [
            merged(self._pieces(view, image, [view.to_scene(item) for item in reading.objects], answerer), *self.size)
            for reading in answerer.sample(image, self.question, self.draws)
        ]
        return [replace(piece, agreement=_share_that_agree(piece, samples)) for piece in pieces]

    def _counts_beside_tiles(self, piece: Piece) -> bool:
        """Of the overview only objects larger than a tile count: the tiles show the others better.

        The prompt's box decides where there is one, and the mask must lie around it. A mask of the overview is coarse.
        If it goes on far beyond its box, it is wrong, and would take the place of all objects below it.
        """
        x0, y0, x1, y1 = extent(piece.prompt, piece.bounds)
        longest = max(x1 - x0, y1 - y0)
        left, top, right, bottom = piece.bounds
        beyond = max(x0 - left, y0 - top, right - x1, bottom - y1)
        return longest > self.tiling.tile * self.tiling.factor and beyond <= BEYOND * longest

    def _refined(self, objects: list[SceneObject], answerer: Answerer, progress: Progress) -> list[SceneObject]:
        """The objects, each segmented in its own view."""
        # A view that failed and is asked again changes the objects, so the name of the file says which they are.
        made_from = fingerprint(objects=[item.as_json() for item in objects])
        journal = Journal(self.folder / f"objects-{made_from[:16]}.jsonl")
        groups = list(views_of_objects(objects, self.size, answerer.segmenter_side, self.tiling.factor))
        refined = dict(enumerate(objects))
        entries = list(journal.entries())
        for entry in entries:
            refined.update({int(index): SceneObject.from_json(value) for index, value in entry.items()})
        start = len(entries)
        progress.start("objects in views of their own:", len(groups), start)
        for number, (view, indices) in enumerate(groups[start:], start=start + 1):
            image, _ = self.scene.read(view)
            items = self._segmented_again(view, image, [objects[index] for index in indices], answerer)
            refined.update(zip(indices, items, strict=True))
            journal.add({str(index): item.as_json() for index, item in zip(indices, items, strict=True)})
            progress.advance(number)
        return [refined[index] for index in range(len(objects))]

    def _segmented_again(
        self, view: SceneView, image: Image, objects: list[SceneObject], answerer: Answerer
    ) -> list[SceneObject]:
        """The objects with their masks in this view. A mask that goes on beyond it is made once more in a larger one.

        An object without a mask there keeps the masks of its tiles.
        """
        masks = answerer.segment(image, [view.from_scene(item.prompt) for item in objects])
        refined = []
        for item, result in zip(objects, masks, strict=True):
            piece = Piece.of(view, result.mask, item.prompt, result.score)
            if piece is not None and piece.is_cut(*self.size):
                piece = self._in_larger_view(item, piece, answerer)
            refined.append(item if piece is None else replace(item, pieces=(piece,), score=piece.score))
        return refined

    def _in_larger_view(self, item: SceneObject, piece: Piece, answerer: Answerer) -> Piece | None:
        box = extent(PromptObject(piece.bounds))
        view = view_around(box, self.size, answerer.segmenter_side, self.tiling.factor)
        if view is None or view == piece.view:
            return piece if view is not None else None
        image, _ = self.scene.read(view)
        larger = self._pieces(view, image, [item.prompt], answerer)
        return larger[0] if larger else piece


def _share_that_agree(piece: Piece, samples: list[list[SceneObject]]) -> float:
    alone = SceneObject((piece,), piece.prompt, piece.score, None, 1)
    agreeing = sum(any(overlaps(alone, other, AGREES) for other in sample) for sample in samples)
    return agreeing / len(samples)


def _in_words(view: SceneView) -> str:
    return f"The view at column {view.x}, row {view.y} ({view.width} × {view.height} pixels)"
