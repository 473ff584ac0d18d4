"""The columns of the tables about scenes of people's own, for ``schema.py``."""

from typing import Any

import pyarrow as pa

STR, INT, LONG, REAL = pa.string(), pa.int32(), pa.int64(), pa.float64()

_DEGREES: dict[str, Any] = {
    "west": (REAL, "smallest longitude, degrees"),
    "south": (REAL, "smallest latitude, degrees"),
    "east": (REAL, "largest longitude, degrees"),
    "north": (REAL, "largest latitude, degrees"),
}

SCENE_COLUMNS: dict[str, Any] = {
    "path": (STR, "the file; relative to T2S_HOME if it lies there"),
    "stac_item": (STR, "the STAC item that names the file; relative to T2S_HOME if it lies there"),
    "sha256": (STR, "hash of the file"),
    "width": (INT, "columns, pixels"),
    "height": (INT, "rows, pixels"),
    "bands": (INT, "number of bands"),
    "dtype": (STR, "type of the values of the first band"),
    "nodata": (REAL, "the value of absent pixels in the first band, if the file states one"),
    "crs": (STR, "the coordinate reference system, as WKT"),
    "crs_name": (STR, "its code, such as EPSG:32632, or its name"),
    "transform": (pa.list_(REAL), "a, b, c, d, e, f: x = a·column + b·row + c and y = d·column + e·row + f"),
    "bounds": (pa.list_(REAL), "smallest x, smallest y, largest x, largest y in the CRS"),
    **_DEGREES,
    "pixel_size": (REAL, "metres per pixel in the middle of the scene"),
    "time": (pa.timestamp("us", tz="UTC"), "when it was taken, as the STAC item or the file states"),
    "notes": (pa.list_(STR), "what a person should know about the file"),
    "reason": (
        STR,
        "why it cannot be asked: vanished, stac_item, unreadable, no_crs, unusable_crs, no_values; null if it can",
    ),
    "detail": (STR, "what is wrong with it"),
}
"""One scene."""

QUESTION_COLUMNS: dict[str, Any] = {
    "row": (INT, "line of the file; the header is 1"),
    "question_id": (STR, "the first words of the question and a hash of it"),
    "question": (STR, "what is asked; of a question that is too long, the beginning"),
    "system": (STR, "who answers; empty: the best system that is here"),
    "schedule": (STR, "every new scene, or a time in UTC such as daily 02:00"),
    "reason": (
        STR,
        "why it is not asked: unreadable_file, invalid_row, invalid_question, unknown_system, invalid_schedule, twice",
    ),
    "detail": (STR, "what is wrong with it"),
}
"""One row of ``questions.csv``."""

OBJECT_COLUMNS: dict[str, Any] = {
    "question": (STR, "what was asked"),
    "scene_sha256": (STR, "hash of the scene's file that was asked"),
    "object": (INT, "number of the object within the answer, from 1; null: the row is about the answer"),
    "geometry": (pa.binary(), "outline in the scene's CRS, as WKB"),
    "crs": (STR, "the coordinate reference system of the outline, as WKT"),
    **_DEGREES,
    "area_m2": (REAL, "square metres, measured in an equal-area projection"),
    "pixels": (LONG, "number of pixels"),
    "confidence": (REAL, "the segmenter's own estimate of the mask's IoU, a fraction"),
    "views": (INT, "number of views in which the object was found"),
    "thought": (STR, "the system's reasoning about the scene as a whole"),
    "status": (STR, "ok: an object; without one: no_target, empty_mask, absent, unreadable, incomplete, failed"),
    "detail": (STR, "the reason if the status is unreadable, incomplete or failed"),
    "folder": (STR, "folder with mask.tif, panel.png and answer.json; relative to T2S_HOME if it lies there"),
}
"""One object, or one answer without an object."""
