"""The objects of all answers about scenes, with their outlines, for a file of maps."""

import pyarrow as pa

from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake.table_views import text_literal
from t2s_pipeline.lake.views import query

_OBJECTS = """
SELECT
    f.scene, f.time, f.question, f.system, f.object, f.area_m2, f.pixels, f.confidence,
    f.west, f.south, f.east, f.north, f.thought, o.crs, o.geometry
FROM objects_found AS f
JOIN scene_objects AS o
    ON o.scene = f.scene AND o.question_id = f.question_id AND o.system = f.system AND o.object = f.object
"""


def collected_objects(
    settings: Settings, scene: str | None = None, question: str | None = None, system: str | None = None
) -> pa.Table:
    """The objects of the view ``objects_found`` with ``geometry`` (WKB) and ``crs`` (WKT), in the order of the view.

    Args:
        settings: names T2S_HOME.
        scene: only the objects of this scene; None: of all.
        question: only those of this question, or of its question_id; None: of all.
        system: only those of this system; None: of all.
    """
    conditions = []
    if scene is not None:
        conditions.append(f"f.scene = {text_literal(scene)}")
    if question is not None:
        conditions.append(f"{text_literal(question)} IN (f.question, f.question_id)")
    if system is not None:
        conditions.append(f"f.system = {text_literal(system)}")
    where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
    return query(settings, f"{_OBJECTS} {where}ORDER BY f.scene, f.question_id, f.system, f.object")
