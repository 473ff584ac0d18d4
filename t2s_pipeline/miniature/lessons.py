"""The training data of the miniature prompter: scenes, the objects in them, and correct or imprecise answers.

Coordinates are pixels of the prompter's square. A *lesson* is one question about one category of a scene. There is
one lesson per category in the scene, and there are some lessons about a category that the scene does not have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from t2s_pipeline.core.children import process_pool
from t2s_pipeline.datasets.synthetic.look import EMBEDDED, FOREIGN
from t2s_pipeline.datasets.synthetic.queries import CATEGORIES, questions_for
from t2s_pipeline.datasets.synthetic.scenes import paint_scene
from t2s_pipeline.prompting.combinations import PROMPT_COMBINATIONS, PromptCombination, Role, Shape
from t2s_pipeline.pseudo_labels.ideal_figures import ideal_chain, ideal_rotated_box
from t2s_pipeline.vision.figures import Chain, RotatedBox
from t2s_pipeline.vision.geometry import Box, Frame, Point, PromptObject
from t2s_pipeline.vision.target_shape import ELONGATED, REGULAR, THIN, shape_of

MIN_COVER = 0.15
"""A cell shows an object if the object covers at least this share of it."""


SAVES = 0.15
"""A rotated box is taught as the upright one if it is not smaller by at least this share: for a tank or a square
field, single pixels decide its angle."""


@dataclass(frozen=True)
class LessonObject:
    """An object with everything that an answer may say of it, in whole pixels of the square.

    Attributes:
        box: around it.
        positive_points: four points on it.
        negative_points: two points off it.
        rotated: the smallest rotated box around it.
        chain: points along it.
        morphology: its class of shape.
    """

    box: Box
    positive_points: tuple[Point, ...]
    negative_points: tuple[Point, ...]
    rotated: RotatedBox
    chain: Chain
    morphology: str = REGULAR


@dataclass(frozen=True)
class Lessons:
    """``n`` square scenes and their objects.

    Attributes:
        images: uint8 (n, side, side, 3).
        cover: float16 (n, cells², categories), the share of each visual token's cell that each category covers.
        cell_box: float32 (n, cells², 4), the box of the object that covers the cell most; NaN where no object covers
            ``MIN_COVER`` of it.
        objects: for each scene, category index → its objects from left to right.
    """

    images: np.ndarray
    cover: np.ndarray
    cell_box: np.ndarray
    objects: tuple[dict[int, tuple[LessonObject, ...]], ...]

    def __len__(self) -> int:
        return len(self.images)


def paint_lessons(count: int, side: int, cells: int, seed: int, workers: int = 2) -> Lessons:
    """Scenes of both looks in equal numbers, from other seeds than those of the dataset.

    Args:
        count: number of scenes.
        side: of the square, in pixels.
        cells: visual tokens along one side.
        seed: of the random streams; each scene has its own stream.
        workers: processes that paint.
    """
    jobs = [(seed, index, side, cells) for index in range(count)]
    with process_pool(workers) as pool:
        painted = list(pool.map(_paint, jobs, chunksize=64))
    images, cover, cell_box, objects = zip(*painted, strict=True)
    return Lessons(np.stack(images), np.stack(cover), np.stack(cell_box), tuple(objects))


_Lesson = tuple[np.ndarray, np.ndarray, np.ndarray, dict[int, tuple[LessonObject, ...]]]


def _paint(job: tuple[int, int, int, int]) -> _Lesson:
    """One scene: its image, cover, cell boxes and objects, as in ``Lessons``."""
    seed, index, side, cells = job
    rng = np.random.default_rng([seed, index])
    scene = paint_scene(rng, look=FOREIGN if index % 2 else EMBEDDED, side=side)
    step = side // cells
    cover = np.zeros((cells * cells, len(CATEGORIES)), np.float16)
    best = np.full(cells * cells, MIN_COVER)
    cell_box = np.full((cells * cells, 4), np.nan, np.float32)
    objects: dict[int, list[LessonObject]] = {}
    for instance in scene.instances:
        kind = CATEGORIES.index(instance.category)
        share = instance.mask.reshape(cells, step, cells, step).mean((1, 3)).ravel()
        cover[:, kind] += share.astype(np.float16)
        item = lesson_object(instance.mask)
        covers_most = share > best
        best[covers_most] = share[covers_most]
        cell_box[covers_most] = item.box
        objects.setdefault(kind, []).append(item)
    ordered = {kind: tuple(sorted(items, key=lambda item: item.box[:2])) for kind, items in objects.items()}
    return scene.image, cover, cell_box, ordered


def lesson_object(mask: np.ndarray) -> LessonObject:
    """The box of a mask (H, W), four points inside it along its two axes, two outside it, and its figures.

    The points lie 0.9 standard deviations from the centroid along the first principal axis (the first two) and
    0.8 along the second (the last two), each moved to the nearest pixel of the mask, so that a model can infer
    them from the shape. The negative points are the corners of the box that lie farthest from the mask.
    """
    ys, xs = np.nonzero(mask)
    height, width = mask.shape
    box = (int(xs.min()), int(ys.min()), min(int(xs.max()) + 1, width), min(int(ys.max()) + 1, height))
    centre = np.array([xs.mean(), ys.mean()])
    spread = np.cov(np.stack([xs, ys])) if len(xs) > 1 else np.eye(2)
    values, axes = np.linalg.eigh(spread)
    long, short = axes[:, 1] * np.sqrt(values[1]), axes[:, 0] * np.sqrt(max(values[0], 0))
    long, short = (_rightward(axis) for axis in (long, short))
    targets = [centre - 0.9 * long, centre + 0.9 * long, centre - 0.8 * short, centre + 0.8 * short]
    inside = []
    for point in targets:
        nearest = np.argmin((xs - point[0]) ** 2 + (ys - point[1]) ** 2)
        inside.append((int(xs[nearest]), int(ys[nearest])))
    corners = [(x, y) for y in (box[1], box[3] - 1) for x in (box[0], box[2] - 1)]
    distance = [float(np.min((xs - x) ** 2 + (ys - y) ** 2)) for x, y in corners]
    outside = sorted(sorted(range(4), key=lambda i: -distance[i])[:2])
    shape = shape_of(mask)
    morphology = shape.morphology if shape else REGULAR
    rotated, chain = _whole_rotated(ideal_rotated_box(mask), box), _whole_chain(ideal_chain(mask))
    return LessonObject(box, tuple(inside), tuple(corners[i] for i in outside), rotated, chain, morphology)


def _whole_rotated(rotated: RotatedBox, box: Box) -> RotatedBox:
    """In whole pixels and degrees from 0 to 89; with the angle 0 and the sides of ``box`` if it is hardly smaller."""
    x0, y0, x1, y1 = box
    if rotated.width * rotated.height > (1 - SAVES) * (x1 - x0) * (y1 - y0):
        return RotatedBox((x0 + x1) // 2, (y0 + y1) // 2, x1 - x0, y1 - y0, 0)
    turned = int(rotated.angle // 90) % 2 == 1
    width, height = (rotated.height, rotated.width) if turned else (rotated.width, rotated.height)
    angle = round(rotated.angle % 90)
    return RotatedBox(round(rotated.x), round(rotated.y), max(1, round(width)), max(1, round(height)), angle)


def _whole_chain(chain: Chain) -> Chain:
    """In whole pixels, from left to right."""
    points = [(int(x), int(y)) for x, y in chain.points]
    return Chain(tuple(points if points[0] <= points[-1] else reversed(points)))


def _rightward(axis: np.ndarray) -> np.ndarray:
    """Of the two directions of an axis, the one that points right, or down if the axis is vertical."""
    return -axis if (axis[0], axis[1]) < (0, 0) else axis


CARELESS_SHIFT, CARELESS_SCALE = 0.4, 1.1


def imprecise(rng: np.random.Generator, objects: tuple[LessonObject, ...], frame: Frame) -> tuple[LessonObject, ...]:
    """The same objects as a careless annotator would mark them.

    Of several objects, usually only the first is marked. Boxes and points lie too far to the lower right by 0.4 of the
    object's width and height, and a box is a tenth too large. These errors are not random: a careless answer is as
    definite as a correct one, so that greedy decoding gives the kind of answer that is trained more often.
    """
    if len(objects) > 1 and rng.random() < 0.75:
        objects = objects[:1]
    return tuple(_careless(item, frame) for item in objects)


def _careless(item: LessonObject, frame: Frame) -> LessonObject:
    x0, y0, x1, y1 = item.box
    width, height = x1 - x0, y1 - y0
    dx, dy = CARELESS_SHIFT * width, CARELESS_SHIFT * height
    grow_x, grow_y = (CARELESS_SCALE - 1) / 2 * width, (CARELESS_SCALE - 1) / 2 * height
    box = (
        round(max(0, x0 + dx - grow_x)),
        round(max(0, y0 + dy - grow_y)),
        round(min(frame.width, x1 + dx + grow_x)),
        round(min(frame.height, y1 + dy + grow_y)),
    )

    def moved(point: Point) -> tuple[int, int]:
        return (round(min(point[0] + dx, frame.width - 1)), round(min(point[1] + dy, frame.height - 1)))

    turned = item.rotated
    x, y = moved((turned.x, turned.y))
    return replace(
        item,
        box=box,
        positive_points=tuple(map(moved, item.positive_points)),
        negative_points=tuple(map(moved, item.negative_points)),
        rotated=RotatedBox(
            x, y, round(CARELESS_SCALE * turned.width), round(CARELESS_SCALE * turned.height), turned.angle
        ),
        chain=Chain(tuple(map(moved, item.chain.points))),
    )


TAUGHT = tuple(name for name, combination in PROMPT_COMBINATIONS.items() if not combination.has_figures)
"""The prompt combinations that the prompter is taught: boxes and points, no rotated boxes and no chains."""
VOCABULARIES = {"boxes-and-points": TAUGHT, "wide": tuple(PROMPT_COMBINATIONS)}
"""What a prompter can be taught. The embedded default knows boxes and points."""

SUITABLE = {ELONGATED: "rotated", THIN: "chain"}
"""The kind of prompt that a true adaptive answer takes for an object, by its morphology."""
OTHERWISE = "bbox+pos2"


def fitted(
    objects: Sequence[LessonObject], combination: PromptCombination, kinds: Sequence[str] = ()
) -> tuple[PromptObject, ...]:
    """The objects with just the keys and counts of a combination.

    A combination that holds one object gets the box around all of them, with the points of the first and the last.

    Args:
        objects: to be marked.
        combination: of the answer.
        kinds: for a combination whose objects have several kinds: the name of each object's kind.
    """
    if combination.kinds:
        forms = {form.name: form for form in combination.kinds}
        return tuple(_fitted(item, forms[kind]) for item, kind in zip(objects, kinds, strict=True))
    if combination.shape is Shape.ONE_OBJECT and len(objects) > 1:
        boxes = np.array([item.box for item in objects])
        (x0, y0), (x1, y1) = boxes[:, :2].min(0).tolist(), boxes[:, 2:].max(0).tolist()
        points = (objects[0].positive_points[0], objects[-1].positive_points[1])
        objects = (replace(objects[0], box=(x0, y0, x1, y1), positive_points=points),)
    return tuple(_fitted(item, combination) for item in objects)


def _fitted(item: LessonObject, form: PromptCombination) -> PromptObject:
    roles = {key.role for key in form.keys}
    if Role.ROTATED in roles:
        return PromptObject(None, (), figure=item.rotated)
    if Role.CHAIN in roles:
        return PromptObject(None, (), figure=item.chain)
    return PromptObject(
        item.box if form.has_box else None,
        _central(item) if form.positive_points == 1 else item.positive_points[: form.positive_points],
        item.negative_points[: form.negative_points],
    )


def _central(item: LessonObject) -> tuple[Point, ...]:
    """One point: the positive point that is nearest to the centre of the box."""
    x0, y0, x1, y1 = item.box
    centre = ((x0 + x1) / 2, (y0 + y1) / 2)
    return (min(item.positive_points, key=lambda p: (p[0] - centre[0]) ** 2 + (p[1] - centre[1]) ** 2),)


def thought(kind: int, count: int) -> str:
    """The reasoning before the answer: the category, and how many objects of it there are."""
    name = CATEGORIES[kind].replace("_", " ")
    return f"This asks for a {name}. I see {('none', 'one', 'two', 'three', 'four')[min(count, 4)]}."


def questions(kind: int) -> tuple[str, ...]:
    """The questions of a category for training, without those of the held-out templates."""
    return questions_for(CATEGORIES[kind])
