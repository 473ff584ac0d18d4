"""A split as a Hugging Face dataset: Parquet files with ``Image`` columns and a card, readable without this package.

``datasets.load_dataset(FOLDER)`` reads it offline. A row is a sample. An image of several samples is in the row of each
of them. The image is as the lake stores it: the original file, or the PNG made from a file that is no 8-bit picture.
The mask is a picture of 0 and 255, and COCO run lengths. If the image has a CRS, the mask is a GeoTIFF.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import read_partition, scan
from t2s_pipeline.vision import masks
from t2s_pipeline.vision.mask_images import mask_image
from t2s_pipeline.vision.mask_type import RLE_TYPE
from t2s_pipeline.vision.masks import Rle
from t2s_pipeline.vision.place import Place

SHARD_BYTES = 500_000_000
"""The size of a file; the Hub uses the same."""
ROWS_AT_ONCE = 32
_SILENT = NoProgress()

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How a Hugging Face ``Image`` is stored."""
COLUMNS = pa.schema(
    [
        ("sample_id", pa.string()),
        ("image_id", pa.string()),
        ("image", PICTURE),
        ("mask", PICTURE),
        ("questions", pa.list_(pa.string())),
        ("answers", pa.list_(pa.string())),
        ("category", pa.string()),
        ("is_empty", pa.bool_()),
        ("mask_area", pa.int64()),
        ("mask_rle", RLE_TYPE),
        ("crs", pa.string()),
        ("transform", pa.list_(pa.float64())),
    ]
)


@dataclass(frozen=True)
class ExportReport:
    """Counts what was written: ``rows`` samples in ``files`` Parquet files."""

    rows: int
    files: int


def export_split(
    settings: Settings,
    dataset: str,
    split: str,
    folder: Path,
    progress: Progress = _SILENT,
    with_masks: bool = False,
) -> ExportReport:
    """Write ``folder/data/<split>-<n>.parquet`` and the card, which lists every split that the folder holds.

    A file appears when it is complete. Files of an earlier export of the split are replaced or removed.

    Args:
        settings: name the lake.
        dataset: the dataset to export.
        split: its split.
        folder: the folder to write to; it may hold other splits of the same dataset.
        progress: where to report how many samples are written.
        with_masks: write ``folder/masks/<split>/<sample_id>.tif`` (``.png`` without a place on Earth) too.

    Raises:
        NotMaterializedError: if the split is not in the lake.
        InputError: if the folder holds another dataset's export, or the id of a sample cannot be a file name.
    """
    partition = {"dataset": dataset, "split": split}
    samples = read_partition(settings.lake, schema.SAMPLES, partition)
    card = folder / "README.md"
    if card.is_file() and f"# {dataset}\n" not in card.read_text("utf-8"):
        raise InputError(f"{folder} holds another dataset: export {dataset} to another folder.")
    progress.start(f"exporting {split}", samples.num_rows)
    mask_files = MaskFiles(folder / "masks" / split) if with_masks else None
    rows = _rows(settings, partition, samples, mask_files)
    written: list[Path] = []
    done = 0
    batch = next(rows, None)
    while batch is not None or not written:
        path = folder / "data" / f"{split}-{len(written):05}.parquet"
        columns = _with_features()
        with atomic_file(path) as temporary, pq.ParquetWriter(temporary, columns, compression="zstd") as writer:
            size = 0
            while batch is not None and size < SHARD_BYTES:
                writer.write_batch(batch)
                size, done = size + batch.nbytes, done + batch.num_rows
                progress.advance(done)
                batch = next(rows, None)
        written.append(path)
    for stale in (folder / "data").glob(f"{split}-*.parquet"):
        if stale not in written:
            stale.unlink()
    if mask_files is not None:
        mask_files.remove_others()
    with atomic_file(card) as temporary:
        temporary.write_text(_card(dataset, folder), "utf-8")
    return ExportReport(done, len(written))


