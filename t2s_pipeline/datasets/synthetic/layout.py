"""Writes the embedded scenes in EarthReason's layout, all of them or none.

    <root>/{train,val,test}/images/<id>.png    RGB
                            labels/<id>.png    8-bit grey, 0 or 255 (the target)
                            QAs/<id>.json      {"questions": [...], "answer": [...]}
    <root>/complete.json                       settings and fingerprint; written last

Scene i of a split depends on (seed, split, i) alone. So the number of processes changes nothing, and a longer split
begins with the scenes of a shorter one.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from t2s_pipeline.core.atomic_files import disk_room, is_abandoned, owner_mark
from t2s_pipeline.core.children import process_pool
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.one_core import use_one_core
from t2s_pipeline.datasets.synthetic.scenes import Scene, paint_scene

SPLITS = ("train", "val", "test")
MARKER = "complete.json"
_VERSION = 1  # increase it whenever the pixels or texts of a scene change


class SceneFolderError(InputError):
    """The folder holds files that this module did not write."""


@dataclass(frozen=True)
class _Settings:
    seed: int
    train: int
    val: int
    test: int
    version: int = _VERSION


def scene_of(seed: int, split: str, index: int) -> Scene:
    """Scene `index` of a split. Questions of val and test include held-out wordings."""
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(SPLITS.index(split), index))
    rng = np.random.Generator(np.random.PCG64(sequence))
    return paint_scene(rng, held_out_questions=split != "train")


Task = tuple[str, int, str, int]
"""A scene to write: the folder of the dataset, the seed, the split and the number of the scene."""

WriteScene = Callable[[Task], str]
"""Writes the files of a scene and returns the sha256 of its pixels and texts."""


def write_scene(task: Task) -> str:
    """Paint and write one scene."""
    root, seed, split, index = task
    scene = scene_of(seed, split, index)
    text = {"questions": list(scene.questions), "answer": list(scene.answers)}
    return save_sample(Path(root, split), f"{split}_{index:05d}", scene.image, scene.mask, text)


def save_sample(folder: Path, name: str, image: np.ndarray, mask: np.ndarray, text: Mapping[str, object]) -> str:
    """Write the three files of a sample in EarthReason's layout.

    Returns:
        The sha256 of its pixels and texts (the bytes of a PNG depend on zlib's version).
    """
    label = mask.astype(np.uint8) * 255
    qa = json.dumps(text, indent=1)
    (folder / "images" / f"{name}.png").write_bytes(png(image))
    (folder / "labels" / f"{name}.png").write_bytes(png(label))
    (folder / "QAs" / f"{name}.json").write_text(qa + "\n", encoding="utf-8")
    return digest_of(name, image, label, qa)


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 pixels (H, W, 3) or (H, W).

    Every scene is decoded many times. With one filter for all rows it is written and decoded faster than a file of
    Pillow, and is as large.

    Raises:
        T2SError: if OpenCV cannot write it.
    """
    is_colour = pixels.ndim == 3
    filtering = cv2.IMWRITE_PNG_FILTER_UP if is_colour else cv2.IMWRITE_PNG_FILTER_NONE
    values = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR) if is_colour else pixels
    # The noise of a scene repeats nothing, so no repetitions are searched. A mask is one run after the other.
    packing = cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY if is_colour else cv2.IMWRITE_PNG_STRATEGY_RLE
    options = {
        cv2.IMWRITE_PNG_COMPRESSION: 1,
        cv2.IMWRITE_PNG_FILTER: filtering,
        cv2.IMWRITE_PNG_STRATEGY: packing,
    }
    is_written, data = cv2.imencode(".png", values, list(chain.from_iterable(options.items())))
    if not is_written:
        raise T2SError(f"OpenCV could not write a picture of {pixels.shape} as a PNG file.")
    return data.tobytes()


def digest_of(name: str, image: np.ndarray, label: np.ndarray, text: str) -> str:
    """The sha256 of a sample's name, pixels and text."""
    digest = hashlib.sha256(repr((name, image.shape)).encode())
    for part in (image.tobytes(), label.tobytes(), text.encode()):
        digest.update(part)
    return digest.hexdigest()


