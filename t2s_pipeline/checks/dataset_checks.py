"""What must hold of the split of a dataset beyond single columns: sizes, no leak between splits, published counts."""

from collections import Counter

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.checks.claims import Check, CheckResult, LakeCheck
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.lake_place import LakePlace
from t2s_pipeline.datasets.registry import published_empty_targets, published_samples
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.folders import Partition
from t2s_pipeline.lake.store import list_partitions, read_partition, scan
from t2s_pipeline.lake.summaries import Number
from t2s_pipeline.vision import masks

MASKS_AT_ONCE = 64
LISTED = 50
"""The most names in the metadata of a check. A query shows the whole list."""


def _listed(names: list[str]) -> str:
    more = f"\n… and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "\n".join(names[:LISTED]) + more


def _count_and_names(count: str, key: str, names: list[str]) -> dict[str, Number]:
    """The number of names under ``count``, and the names under ``key`` if there are any."""
    return {count: len(names), key: _listed(names)} if names else {count: 0}


def _masks_decode(lake: LakePlace, partition: Partition) -> CheckResult:
    """Every mask can be decoded, fills its frame, and has the recorded area and emptiness.

    A few masks are read at a time, because a split can have gigabytes.
    """
    wrong: list[str] = []
    count = 0
    columns = ["sample_id", "mask", "mask_area", "is_empty"]
    for batch in scan(lake, schema.SAMPLES, partition, columns, batch_rows=MASKS_AT_ONCE):
        count += batch.num_rows
        for row in batch.to_pylist():
            try:
                rle = masks.Rle.from_arrow(row["mask"])
                area = int(masks.check(rle)[1::2].sum())
            except InputError as fault:
                wrong.append(f"{row['sample_id']}: {fault}")
                continue
            if area != row["mask_area"] or (area == 0) != row["is_empty"]:
                wrong.append(f"{row['sample_id']}: area {area}, recorded {row['mask_area']}")
    first = f", the first: {wrong[0]}" if wrong else ""
    return CheckResult(not wrong, f"{len(wrong)} of {count} masks are wrong{first}", {"wrong": len(wrong)})


def _masks_fit(lake: LakePlace, partition: Partition) -> CheckResult:
    """Every mask has the size of its image, and the image exists."""
    images = read_partition(lake, schema.IMAGES, partition, ["image_id", "width", "height"])
    samples = read_partition(lake, schema.SAMPLES, partition, ["sample_id", "image_id", "mask.width", "mask.height"])
    size_of = dict(
        zip(
            images["image_id"].to_pylist(),
            zip(images["width"].to_pylist(), images["height"].to_pylist(), strict=True),
            strict=True,
        )
    )
    sides = [pc.struct_field(samples["mask"], side).to_pylist() for side in ("width", "height")]
    named = zip(samples["sample_id"].to_pylist(), samples["image_id"].to_pylist(), *sides, strict=True)
    wrong = [sample for sample, image, width, height in named if size_of.get(image) != (width, height)]
    return CheckResult(
        not wrong,
        f"{len(wrong)} of {samples.num_rows} masks have another size than their image",
        _count_and_names("wrong", "samples", wrong),
    )


def _questions_have_words(rows: pa.Table) -> CheckResult:
    wrong = [
        sample
        for sample, questions in zip(rows["sample_id"].to_pylist(), rows["questions"].to_pylist(), strict=True)
        if not questions or not all(question and question.strip() for question in questions)
    ]
    sentence = f"{len(wrong)} samples without a question or with a blank one"
    return CheckResult(not wrong, sentence, _count_and_names("blank", "samples", wrong))


