"""Answers of two other systems to a split in EarthReason's layout, in the files that such projects write."""

import json
import shutil
from pathlib import Path

ANSWER = (
    "<think>It is in the middle.</think>"
    '<answer>[{"bbox_2d": [300, 300, 500, 500], "point_1": [380, 380], "point_2": [420, 420]}]</answer>'
)


def write(folder: Path, split: Path) -> Path:
    """``masks``, a folder with one mask per image, and ``geo_results.json``, texts of the authors' evaluation."""
    folder.mkdir()
    shutil.copytree(split / "labels", folder / "masks")
    results = [
        {"image_path": f"EarthReason/test/images/{path.stem}.jpg", "question": question, "model_output": ANSWER}
        for path in sorted((split / "QAs").glob("*.json"))
        for question in json.loads(path.read_text("utf-8"))["questions"]
    ]
    (folder / "geo_results.json").write_text(json.dumps({"results": results}))
    return folder