def _read_marker(root: Path) -> dict[str, object] | None:
    try:
        marker: dict[str, object] = json.loads((root / MARKER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return marker


@dataclass(frozen=True)
class PaintedDataset:
    """A dataset that a program paints.

    Attributes:
        settings: what decides it; they are stored beside the files.
        seed: of its scenes.
        counts: split → number of scenes.
        folders: the folders of the layout, below the root.
        write: writes a scene.
        finish: called with the folder when every scene is written.
    """

    settings: Mapping[str, object]
    seed: int
    counts: Mapping[str, int]
    folders: tuple[str, ...]
    write: WriteScene
    finish: Callable[[Path], None] | None = None


def _fill(folder: Path, dataset: PaintedDataset, workers: int, progress: bool) -> None:
    """Write every scene, then the marker."""
    for name in dataset.folders:
        (folder / name).mkdir(parents=True)
    tasks = [(str(folder), dataset.seed, split, k) for split, count in dataset.counts.items() for k in range(count)]
    fingerprint = hashlib.sha256()
    columns = (TextColumn("Painting scenes"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress) as bar:
        row = bar.add_task("scenes", total=len(tasks))

        def collect(digests: Iterable[str]) -> None:
            for digest in digests:
                fingerprint.update(digest.encode())
                bar.advance(row)

        if workers == 1 or len(tasks) < 8:
            collect(map(dataset.write, tasks))
        else:
            with process_pool(min(workers, len(tasks))) as pool:
                collect(pool.map(partial(_write_alone, dataset.write), tasks, chunksize=8))
    if dataset.finish is not None:
        dataset.finish(folder)
    marker = {"settings": dict(dataset.settings), "fingerprint": fingerprint.hexdigest()}
    (folder / MARKER).write_text(json.dumps(marker, indent=1) + "\n", encoding="utf-8")


def _write_alone(write: WriteScene, task: Task) -> str:
    """Write a scene, in a process that does nothing else."""
    use_one_core()
    return write(task)


EARTHREASON_FOLDERS = tuple(f"{split}/{kind}" for split in SPLITS for kind in ("images", "labels", "QAs"))


def write_scenes(
    root: Path,
    seed: int = 2025,
    train: int = 1200,
    val: int = 200,
    test: int = 200,
    workers: int | None = None,
    progress: bool = True,
    fresh: bool = False,
) -> None:
    """Write the embedded dataset to `root`, unless it is complete there with the same settings (``write_dataset``).

    Args:
        root: the folder to write to.
        seed: decides all scenes.
        train: number of scenes of this split.
        val: number of scenes of this split.
        test: number of scenes of this split.
        workers: number of processes; None: one per usable core.
        progress: show a progress bar.
        fresh: write again even if the scenes are complete.

    Raises:
        SceneFolderError: if `root` is not empty and was not written by this function.
        T2SError: if the disk is full.
    """
    settings = _Settings(seed, train, val, test)
    counts = {"train": train, "val": val, "test": test}
    dataset = PaintedDataset(asdict(settings), seed, counts, EARTHREASON_FOLDERS, write_scene)
    write_dataset(root, dataset, workers, progress, fresh)


def write_dataset(
    root: Path, dataset: PaintedDataset, workers: int | None = None, progress: bool = True, fresh: bool = False
) -> None:
    """Write a painted dataset to `root`, unless it is complete there with the same settings.

    Everything is written to a temporary folder beside `root`, which is then renamed. So `root` never holds a part of
    the scenes. A complete dataset with other settings is replaced.

    Args:
        root: the folder to write to.
        dataset: what is painted.
        workers: number of processes; None: one per usable core.
        progress: show a progress bar.
        fresh: write again even if the scenes are complete.

    Raises:
        SceneFolderError: if `root` is not empty and was not written by this function.
        T2SError: if the disk is full.
    """
    root = Path(root).absolute()
    marker = _read_marker(root)
    if marker is not None and marker.get("settings") == dict(dataset.settings) and not fresh:
        return
    if marker is None and root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise SceneFolderError(
            f"{root} exists and holds no {MARKER}, so this command did not write it. Name another folder or empty it."
        )
    with disk_room(root):
        _replace(root, dataset, workers, progress)


def _replace(root: Path, dataset: PaintedDataset, workers: int | None, progress: bool) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    for old in root.parent.glob(f".{root.name}.*"):
        if is_abandoned(old.name):
            shutil.rmtree(old, ignore_errors=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    mark = f"{owner_mark()}-{secrets.token_hex(4)}"
    temporary, replaced = (root.with_name(f".{root.name}.{what}-{mark}") for what in ("writing", "replaced"))
    temporary.mkdir()
    try:
        _fill(temporary, dataset, workers or cores, progress)
        if root.exists():
            root.rename(replaced)
            temporary.rename(root)
            shutil.rmtree(replaced)
        else:
            temporary.rename(root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