def _as_published(lake: LakePlace, partition: Partition) -> CheckResult:
    """The number of samples equals the published one; if not, the result lists what was set aside."""
    samples = read_partition(lake, schema.SAMPLES, partition, ["sample_id"]).num_rows
    published = published_samples(partition["dataset"], partition["split"])
    if published is None:
        return CheckResult(True, f"{samples} samples; no count was published", {"samples": samples})
    numbers: dict[str, int | str] = {"samples": samples, "published": published}
    if samples == published:
        return CheckResult(True, f"{samples} samples, as published", numbers)
    rejects = read_partition(lake, schema.REJECTS, partition, ["source", "reason"]).to_pylist()
    numbers["set aside"] = len(rejects)
    numbers["missing"] = _listed([f"{row['source']}: {row['reason']}" for row in rejects]) or "nothing was set aside"
    absent = max(0, published - samples - len(rejects))
    also = f", {len(rejects)} set aside" + (f", {absent} not in the files at all" if absent else "")
    return CheckResult(False, f"{samples} samples where {published} were published{also}", numbers)


def _empty_targets(lake: LakePlace, partition: Partition) -> CheckResult:
    flags = read_partition(lake, schema.SAMPLES, partition, ["is_empty"])["is_empty"]
    empty = pc.sum(flags).as_py() or 0
    published = published_empty_targets(partition["dataset"], partition["split"])
    numbers = {"empty": empty} if published is None else {"empty": empty, "published": published}
    comparison = "" if published is None else f", {published} were published"
    return CheckResult(published in (None, empty), f"{empty} empty targets{comparison}", numbers)


def _no_leak(lake: LakePlace, partition: Partition) -> CheckResult:
    """No image of this split is also in a split that must not share images with it, such as train and test."""
    dataset, split = partition["dataset"], partition["split"]
    apart = ("val", "test") if split == "train" else ("train",)
    ours = _hashes(lake, partition)
    repeated: list[str] = []
    shared: Counter[str] = Counter()
    for other in list_partitions(lake, schema.IMAGES):
        if other["dataset"] == dataset and other["split"] in apart:
            theirs = _hashes(lake, other)
            both = ours.keys() & theirs.keys()
            shared[other["split"]] = len(both)
            repeated += sorted(f"{ours[sha256]} is {theirs[sha256]} of {other['split']}" for sha256 in both)
    compared = ", ".join(sorted(shared)) or "no other split that has been read"
    return CheckResult(
        not repeated,
        f"{len(repeated)} of {len(ours)} images are also in {compared}",
        _count_and_names("shared", "images", repeated),
    )


def _hashes(lake: LakePlace, partition: Partition) -> dict[str, str]:
    """sha256 → image id."""
    rows = read_partition(lake, schema.IMAGES, partition, ["sha256", "image_id"])
    return dict(zip(rows["sha256"].to_pylist(), rows["image_id"].to_pylist(), strict=True))


def _chosen_once(rows: pa.Table) -> CheckResult:
    doubled = rows.num_rows - rows.group_by(["rule", "sample_id"]).aggregate([]).num_rows
    return CheckResult(doubled == 0, f"{doubled} samples have two choices under one rule", {"repeated": doubled})


CHECKS: tuple[Check | LakeCheck, ...] = (
    LakeCheck(
        "not_in_train_and_test",
        schema.IMAGES.name,
        "No image file of a training split is also in val or test (by its sha256).",
        _no_leak,
        blocking=False,
    ),
    LakeCheck(
        "as_many_as_published",
        schema.SAMPLES.name,
        "There are as many samples as the authors of the benchmark count.",
        _as_published,
        blocking=False,
    ),
    LakeCheck(
        "empty_targets_counted",
        schema.SAMPLES.name,
        "The number of empty targets equals the published number, if there is one.",
        _empty_targets,
        blocking=False,
    ),
    LakeCheck(
        "masks_decode",
        schema.SAMPLES.name,
        "Every mask fills its frame, and is empty if and only if the sample has no target.",
        _masks_decode,
    ),
    LakeCheck(
        "masks_fit_their_images", schema.SAMPLES.name, "Every mask has the size of its image, in pixels.", _masks_fit
    ),
    Check(
        "questions_have_words",
        schema.SAMPLES.name,
        "Every sample has a question and none is blank.",
        ("sample_id", "questions"),
        _questions_have_words,
    ),
    Check(
        "one_choice_a_rule",
        schema.SELECTIONS.name,
        "No rule chooses two questions of a sample.",
        ("rule", "sample_id"),
        _chosen_once,
    ),
)
