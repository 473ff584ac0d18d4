"""The painted datasets that studies need beside the embedded one. Their scenes come from the same painter.

- ``synthetic-studies``: the scenes of the embedded dataset, pixel by pixel and word by word, and after them as many
  further scenes without a target as make them an eighth of val and of test. Each sample names its category and the
  categories that are visible.
- ``synthetic-fine``: the scenes of ``synthetic-studies``' val and test, with the fine truth: panels without the ground
  between them, cars without the lot, water without the rim, lanes without the field. ``synthetic-studies`` has the
  coarse truth, the outline of each object.
- ``synthetic-slender``: other scenes, whose target is elongated or thin, for the studies that are about such targets.
  The embedded test split has ten of them.
- ``synthetic-referring``: other scenes in RISBench's layout. An expression names one object by category, colour and
  place.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np

from t2s_pipeline.datasets.synthetic.expressions import expression
from t2s_pipeline.datasets.synthetic.layout import (
    EARTHREASON_FOLDERS,
    SPLITS,
    PaintedDataset,
    Task,
    digest_of,
    png,
    save_sample,
    scene_of,
    write_dataset,
)
from t2s_pipeline.datasets.synthetic.look import EMBEDDED
from t2s_pipeline.datasets.synthetic.scenes import Scene, paint_scene
from t2s_pipeline.vision.target_shape import ELONGATED, THIN, shape_of

STUDY_DATASETS = ("synthetic-studies", "synthetic-fine", "synthetic-slender", "synthetic-referring")
STUDIES, FINE, SLENDER, REFERRING = STUDY_DATASETS
SEED = 2025
"""That of the embedded dataset."""
REFERRING_SEED, SLENDER_SEED = 4202, 7303
COUNTS = {"train": 1200, "val": 200, "test": 200}
"""The scenes of the embedded dataset."""
EMPTY = {"train": 0, "val": 26, "test": 16}
"""The further scenes without a target. The embedded val has 2 and test has 13 of them, so they are 28 of 226 and 29 of
216: more than 12 % of each."""
REFERRING_COUNTS = {"train": 600, "val": 150, "test": 200}
SLENDER_COUNTS = {"train": 0, "val": 40, "test": 120}
_VERSION = 1


def study_scene(seed: int, split: str, index: int) -> Scene:
    """Scene ``index`` of a split of ``synthetic-studies``: from ``COUNTS`` on, its question has no target."""
    if index < COUNTS[split]:
        return scene_of(seed, split, index)
    # A stream of its own, so that the scenes before do not depend on how many follow.
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(SPLITS.index(split), index, 1))
    rng = np.random.Generator(np.random.PCG64(sequence))
    return paint_scene(rng, replace(EMBEDDED, empty_share=1.0), held_out_questions=split != "train")


def slender_scene(seed: int, split: str, index: int) -> Scene:
    """Scene ``index`` of a split of ``synthetic-slender``: the first of a stream of its own with a slender target."""
    for attempt in itertools.count():
        sequence = np.random.SeedSequence(entropy=seed, spawn_key=(SPLITS.index(split), index, attempt))
        rng = np.random.Generator(np.random.PCG64(sequence))
        scene = paint_scene(rng, held_out_questions=split != "train")
        shape = shape_of(scene.mask)
        if shape is not None and shape.morphology in (ELONGATED, THIN):
            return scene
    raise AssertionError("the stream has no end")


def write_study_scene(task: Task) -> str:
    """Write a scene of ``synthetic-studies``."""
    return _save(task, study_scene(*task[1:]))


def write_fine_scene(task: Task) -> str:
    """Write a scene of ``synthetic-fine``."""
    return _save(task, study_scene(*task[1:]), fine=True)


def write_slender_scene(task: Task) -> str:
    """Write a scene of ``synthetic-slender``."""
    return _save(task, slender_scene(*task[1:]))


def _save(task: Task, scene: Scene, fine: bool = False) -> str:
    root, _, split, index = task
    text = {
        "questions": list(scene.questions),
        "answer": list(scene.answers),
        "category": scene.category,
        "contains": sorted({instance.category for instance in scene.instances}),
    }
    mask = scene.fine_mask if fine else scene.mask
    return save_sample(Path(root, split), f"{split}_{index:05d}", scene.image, mask, text)


def write_referring_scene(task: Task) -> str:
    """Write a scene of ``synthetic-referring``; its expression lies in a file of its own until ``join_phrases``."""
    root, seed, split, index = task
    scene = scene_of(seed, split, index)
    name = f"{split}_{index:05d}"
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    instance, words = expression(scene, rng)
    label = instance.mask.astype(np.uint8) * 255
    Path(root, "img_rgb", f"{name}.png").write_bytes(png(scene.image))
    Path(root, "mask", f"{name}.png").write_bytes(png(label))
    Path(root, f"{name}.phrase").write_text(f"{name}.png {words}\n", encoding="utf-8")
    return digest_of(name, scene.image, label, words)


def join_phrases(folder: Path) -> None:
    """Join the expressions of each split to its phrase file, in the order of the scenes."""
    for split in SPLITS:
        files = sorted(folder.glob(f"{split}_*.phrase"))
        text = "".join(file.read_text("utf-8") for file in files)
        (folder / f"output_phrase_{split}.txt").write_text(text, encoding="utf-8")
        for file in files:
            file.unlink()


def study_datasets(share: float = 1.0) -> dict[str, PaintedDataset]:
    """The datasets by name; ``share`` of their scenes, at least one per split, for tests."""
    studies = {split: max(1, round(share * (COUNTS[split] + EMPTY[split]))) for split in SPLITS}
    referring = {split: max(1, round(share * count)) for split, count in REFERRING_COUNTS.items()}
    fine = {**studies, "train": 0}
    slender = {split: max(1, round(share * count)) if count else 0 for split, count in SLENDER_COUNTS.items()}
    without_train = tuple(folder for folder in EARTHREASON_FOLDERS if not folder.startswith("train"))

    def settings(seed: int, counts: dict[str, int]) -> dict[str, object]:
        return {"seed": seed, **counts, "version": _VERSION}

    return {
        STUDIES: PaintedDataset(settings(SEED, studies), SEED, studies, EARTHREASON_FOLDERS, write_study_scene),
        FINE: PaintedDataset(settings(SEED, fine), SEED, fine, without_train, write_fine_scene),
        SLENDER: PaintedDataset(
            settings(SLENDER_SEED, slender), SLENDER_SEED, slender, without_train, write_slender_scene
        ),
        REFERRING: PaintedDataset(
            settings(REFERRING_SEED, referring),
            REFERRING_SEED,
            referring,
            ("img_rgb", "mask"),
            write_referring_scene,
            join_phrases,
        ),
    }


def write_studies(root: Path, share: float = 1.0, workers: int | None = None, progress: bool = True) -> dict[str, Path]:
    """Write the datasets below ``root``, each unless it is complete there, and return the folder of each."""
    folders = {name: root / name for name in study_datasets()}
    for name, dataset in study_datasets(share).items():
        write_dataset(folders[name], dataset, workers, progress)
    return folders
