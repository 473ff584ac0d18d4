"""What a segmenter makes of boxes on real images, beside the filled boxes and the encoding of another image.

    .venv-worker/bin/python -m tests.benchmarks.real_masks [SEGMENTER] [FOLDER]

The default segmenter is mobile-sam (``t2s models fetch mobile-sam``), the default folder tests/data/real_scenes. It
holds ``{train,val,test}/{images,labels}/`` with the same stems. Each connected part of a label is an object, and has a
true box. If the encoding of another image does as well, the segmenter does not see the image.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from t2s_pipeline.segmenters.load import load_segmenter
from t2s_pipeline.segmenters.sam2 import Sam2Segmenter
from t2s_pipeline.vision.geometry import Box, Frame, PromptObject
from t2s_pipeline.vision.labels import decode_label
from t2s_pipeline.vision.pictures import decode_image

HERE = Path(__file__).resolve().parents[1] / "data" / "real_scenes"
SMALLEST = 25
"""Parts of a label with fewer pixels are no objects."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class LabelledImage:
    """An image, uint8 (H, W, 3), its label, bool (H, W), and the true box of each object."""

    name: str
    image: NDArray[np.uint8]
    label: Mask
    boxes: list[Box]


def labelled_images(folder: Path) -> Iterator[LabelledImage]:
    """The images of a folder whose label is not empty."""
    for path in sorted(folder.glob("*/images/*")):
        label = decode_label((path.parents[1] / "labels" / f"{path.stem}.png").read_bytes())
        parts, _ = ndimage.label(label, np.ones((3, 3)))
        sizes = np.bincount(parts.ravel())
        boxes = [
            (float(columns.start), float(rows.start), float(columns.stop), float(rows.stop))
            for number, (rows, columns) in enumerate(ndimage.find_objects(parts), start=1)
            if sizes[number] >= SMALLEST
        ]
        if boxes:
            yield LabelledImage(path.stem, decode_image(path.read_bytes()), label, boxes)


def iou(one: Mask, other: Mask) -> float:
    """The intersection over union of two masks."""
    return float((one & other).sum() / max(1, (one | other).sum()))


def filled(item: LabelledImage, boxes: list[Box]) -> Mask:
    """The union of the boxes."""
    mask = np.zeros(item.label.shape, bool)
    for x0, y0, x1, y1 in boxes:
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return mask


def segmented(segmenter: Sam2Segmenter, item: LabelledImage, encoded: LabelledImage, boxes: list[Box]) -> Mask:
    """The union of the masks of the boxes, from the encoding of an image."""
    frame = Frame(item.label.shape[1], item.label.shape[0])
    prompts = [PromptObject(box) for box in boxes]
    return segmenter.decode(segmenter.encode(encoded.image), [prompts], frame, frame)[0].mask


def main(name: str = "mobile-sam", folder: str = "") -> None:
    """Print the IoU of each image and the mean."""
    segmenter = load_segmenter(name, "cpu")
    items = list(labelled_images(Path(folder) if folder else HERE))
    columns = ("a box per object", "filled boxes", "another image", "one box round all", "filled")
    print(f"{name}: {'image':16} objects  " + "  ".join(columns))
    rows = []
    for place, item in enumerate(items):
        other = items[place - 1]
        around = [(min(b[0] for b in item.boxes), min(b[1] for b in item.boxes),
                   max(b[2] for b in item.boxes), max(b[3] for b in item.boxes))]  # fmt: skip
        masks = (
            segmented(segmenter, item, item, item.boxes),
            filled(item, item.boxes),
            segmented(segmenter, item, other, item.boxes),
            segmented(segmenter, item, item, around),
            filled(item, around),
        )
        rows.append([iou(mask, item.label) for mask in masks])
        print(f"{item.name:24} {len(item.boxes):7}  " + "  ".join(
            f"{value:{len(column)}.2f}" for value, column in zip(rows[-1], columns, strict=True)))  # fmt: skip
    print(f"{'mean':32}  " + "  ".join(
        f"{value:{len(column)}.2f}" for value, column in zip(np.mean(rows, axis=0), columns, strict=True)))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:3])
