"""What must hold of a dataset's split, beyond its own columns: sizes that fit, no leak, as many as were published."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.checks.claims import Check, Finding, LakeCheck
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.registry import published_empty_targets, published_samples
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import Partition, list_partitions, read_partition, scan
from t2s_pipeline.vision import masks

MASKS_AT_ONCE = 64
LISTED = 50
"""Names in a check's metadata; the whole list is a query away."""


def _listed(names: list[str]) -> str:
    more = f"\n… and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return "\n".join(names[:LISTED]) + more


def _masks_decode(lake: Path, partition: Partition) -> Finding:
    """Every mask fills its frame, and is empty exactly when it says so. A few at a time: a split has gigabytes."""
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
    return Finding(not wrong, f"{len(wrong)} of {count} masks are wrong{first}", {"wrong": len(wrong)})


def _masks_fit(lake: Path, partition: Partition) -> Finding:
    """Every mask has the size of its image, which is there."""
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
    return Finding(
        not wrong,
        f"{len(wrong)} of {samples.num_rows} masks have another size than their image",
        {"wrong": len(wrong), **({"samples": _listed(wrong)} if wrong else {})},
    )


def _questions_have_words(rows: pa.Table) -> Finding:
    wrong = [
        sample
        for sample, questions in zip(rows["sample_id"].to_pylist(), rows["questions"].to_pylist(), strict=True)
        if not questions or not all(question and question.strip() for question in questions)
    ]
    numbers = {"blank": len(wrong), **({"samples": _listed(wrong)} if wrong else {})}
    return Finding(not wrong, f"{len(wrong)} samples without a question or with a blank one", numbers)


def _as_published(lake: Path, partition: Partition) -> Finding:
    """The number of samples beside the published one, and what was set aside where they differ."""
    samples = read_partition(lake, schema.SAMPLES, partition, ["sample_id"]).num_rows
    published = published_samples(partition["dataset"], partition["split"])
    if published is None:
        return Finding(True, f"{samples} samples; no count was published", {"samples": samples})
    numbers: dict[str, int | str] = {"samples": samples, "published": published}
    if samples == published:
        return Finding(True, f"{samples} samples, as published", numbers)
    rejects = read_partition(lake, schema.REJECTS, partition, ["source", "reason"]).to_pylist()
    numbers["set aside"] = len(rejects)
    numbers["missing"] = _listed([f"{row['source']}: {row['reason']}" for row in rejects]) or "nothing was set aside"
    absent = max(0, published - samples - len(rejects))
    also = f", {len(rejects)} set aside" + (f", {absent} not in the files at all" if absent else "")
    return Finding(False, f"{samples} samples where {published} were published{also}", numbers)


def _empty_targets(lake: Path, partition: Partition) -> Finding:
    flags = read_partition(lake, schema.SAMPLES, partition, ["is_empty"])["is_empty"]
    empty = pc.sum(flags).as_py() or 0
    published = published_empty_targets(partition["dataset"], partition["split"])
    numbers = {"empty": empty} if published is None else {"empty": empty, "published": published}
    said = "" if published is None else f", {published} were published"
    return Finding(published in (None, empty), f"{empty} empty targets{said}", numbers)


def _no_leak(lake: Path, partition: Partition) -> Finding:
    """No file of this split is also in one that it must be apart from: what is trained on is not tested on."""
    dataset, split = partition["dataset"], partition["split"]
    apart = ("val", "test") if split == "train" else ("train",)
    ours = _hashes(lake, partition)
    found: list[str] = []
    shared: Counter[str] = Counter()
    there = [other for other in list_partitions(lake, schema.IMAGES) if other["dataset"] == dataset]
    for other in there:
        if other["split"] in apart:
            theirs = _hashes(lake, other)
            both = ours.keys() & theirs.keys()
            shared[other["split"]] = len(both)
            found += sorted(f"{ours[one]} is {theirs[one]} of {other['split']}" for one in both)
    looked = ", ".join(sorted(shared)) or "no other split that is here yet"
    return Finding(
        not found,
        f"{len(found)} of {len(ours)} images are also in {looked}",
        {"shared": len(found), **({"images": _listed(found)} if found else {})},
    )


def _hashes(lake: Path, partition: Partition) -> dict[str, str]:
    """sha256 → image id."""
    rows = read_partition(lake, schema.IMAGES, partition, ["sha256", "image_id"])
    return dict(zip(rows["sha256"].to_pylist(), rows["image_id"].to_pylist(), strict=True))


def _chosen_once(rows: pa.Table) -> Finding:
    doubled = rows.num_rows - rows.group_by(["rule", "sample_id"]).aggregate([]).num_rows
    return Finding(doubled == 0, f"{doubled} samples have two choices under one rule", {"repeated": doubled})


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
        "There are as many samples as the benchmark's authors count.",
        _as_published,
        blocking=False,
    ),
    LakeCheck(
        "empty_targets_counted",
        schema.SAMPLES.name,
        "How many targets are empty, beside the published number where there is one.",
        _empty_targets,
        blocking=False,
    ),
    LakeCheck(
        "masks_decode",
        schema.SAMPLES.name,
        "Every mask fills its frame and is empty exactly when it says so.",
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
