"""Writes tests/data/custom: images, masks, one table of questions in three forms, and a COCO file of each kind.

python -m tests.data.make_custom [FOLDER]
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.make_earthreason import HEIGHT, WIDTH, file_of, label, picture
from tests.data.make_rrsis_d import POLYGON, compressed, plain

HERE = Path(__file__).resolve().parent / "custom"

ROWS: list[dict[str, Any]] = [
    {"image": "a.png", "mask": "a.png", "question": "Where could a plane land?", "split": "test"},
    {"image": "a.png", "mask": "a.png", "question": "Où, en français ?", "split": "test"},
    {"image": "a.png", "mask": "a2.png", "question": "Another target, of  two spaces", "split": "test"},
    {"image": "b.jpg", "mask": "", "question": "Where could a ship moor?", "split": "test"},
    {"image": "b.jpg", "mask": "b.png", "question": "Where does it grow?", "split": "val"},
    {"image": "gone.png", "mask": "a.png", "question": "There is no such image", "split": "test"},
    {"image": "../custom.csv", "mask": "a.png", "question": "A way out", "split": "test"},
    {"image": "b.jpg", "mask": "b.png", "question": " ", "split": "test"},
]


def make(root: Path) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "images" / "a.png").write_bytes(file_of(picture(1), "PNG"))
    (root / "images" / "b.JPG").write_bytes(file_of(picture(2), "JPEG"))
    for name, mode in (("a.png", "L"), ("a2.png", "1"), ("b.png", "P")):
        (root / "masks" / name).write_bytes(file_of(label(mode=mode), "PNG"))
    header = list(ROWS[0])
    lines = [",".join(header), *(",".join(f'"{row[column]}"' for column in header) for row in ROWS)]
    (root / "questions.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    (root / "questions.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), root / "questions.parquet")

    images = [
        {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT},
        {"id": 2, "file_name": "b.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 3, "file_name": "nothing_on_it.png", "width": WIDTH, "height": HEIGHT},
    ]
    annotations = [
        {"id": 1, "image_id": 1, "category_id": 1, "segmentation": compressed(), "iscrowd": 1},
        {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]},
        {"id": 3, "image_id": 2, "category_id": 2, "segmentation": [POLYGON], "caption": "the ship at the quay"},
        {"id": 4, "image_id": 2, "category_id": 2, "segmentation": plain(), "questions": ["Which one?", "Which?"]},
        {"id": 5, "image_id": 9, "category_id": 2, "segmentation": [POLYGON]},
        {"id": 6, "image_id": 2, "category_id": 7, "segmentation": [POLYGON]},
        {"id": 6, "image_id": 2, "category_id": 1, "segmentation": [POLYGON]},
    ]
    categories = [{"id": 1, "name": "airplane"}, {"id": 2, "name": "ship"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "instances.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    shutil.rmtree(folder, ignore_errors=True)
    make(folder)
