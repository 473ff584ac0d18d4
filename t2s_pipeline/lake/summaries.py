"""A few numbers that describe a partition. The UI plots them, and a step prints them."""

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.store import read_partition
from t2s_pipeline.lake.table import Table

Number = int | float | str


def numbers(lake: LakePlace, table: Table, partition: Partition) -> tuple[int, dict[str, Number]]:
    """The number of rows of the partition, and its numbers by name.

    Raises:
        NotMaterializedError: if it does not exist.
        InputError: if the file is damaged or of another release.
    """
    columns, describe = _DESCRIPTIONS.get(table.name, ([table.columns[0].name], _count))
    rows = read_partition(lake, table, partition, columns)
    described = describe(rows)
    return rows.num_rows, {name: value for name, value in described.items() if value is not None}


def _count(rows: pa.Table) -> dict[str, Number | None]:
    return {"rows": rows.num_rows}


def _images(rows: pa.Table) -> dict[str, Number | None]:
    sides = pc.min_max(pc.max_element_wise(rows["width"], rows["height"])).as_py()
    return {"images": rows.num_rows, "smallest_side": sides["min"], "largest_side": sides["max"]}


def _samples(rows: pa.Table) -> dict[str, Number | None]:
    return {
        "samples": rows.num_rows,
        "questions": pc.sum(pc.list_value_length(rows["questions"])).as_py(),
        "empty_targets": pc.sum(rows["is_empty"]).as_py(),
    }


def _selections(rows: pa.Table) -> dict[str, Number | None]:
    return _shares(rows["rule"])


def _rejects(rows: pa.Table) -> dict[str, Number | None]:
    return {"rejects": rows.num_rows, **_shares(rows["reason"])}


def _notes(rows: pa.Table) -> dict[str, Number | None]:
    return {"notes": rows.num_rows, **_shares(rows["kind"])}


def _scenes(rows: pa.Table) -> dict[str, Number | None]:
    (row,) = rows.to_pylist()
    return {name: value for name, value in row.items() if value is not None}


def _standing_questions(rows: pa.Table) -> dict[str, Number | None]:
    set_aside = rows.num_rows - rows["reason"].null_count
    return {"questions": rows.num_rows - set_aside, "set_aside": set_aside}


def _scene_objects(rows: pa.Table) -> dict[str, Number | None]:
    objects = rows.filter(pc.is_valid(rows["object"]))
    about = rows.filter(pc.is_null(rows["object"]))["status"].to_pylist()
    area = pc.sum(objects["area_m2"]).as_py()
    return {"objects": objects.num_rows, "area_m2": area, "answer": about[0] if about else None}


def _training_log(rows: pa.Table) -> dict[str, Number | None]:
    """Means over the first and the last tenth of training: whether the reward rose, and how far KL went."""
    tenth = max(1, rows.num_rows // 10)
    rows = rows.sort_by("step")
    first, last = rows.slice(0, tenth), rows.slice(rows.num_rows - tenth)
    return {
        "steps": rows.num_rows,
        "reward_first_tenth": pc.mean(first["reward"]).as_py(),
        "reward_last_tenth": pc.mean(last["reward"]).as_py(),
        "valid_last_tenth": pc.mean(last["valid_share"]).as_py(),
        "kl_last_tenth": pc.mean(last["kl"]).as_py(),
        "seconds": pc.sum(rows["seconds"]).as_py(),
    }


def _checkpoints(rows: pa.Table) -> dict[str, Number | None]:
    return {"checkpoints": rows.num_rows, "last_step": pc.max(rows["step"]).as_py()}


def _completions(rows: pa.Table) -> dict[str, Number | None]:
    cut = pc.sum(pc.equal(rows["finish_reason"], "length")).as_py()
    return {
        "completions": rows.num_rows,
        "mean_tokens": pc.mean(rows["tokens"]).as_py(),
        "cut": cut,
        "seconds": pc.sum(rows["seconds"]).as_py(),
    }


def _predictions(rows: pa.Table) -> dict[str, Number | None]:
    return {"predictions": rows.num_rows, **_shares(rows["status"])}


def _label_quality(rows: pa.Table) -> dict[str, Number | None]:
    """Mean IoU in percent by prompt combination."""
    means = rows.group_by("prompt_combination").aggregate([("iou", "mean")])
    return {row["prompt_combination"]: 100 * row["iou_mean"] for row in means.to_pylist()}


def _sample_scores(rows: pa.Table) -> dict[str, Number | None]:
    return {"answers": rows.num_rows, "mean_iou": pc.mean(rows["iou"]).as_py()}


def _benchmark_metrics(rows: pa.Table) -> dict[str, Number | None]:
    described: dict[str, Number | None] = {"rows": rows.num_rows}
    for row in rows.to_pylist():
        if row["protocol"] == "strict":
            described[f"giou {row['system']} {row['dataset']}-{row['split']}"] = row["giou"]
    return described


def _agreement(rows: pa.Table) -> dict[str, Number | None]:
    return {
        "questions": rows.num_rows,
        "completions": pc.max(rows["completions"]).as_py(),
        "mean_agreement": pc.mean(rows["agreement"]).as_py(),
        "unread": pc.sum(rows["unread"]).as_py(),
    }


def _rescores(rows: pa.Table) -> dict[str, Number | None]:
    last = rows.sort_by("scored_at").slice(rows.num_rows - 1).to_pylist()[0]
    return {"evaluations": rows.num_rows, **{name: last[name] for name in ("giou", "accepted_giou", "difference")}}


def _shares(column: pa.ChunkedArray) -> dict[str, Number | None]:
    return {entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()}


_DESCRIPTIONS: dict[str, tuple[list[str], Callable[[pa.Table], dict[str, Number | None]]]] = {
    schema.IMAGES.name: (["width", "height"], _images),
    schema.SAMPLES.name: (["questions", "is_empty"], _samples),
    schema.SELECTIONS.name: (["rule"], _selections),
    schema.REJECTS.name: (["reason"], _rejects),
    schema.NOTES.name: (["kind"], _notes),
    schema.SCENES.name: (["width", "height", "bands", "crs_name", "pixel_size", "reason", "detail"], _scenes),
    schema.STANDING_QUESTIONS.name: (["reason"], _standing_questions),
    schema.SCENE_OBJECTS.name: (["object", "area_m2", "status"], _scene_objects),
    schema.TRAINING_LOG.name: (["step", "reward", "valid_share", "kl", "seconds"], _training_log),
    schema.CHECKPOINTS.name: (["step"], _checkpoints),
    schema.COMPLETIONS.name: (["tokens", "finish_reason", "seconds"], _completions),
    schema.PREDICTIONS.name: (["status"], _predictions),
    schema.LABEL_QUALITY.name: (["prompt_combination", "iou"], _label_quality),
    schema.SAMPLE_SCORES.name: (["iou"], _sample_scores),
    schema.AGREEMENT.name: (["completions", "agreement", "unread"], _agreement),
    schema.RESCORES.name: (["scored_at", "giou", "accepted_giou", "difference"], _rescores),
    schema.BENCHMARK_METRICS.name: (["system", "dataset", "split", "protocol", "giou"], _benchmark_metrics),
}
