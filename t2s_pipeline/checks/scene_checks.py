"""What must hold of scenes, of standing questions and of the objects that were found."""

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.checks.claims import Check, CheckResult, LakeCheck
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.store import read_partition

TOLERANCE = 1e-6
"""Degrees. Bounds of a scene and of an object at its edge are computed from other points."""


def _can_be_asked(rows: pa.Table) -> CheckResult:
    (row,) = rows.to_pylist()
    return CheckResult(row["reason"] is None, row["detail"] or "the scene can be asked")


def _nothing_set_aside(rows: pa.Table) -> CheckResult:
    wrong = [detail for detail in rows["detail"].to_pylist() if detail is not None]
    return CheckResult(not wrong, " ".join(wrong) or f"{rows.num_rows} questions", {"set_aside": len(wrong)})


def _numbers_are_unique(rows: pa.Table) -> CheckResult:
    numbers = pc.drop_null(rows["object"].combine_chunks())
    repeated = len(numbers) - len(pc.unique(numbers))
    return CheckResult(repeated == 0, f"{repeated} objects have the number of another one", {"repeated": repeated})


def _answers_are_complete(rows: pa.Table) -> CheckResult:
    wrong = rows.filter(pc.is_in(rows["status"], pa.array(["unreadable", "incomplete", "failed"])))
    sentence = wrong["detail"].to_pylist()[0] if wrong.num_rows else "the answer is complete"
    return CheckResult(wrong.num_rows == 0, sentence or "the answer is not complete")


def _inside_the_scene(lake: LakePlace, partition: Partition) -> CheckResult:
    """The bounds of every object lie within those of its scene, in degrees."""
    columns = ["west", "south", "east", "north"]
    (scene,) = read_partition(lake, schema.SCENES, {"scene": partition["scene"]}, columns).to_pylist()
    objects = read_partition(lake, schema.SCENE_OBJECTS, partition, columns).to_pylist()
    wrong = sum(
        item["west"] < scene["west"] - TOLERANCE
        or item["south"] < scene["south"] - TOLERANCE
        or item["east"] > scene["east"] + TOLERANCE
        or item["north"] > scene["north"] + TOLERANCE
        for item in objects
        if item["west"] is not None and scene["west"] is not None
    )
    return CheckResult(wrong == 0, f"{wrong} objects lie outside of their scene", {"outside": wrong})


CHECKS: tuple[Check | LakeCheck, ...] = (
    Check("can_be_asked", schema.SCENES.name, "The scene can be asked.", ("reason", "detail"), _can_be_asked, False),
    Check(
        "nothing_set_aside",
        schema.STANDING_QUESTIONS.name,
        "Every row of questions.csv can be asked.",
        ("detail",),
        _nothing_set_aside,
        False,
    ),
    Check(
        "objects_are_unique",
        schema.SCENE_OBJECTS.name,
        "No object of an answer is listed twice.",
        ("object",),
        _numbers_are_unique,
    ),
    LakeCheck(
        "objects_lie_in_their_scene",
        schema.SCENE_OBJECTS.name,
        "The bounds of every object lie within those of its scene.",
        _inside_the_scene,
    ),
    Check(
        "answers_are_complete",
        schema.SCENE_OBJECTS.name,
        "No view of the scene failed, and every answer can be read.",
        ("status", "detail"),
        _answers_are_complete,
        False,
    ),
)