def _rows(
    settings: Settings, partition: dict[str, str], samples: pa.Table, mask_files: "MaskFiles | None"
) -> Iterator[pa.RecordBatch]:
    """Rows in the order of the images, so that at most a row group of images is in memory."""
    rows_of: dict[str, list[int]] = {}
    for row, image_id in enumerate(samples["image_id"].to_pylist()):
        rows_of.setdefault(image_id, []).append(row)
    waiting: list[dict[str, Any]] = []
    columns = ["image_id", "file_name", "bytes", "crs", "transform"]
    for batch in scan(settings.lake, schema.IMAGES, partition, columns, batch_rows=8):
        for image in batch.to_pylist():
            for row in rows_of.get(image["image_id"], ()):
                (sample,) = samples.slice(row, 1).to_pylist()
                waiting.append(_row(sample, image))
                if mask_files is not None:
                    mask_files.write(waiting[-1]["mask"])
                if len(waiting) == ROWS_AT_ONCE:
                    yield pa.RecordBatch.from_pylist(waiting, schema=COLUMNS)
                    waiting = []
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, schema=COLUMNS)


def _row(sample: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    mask = masks.decode(Rle.from_arrow(sample["mask"]))
    place = Place.named(image["crs"], tuple(image["transform"])) if image["crs"] else None
    data, ending = mask_image(mask, place)
    copied = {name: sample[name] for name in ("sample_id", "image_id", "questions", "answers", "category")}
    return {
        **copied,
        "image": {"bytes": image["bytes"], "path": image["file_name"]},
        "mask": {"bytes": data, "path": f"{sample['sample_id']}{ending}"},
        "is_empty": sample["is_empty"],
        "mask_area": sample["mask_area"],
        "mask_rle": sample["mask"],
        "crs": image["crs"],
        "transform": image["transform"],
    }


class MaskFiles:
    """Masks as files of a folder, named by their samples, as ``t2s score`` reads them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()

    def write(self, mask: Mapping[str, Any]) -> None:
        """Write the picture of a row.

        Raises:
            InputError: if its path would leave the folder.
        """
        name = PurePosixPath(mask["path"])
        if name.is_absolute() or ".." in name.parts or "\0" in mask["path"]:
            raise InputError(f"{name.stem!r} cannot be the name of a file: export without --masks.")
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_bytes(mask["bytes"])
        self._written.add(path)

    def remove_others(self) -> None:
        """Remove the masks of an earlier export."""
        for path in self._folder.rglob("*"):
            if path.suffix in (".tif", ".png") and path not in self._written:
                path.unlink()


def _with_features() -> pa.Schema:
    """The columns with the metadata from which Hugging Face's ``datasets`` knows which of them are pictures."""
    features = {field.name: _feature(field.type) for field in COLUMNS}
    return COLUMNS.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _feature(kind: pa.DataType) -> Any:
    if kind == PICTURE:
        return {"_type": "Image"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": str(kind), "_type": "Value"}


def _card(dataset: str, folder: Path) -> str:
    """The card: YAML that says which files belong to which split, then a description for people."""
    lines = []
    counts = []
    for split in ("train", "val", "test"):
        files = sorted((folder / "data").glob(f"{split}-*.parquet"))
        if files:
            # `datasets` has its own name for it, "validation", but accepts "val" as the name of a split.
            lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
            counts.append(f"| {split} | {sum(pq.read_metadata(path).num_rows for path in files):,} |")
    meanings = {column.name: column.meaning for column in schema.SAMPLES.columns}
    meanings |= {
        "image": "the original file, or the PNG made from a file that is no 8-bit picture",
        "mask": "the ground truth as a picture of 0 and 255, at the image's size as displayed; a GeoTIFF with crs",
        "crs": "coordinate reference system of the image and the mask: EPSG:… or WKT; null if it has none",
        "transform": "a, b, c, d, e, f: x = a·column + b·row + c, y = d·column + e·row + f; null without crs",
        "mask_rle": "the same as COCO's compressed run lengths",
    }
    columns = [f"| `{name}` | {meanings[name]} |" for name in COLUMNS.names]
    return "\n".join(
        [
            "---",
            "task_categories:",
            "- image-segmentation",
            "tags:",
            "- remote-sensing",
            "- referring-segmentation",
            "configs:",
            "- config_name: default",
            "  data_files:",
            *lines,
            "---",
            "",
            f"# {dataset}",
            "",
            "Images seen from above, questions about them, and the pixels that answer each. Exported from the tables",
            "of t2s_pipeline; the data and its licence are those of the dataset's authors.",
            "",
            "```python",
            "from datasets import load_dataset",
            "",
            'dataset = load_dataset("path/to/this/folder")',
            "```",
            "",
            "| split | samples |",
            "|---|---|",
            *counts,
            "",
            "| column | meaning |",
            "|---|---|",
            *columns,
            "",
        ]
    )
