"""Writes tests/data/rrsis_d: RRSIS-D's layout with every oddity that its reader must take or set aside.

    python -m tests.data.make_rrsis_d [FOLDER]

``train`` holds what must be read, ``val`` what must be set aside beside one good reference, ``test`` a plain one.
Wherever a mask is whole, the target is that of make_earthreason: columns 3 to 8, rows 2 to 5.
"""

import json
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from t2s_pipeline.vision import masks
from tests.data.make_earthreason import HEIGHT, WIDTH, file_of, picture, target

HERE = Path(__file__).resolve().parent / "rrsis_d"
POLYGON = [3, 2, 9, 2, 9, 6, 3, 6]
CATEGORIES = ["airplane", "ship", "harbor"]


def compressed(mask: np.ndarray | None = None) -> dict[str, Any]:
    rle = masks.encode(target() if mask is None else mask)
    return {"size": [rle.height, rle.width], "counts": rle.counts}


def plain() -> dict[str, Any]:
    runs = masks.run_lengths(masks.encode(target()).counts)
    return {"size": [HEIGHT, WIDTH], "counts": runs.tolist()}


def halves() -> list[dict[str, Any]]:
    """The target in two overlapping parts."""
    left, right = target(), target()
    left[:, 7:], right[:, :5] = False, False
    return [compressed(left), compressed(right)]


class Tree:
    """Gathers images, annotations and references, numbered from 1 as they come."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "images" / "rrsisd" / "JPEGImages"
        self.folder.mkdir(parents=True)
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.refs: list[dict[str, Any]] = []

    def image(self, name: str, data: bytes | None = None, width: int = WIDTH, height: int = HEIGHT) -> int:
        number = len(self.images) + 1
        if "/" not in name:
            (self.folder / name).write_bytes(data or file_of(picture(number), "JPEG"))
        self.images.append({"id": number, "file_name": name, "width": width, "height": height})
        return number

    def ref(self, split: str, image: int, segmentation: Any, *sentences: str, **changes: Any) -> None:
        number = len(self.refs) + 1
        category = number % 3 + 1
        entry = {"id": number, "image_id": image, "category_id": category, "segmentation": segmentation, "area": 24}
        self.annotations.append(entry)
        written = [
            {"raw": text, "sent": text.lower(), "tokens": text.lower().split(), "sent_id": number * 10 + n}
            for n, text in enumerate(sentences)
        ]
        ref = {"ref_id": number, "ann_id": number, "image_id": image, "category_id": category, "split": split}
        ref |= {"sentences": written, "file_name": f"{number}.jpg", "sent_ids": [s["sent_id"] for s in written]}
        self.refs.append({**ref, **changes})

    def write(self) -> None:
        (self.root / "rrsisd").mkdir()
        categories = [{"id": n, "name": name} for n, name in enumerate(CATEGORIES, start=1)]
        instances = {"images": self.images, "annotations": self.annotations, "categories": categories}
        (self.root / "rrsisd" / "instances.json").write_text(json.dumps(instances, indent=1))
        (self.root / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps(self.refs, protocol=2))


def make(root: Path) -> None:
    tree = Tree(root)
    shared = tree.image("00001.jpg")
    tree.ref("train", shared, [compressed()], "The Ship at the quay", "the  vessel", "ein Schiff am Kai, 船")
    tree.ref("train", shared, plain(), "a plain list of run lengths")
    tree.ref("train", shared, [POLYGON], "a polygon")
    tree.ref("train", shared, POLYGON, "a polygon that is no list of polygons")
    tree.ref("train", shared, halves(), "two parts that overlap")
    upper = tree.image("00002.JPG")
    tree.ref("train", upper, [compressed()], "an ending in capitals")
    tree.images[upper - 1]["file_name"] = "00002.jpg"
    tree.ref("train", tree.image("00003.jpg", file_of(picture(9).convert("CMYK"), "JPEG")), [compressed()], "CMYK")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = tree.image("00004.jpg", file_of(picture(4), "JPEG", exif=exif), HEIGHT, WIDTH)
    tree.ref("train", turned, [compressed(np.rot90(target(), -1))], "turned by a quarter")
    only_sent = [{"sent": "no raw text", "tokens": [], "sent_id": 1}]
    tree.ref("train", upper, [compressed()], sentences=only_sent)
    (tree.folder / "._00001.jpg").write_bytes(b"\x00\x05\x16\x07clutter")
    (tree.folder / "Thumbs.db").write_bytes(b"clutter")

    good = tree.image("00010.jpg")
    tree.ref("val", good, [compressed()], "the good one")
    tree.ref("val", good, [{"size": [HEIGHT, WIDTH], "counts": "not run lengths"}], "counts of another alphabet")
    tree.ref("val", good, [{"size": [HEIGHT, WIDTH], "counts": "5"}], "runs that do not fill the mask")
    tree.ref("val", good, [{"size": [2**31 - 1, 2**31 - 1], "counts": "4"}], "a mask of four exapixels")
    tree.ref("val", good, [[0, 0, 1e30, 0, 0, 5]], "a polygon that reaches the moon")
    tree.ref("val", good, [[0, 0, 5, 5]], "a polygon of two corners")
    tree.ref("val", good, None, "no segmentation")
    tree.ref("val", good, [compressed()], "its annotation is gone", ann_id=999)
    tree.ref("val", good, [compressed()], "its image is gone", image_id=999)
    tree.ref("val", good, [compressed()], " ", "\t")
    tree.ref("val", good, [compressed()], "no list of sentences", sentences="the ship")
    tree.ref("val", good, [compressed(np.ones((5, 5), dtype=bool))], "a mask of another size")
    tree.ref("val", tree.image("00011.jpg", width=800, height=800), [POLYGON], "an image of another size")
    tree.ref("val", tree.image("../../../../refsegrs/images/1.tif"), [compressed()], "a way out")
    cut = file_of(picture(12, 64, 64), "JPEG")
    tree.ref("val", tree.image("00012.jpg", cut[: len(cut) // 2]), [compressed()], "half an image")
    tree.ref("elsewhere", good, [compressed()], "of no split")

    tree.ref("test", tree.image("00020.jpg"), [compressed()], "a plain one", "and a second sentence")
    tree.write()


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    shutil.rmtree(folder, ignore_errors=True)
    make(folder)
