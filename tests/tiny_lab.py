"""A lab's folder of models and images, at a size that a test can afford: the real architectures with random weights.

    python -m tests.tiny_lab FOLDER        (worker environment)

writes ``FOLDER/models`` with one prompter per family and SAM 2.1 (tiny), under the names that their publishers give the
folders and files, and ``FOLDER/EarthReason`` with real images in its layout: train, val and test.
"""

import shutil
import sys
from pathlib import Path

import torch

from t2s_pipeline.segmenters.registry import SEGMENTERS
from tests.prompters import tiny

PROMPTERS = {
    "qwen2_5_vl": "Qwen2.5-VL-3B-Instruct",
    "qwen3_vl": "Qwen3-VL-2B-Instruct",
    "internvl": "InternVL3-2B-hf",
    "llava": "llava-1.5-7b-hf",
}
"""Family → the folder's name, as `hf download` users call it."""
EXPERIMENTS = {
    "qwen2_5_vl": "think2seg-rs-3b",
    "qwen3_vl": "think2seg-rs-qwen3-vl-2b",
    "internvl": "think2seg-rs-internvl3-2b",
    "llava": "think2seg-rs-llava-1.5-7b",
}
"""Family → the experiment that trains it."""
SEGMENTER_FILE = "sam2.1_hiera_tiny.pt"
SCENES = Path(__file__).parent / "data" / "real_scenes"


def write_models(folder: Path) -> Path:
    """Every prompter and the segmenter; return the folder."""
    for family, name in PROMPTERS.items():
        tiny.save(family, folder / name)
    write_segmenter(folder / SEGMENTER_FILE)
    return folder


def write_segmenter(file: Path, seed: int = 0) -> Path:
    """The tiny SAM 2.1 with random weights, as Meta publishes its files."""
    torch.manual_seed(seed)
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"model": SEGMENTERS["sam2.1-tiny"].build().state_dict()}, file)
    return file


def write_images(folder: Path) -> Path:
    """Two real images per split in EarthReason's layout; those of val are also those of train."""
    for split, source in (("train", "val"), ("val", "val"), ("test", "test")):
        shutil.copytree(SCENES / source, folder / split)
    return folder


if __name__ == "__main__":
    lab = Path(sys.argv[1])
    write_models(lab / "models")
    write_images(lab / "EarthReason")
