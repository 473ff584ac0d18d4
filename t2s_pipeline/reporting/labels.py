"""One scene as three rival methods label it, what SAM2 makes of each, and how far labels can carry."""

from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.lake import schema, store
from t2s_pipeline.lake.prompts import prompts_from_arrow
from t2s_pipeline.methods.registry import METHODS, methods_with_labels
from t2s_pipeline.pseudo_labels.ideal_prompts import SEARCH
from t2s_pipeline.reporting.examples import HEIGHT, View, first_rows
from t2s_pipeline.vision.geometry import Frame
from t2s_pipeline.vision.image_files import decode_image
from t2s_pipeline.vision.masks import Rle, decode
from t2s_pipeline.vision.panels import data_uri, panel

SPLITS = ("test", "val", "train")


@dataclass(frozen=True)
class Ceiling:
    """A method's mean IoU in percent by prompt combination; None where it was not drawn."""

    name: str
    by_combination: list[float | None]


@dataclass(frozen=True)
class Labels:
    """The section of the page about labels."""

    dataset: str
    split: str
    segmenter: str
    n: int
    combinations: list[str]
    ceilings: list[Ceiling]
    question: str
    why: str
    views: list[View]


def label_section(lake: Path, dataset: str | None) -> Labels | None:
    """Of the dataset's last evaluated split that has ``label_quality``, or of any dataset's; None if there is none.

    The scene is the one in which the three methods' own prompts draw most differently: the largest gap between two
    IoUs, of several the first by id. So it shows what there is to see, and no typical case.
    """
    methods = list(methods_with_labels())
    parts = store.list_partitions(lake, schema.LABEL_QUALITY)
    found = [part for part in parts if part["method"] in methods and part["split"] in SPLITS]
    found.sort(key=lambda part: (part["dataset"] != dataset, SPLITS.index(part["split"])))
    if not found:
        return None
    place = {key: found[0][key] for key in ("segmenter", "dataset", "split")}
    columns = ["sample_id", "image_id", "prompt_combination", "prompts", "side", "iou", "gt_empty"]
    rows = {
        method: store.read_partition(lake, schema.LABEL_QUALITY, {"method": method, **place}, columns).to_pylist()
        for method in (*methods, SEARCH)
        if {"method": method, **place} in parts
    }
    own = {
        method: {row["sample_id"]: row for row in rows.get(method, ()) if row["prompt_combination"] == method}
        for method in methods
    }
    shared = [key for key in sorted(set.intersection(*map(set, own.values()))) if not own[methods[0]][key]["gt_empty"]]
    if not shared:
        return None

    def gap(sample_id: str) -> float:
        ious = [own[method][sample_id]["iou"] for method in methods]
        return max(ious) - min(ious)

    chosen = max(shared, key=gap)
    combinations = list(dict.fromkeys(row["prompt_combination"] for row in rows.get(SEARCH, ())))
    part = {"dataset": place["dataset"], "split": place["split"]}
    question, views = _views(lake, part, place["segmenter"], {method: own[method][chosen] for method in methods})
    return Labels(
        dataset=place["dataset"],
        split=place["split"],
        segmenter=place["segmenter"],
        n=len(own[methods[0]]),
        combinations=["as the method feeds them", *combinations],
        ceilings=[_ceiling(method, of, combinations) for method, of in rows.items()],
        question=question,
        why=f"{chosen}: of {len(shared)} targets, the one where the three labels’ masks differ most in IoU",
        views=views,
    )


def _ceiling(method: str, rows: list[dict], combinations: list[str]) -> Ceiling:
    def mean(name: str) -> float | None:
        ious = [row["iou"] for row in rows if row["prompt_combination"] == name]
        return 100 * sum(ious) / len(ious) if ious else None

    title = "best prompts found around the labels" if method == SEARCH else METHODS[method].title
    return Ceiling(title, [mean(method), *map(mean, combinations)])


def _views(lake: Path, part: store.Partition, segmenter: str, own: dict[str, dict]) -> tuple[str, list[View]]:
    """The scene's first question, and a picture of the truth and of each labelling."""
    first = next(iter(own.values()))
    samples = store.scan(lake, schema.SAMPLES, part, ["sample_id", "questions", "mask"])
    sample = first_rows(samples, "sample_id", {first["sample_id"]})[first["sample_id"]]
    images = store.scan(lake, schema.IMAGES, part, ["image_id", "bytes"])
    image = decode_image(first_rows(images, "image_id", {first["image_id"]})[first["image_id"]]["bytes"])
    truth = decode(Rle.from_arrow(sample["mask"]))
    views = [View("Ground truth", data_uri(panel(image, truth=truth, height=HEIGHT)))]
    for method, row in own.items():
        where = {"method": method, "segmenter": segmenter, **part}
        mask = _drawn(lake, where, row["sample_id"], method)
        prompts = prompts_from_arrow(row["prompts"])
        drawn = panel(image, prompts, Frame.square(row["side"]), predicted=mask, truth=truth, height=HEIGHT)
        count = f"{len(prompts)} label{'' if len(prompts) == 1 else 's'}"
        views.append(View(METHODS[method].title, data_uri(drawn), f"{count} · IoU {row['iou']:.2f}", row["iou"] > 0.5))
    return (sample["questions"] or [""])[0], views


def _drawn(lake: Path, where: store.Partition, sample_id: str, combination: str):
    columns = ["sample_id", "prompt_combination", "mask"]
    for batch in store.scan(lake, schema.LABEL_QUALITY, where, columns):
        for row in batch.to_pylist():
            if row["sample_id"] == sample_id and row["prompt_combination"] == combination and row["mask"] is not None:
                return decode(Rle.from_arrow(row["mask"]))
    return None
