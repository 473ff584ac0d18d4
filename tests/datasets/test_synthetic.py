"""The embedded dataset: the same on every machine, honest in its masks and questions, written whole or not at all."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter, deque
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from t2s_pipeline.datasets.synthetic import layout, placement, queries
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.datasets.synthetic.look import EMBEDDED, FOREIGN
from t2s_pipeline.datasets.synthetic.queries import CATEGORIES, questions_for
from t2s_pipeline.datasets.synthetic.scenes import Scene, paint_scene

FRAME = 168  # the miniature prompter's square frame, pixels
COUNTS = {"train": 12, "val": 5, "test": 4}

# What scenes 0 to 5 of both looks hash to. Checked to be equal with numpy 1.26 and 2.4, with and without SIMD,
# Pillow 11.0 and 13.0. A change here is a new dataset: it needs a new version number in `layout`.
GOLDEN = "d9c07cda1610f35f59b72d2755c93f49335ca955a12de99e321cf55e4a0ea7b4"

HASH_SCENES = """
import hashlib, numpy as np
from t2s_pipeline.datasets.synthetic.look import EMBEDDED, FOREIGN
from t2s_pipeline.datasets.synthetic.scenes import paint_scene
digest = hashlib.sha256()
for look in (EMBEDDED, FOREIGN):
    for seed in range(6):
        rng = np.random.Generator(np.random.PCG64(seed))
        scene = paint_scene(rng, look, side=(None, 168)[seed % 2], held_out_questions=seed > 2)
        for part in (scene.image, *(i.mask for i in scene.instances)):
            digest.update(repr(part.shape).encode() + part.tobytes())
        digest.update(repr((scene.category, scene.questions, scene.answers)).encode())
print(digest.hexdigest())
"""


def rng_of(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def run_python(code: str) -> subprocess.Popen:
    repository = Path(__file__).parents[2]  # `python -c` imports from its working folder first
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=repository)


def box_sides(mask: np.ndarray) -> tuple[float, float]:
    """Height and width of a mask's box, pixels of the square frame."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return (rows[-1] - rows[0] + 1) * FRAME / height, (columns[-1] - columns[0] + 1) * FRAME / width


def in_frame(mask: np.ndarray) -> np.ndarray:
    """The mask in the square frame, bool (168, 168)."""
    return np.asarray(Image.fromarray(mask).resize((FRAME, FRAME), Image.Resampling.NEAREST))


@pytest.fixture(scope="module", params=[EMBEDDED, FOREIGN], ids=lambda look: look.name)
def scenes(request) -> list[Scene]:
    return [paint_scene(rng_of(seed), request.param) for seed in range(40)]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("home") / "synthetic"
    write_scenes(root, seed=7, **COUNTS, workers=2, progress=False)
    return root


# ---- the same everywhere


def test_another_process_paints_the_same_pixels_and_texts():
    process = run_python(HASH_SCENES)
    assert process.communicate(timeout=120)[0].strip() == GOLDEN


def test_a_generator_goes_on_to_another_scene():
    rng = rng_of(0)
    first, second = paint_scene(rng, side=FRAME), paint_scene(rng, side=FRAME)
    assert not np.array_equal(first.image, second.image)
    assert np.array_equal(first.image, paint_scene(rng_of(0), side=FRAME).image)


def test_every_scene_has_its_own_stream():
    streams = [("train", 0), ("train", 1), ("val", 0), ("val", 1), ("test", 0)]
    pictures = {layout.scene_of(2025, split, index).image.tobytes() for split, index in streams}
    assert len(pictures) == len(streams)


# ---- the picture and its masks


def test_sizes_are_native_or_the_square_asked_for(scenes):
    sides = [scene.image.shape[:2] for scene in scenes]
    assert all(scene.image.dtype == np.uint8 and scene.image.shape[2] == 3 for scene in scenes)
    assert all(200 <= min(s) and max(s) <= 450 and max(s) <= 1.42 * min(s) for s in sides)
    assert len(set(sides)) > 30, "sizes hardly vary"
    assert paint_scene(rng_of(1), side=100).image.shape == (100, 100, 3)


def test_objects_never_touch(scenes):
    for number, scene in enumerate(scenes):
        # grown by 3 px in the frame, no object reaches another: at least 4 px lie between them
        masks = [in_frame(instance.mask) for instance in scene.instances]
        grown = [np.asarray(Image.fromarray(m).convert("L").filter(ImageFilter.MaxFilter(7))) > 0 for m in masks]
        for a, b in itertools.combinations(range(len(masks)), 2):
            assert not (grown[a] & masks[b]).any(), (number, scene.instances[a].category, scene.instances[b].category)


def test_objects_are_large_enough_for_six_by_six_tokens(scenes):
    sides = [box_sides(instance.mask) for scene in scenes for instance in scene.instances]
    assert min(min(pair) for pair in sides) >= 18
    assert np.mean([24 <= max(pair) <= 100 for pair in sides]) > 0.8


def test_each_object_is_one_connected_piece(scenes):
    for scene in scenes[:12]:
        for instance in scene.instances:
            mask = instance.mask
            start = tuple(np.argwhere(mask)[0])
            seen, queue = {start}, deque([start])
            while queue:
                y, x = queue.popleft()
                for step in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                    inside = 0 <= step[0] < mask.shape[0] and 0 <= step[1] < mask.shape[1]
                    if inside and step not in seen and mask[step]:
                        seen.add(step)
                        queue.append(step)
            assert len(seen) == mask.sum(), instance.category


def test_the_mask_is_the_union_of_the_asked_category(scenes):
    for scene in scenes:
        targets = [i.mask for i in scene.instances if i.category == scene.category]
        assert scene.mask.shape == scene.image.shape[:2] and scene.mask.dtype == bool
        assert scene.mask.sum() == sum(int(mask.sum()) for mask in targets)
        assert len(scene.targets) == len(targets) <= 4


def test_scenes_show_two_to_four_categories(scenes):
    kinds = [len({i.category for i in scene.instances}) for scene in scenes]
    assert set(kinds) == {2, 3, 4}


def test_an_absent_category_has_no_mask_and_no_answer():
    scenes = (paint_scene(rng_of(seed), side=FRAME) for seed in range(400))
    scene = next(scene for scene in scenes if not scene.targets)
    assert not scene.mask.any() and scene.answers == ()
    assert scene.category not in {i.category for i in scene.instances}
    assert len(scene.questions) >= 3 and set(scene.questions) <= set(questions_for(scene.category))


def _composed(look, number: int = 1200) -> list[tuple[str, Counter]]:
    plans = (placement.compose(rng_of(seed), look, FRAME, FRAME, 1.0) for seed in range(number))
    return [(asked, Counter(category for category, _ in placed)) for asked, placed in plans]


def test_shares_of_the_embedded_look():
    plans = _composed(EMBEDDED)
    counts = Counter(shown[asked] for asked, shown in plans)
    # 5 % absent; of the rest 45, 30, 15, 10 %. Three standard errors of 1,200 draws are at most 4.3 %.
    for number, share in ((0, 0.05), (1, 0.4275), (2, 0.285), (3, 0.1425), (4, 0.095)):
        assert counts[number] / len(plans) == pytest.approx(share, abs=0.043 if number else 0.019)
    asked = Counter(category for category, _ in plans)
    assert set(asked) == set(CATEGORIES) and min(asked.values()) > 80, "categories are asked about evenly"


def test_the_foreign_look_mostly_shows_one_of_a_kind():
    numbers = [n for _, shown in _composed(FOREIGN, 300) for n in shown.values()]
    assert np.mean([n == 1 for n in numbers]) > 0.85


def test_looks_paint_the_same_categories_differently():
    assert set(EMBEDDED.colours) == set(FOREIGN.colours) == set(CATEGORIES)
    means = [
        np.mean([paint_scene(rng_of(seed), look, side=96).image.mean((0, 1)) for seed in range(40)], axis=0)
        for look in (EMBEDDED, FOREIGN)
    ]
    assert np.abs(means[0] - means[1]).max() > 15, "the foreign world should look foreign"


# ---- questions

ALL_QUESTIONS = [(c, q) for c in CATEGORIES for held in (False, True) for q in questions_for(c, held)]


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_question_never_names_its_category(category):
    for question in questions_for(category) + questions_for(category, held_out=True):
        for word in category.split("_"):
            assert word not in question.lower(), question


def test_no_two_categories_share_a_question():
    assert len({q for _, q in ALL_QUESTIONS}) == len(ALL_QUESTIONS)


def test_questions_are_short_plain_and_fully_expanded():
    for _, question in ALL_QUESTIONS:
        assert len(question) <= 90 and question.isascii() and question[-1] in ".?"
        assert not set("[]|") & set(question)


def test_the_vocabulary_is_compact():
    explanations = itertools.chain.from_iterable(queries._EXPLANATIONS.values())
    texts = [q for _, q in ALL_QUESTIONS] + list(explanations)
    assert len({word for text in texts for word in re.findall("[a-z]+", text.lower())}) <= 400


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_fifth_of_the_templates_is_held_out(category):
    seen, held_out = queries._TEMPLATES[category]
    assert len(seen) + len(held_out) >= 10
    assert len(held_out) == pytest.approx(0.2 * (len(seen) + len(held_out)), abs=0.5)
    assert not set(questions_for(category)) & set(questions_for(category, held_out=True))


def test_train_never_asks_a_held_out_question_and_val_asks_both_kinds():
    for seed in range(300):
        category = CATEGORIES[seed % len(CATEGORIES)]
        seen, unseen = set(questions_for(category)), set(questions_for(category, held_out=True))
        train = queries.choose_questions(rng_of(seed), category, held_out=False)
        assert 3 <= len(set(train)) == len(train) <= 5 and set(train) <= seen
        val = queries.choose_questions(rng_of(seed), category, held_out=True)
        assert 3 <= len(set(val)) == len(val) <= 5 and set(val) <= seen | unseen
        assert set(val) & seen and set(val) & unseen


def test_answers_are_one_or_two_sentences(scenes):
    for scene in scenes:
        assert len(scene.answers) in ((1, 2) if scene.targets else (0,))


# ---- on disk


def test_the_layout_is_earthreasons(written):
    assert sorted(p.name for p in written.iterdir()) == ["complete.json", "test", "train", "val"]
    for split, count in COUNTS.items():
        names = [f"{split}_{k:05d}" for k in range(count)]
        for kind, suffix in (("images", ".png"), ("labels", ".png"), ("QAs", ".json")):
            assert sorted(p.name for p in (written / split / kind).iterdir()) == [n + suffix for n in names]
        for index, name in enumerate(names):
            scene = layout.scene_of(7, split, index)
            image = Image.open(written / split / "images" / f"{name}.png")
            label = Image.open(written / split / "labels" / f"{name}.png")
            assert (image.mode, label.mode) == ("RGB", "L")
            assert np.array_equal(np.asarray(image), scene.image)
            assert np.array_equal(np.asarray(label), scene.mask * np.uint8(255))
            texts = json.loads((written / split / "QAs" / f"{name}.json").read_text())
            assert texts == {"questions": list(scene.questions), "answer": list(scene.answers)}


def test_train_files_hold_no_held_out_question_and_val_files_do(written):
    unseen = {q for c in CATEGORIES for q in questions_for(c, held_out=True)}
    for split in COUNTS:
        for path in (written / split / "QAs").iterdir():
            asked = set(json.loads(path.read_text())["questions"])
            assert bool(asked & unseen) == (split != "train"), path


def test_the_number_of_workers_changes_nothing(written, tmp_path):
    write_scenes(tmp_path / "alone", seed=7, **COUNTS, workers=1, progress=False)
    marker = (tmp_path / "alone" / layout.MARKER).read_text()
    assert marker == (written / layout.MARKER).read_text()


def threads_here(_: layout.Task) -> str:
    """In place of the digest of a scene: the threads with which OpenCV computes in this process."""
    return str(cv2.getNumThreads())


@pytest.mark.skipif(cv2.getNumThreads() < 2, reason="OpenCV has one thread on one core")
def test_each_of_several_painting_processes_has_one_thread(tmp_path):
    dataset = layout.PaintedDataset({}, 0, {"train": 16}, (), threads_here)
    layout.write_dataset(tmp_path / "painted", dataset, workers=2, progress=False)
    marker = json.loads((tmp_path / "painted" / layout.MARKER).read_text())
    assert marker["fingerprint"] == hashlib.sha256(b"1" * 16).hexdigest()


def test_the_fingerprint_follows_the_pixels(written, tmp_path):
    write_scenes(tmp_path / "other", seed=8, **COUNTS, workers=1, progress=False)
    prints = [json.loads((p / layout.MARKER).read_text())["fingerprint"] for p in (written, tmp_path / "other")]
    assert prints[0] != prints[1] and all(len(bytes.fromhex(p)) == hashlib.sha256().digest_size for p in prints)


def test_a_complete_dataset_is_left_alone_and_other_settings_replace_it(tmp_path):
    root = tmp_path / "synthetic"
    write_scenes(root, train=2, val=0, test=0, progress=False)
    image = root / "train" / "images" / "train_00000.png"
    first, inode = image.read_bytes(), image.stat().st_ino
    write_scenes(root, train=2, val=0, test=0, progress=False)
    assert image.stat().st_ino == inode
    write_scenes(root, train=3, val=1, test=0, progress=False)
    assert len(list((root / "train" / "images").iterdir())) == 3
    assert image.read_bytes() == first, "a longer split begins with the shorter one"
    assert [p.name for p in tmp_path.iterdir()] == ["synthetic"]


def test_a_folder_with_something_else_in_it_is_refused(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(layout.SceneFolderError, match=re.escape(str(tmp_path))):
        write_scenes(tmp_path, train=1, val=0, test=0, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    write = layout.write_scene

    def fail_on_the_third(task):
        if task[3] == 2:
            raise OSError("no space left")
        return write(task)

    monkeypatch.setattr(layout, "write_scene", fail_on_the_third)
    with pytest.raises(OSError, match="no space"):
        write_scenes(tmp_path / "synthetic", train=4, val=0, test=0, workers=1, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_write_leaves_no_half_folder_and_the_next_one_succeeds(tmp_path):
    root = tmp_path / "synthetic"
    process = run_python(
        "from pathlib import Path; from t2s_pipeline.datasets.synthetic import layout\n"
        "write = layout.write_scene\n"
        "def reported(task): name = write(task); print('written', flush=True); return name\n"
        "layout.write_scene = reported\n"
        f"layout.write_scenes(Path({str(root)!r}), train=5000, val=0, test=0, workers=1, progress=False)"
    )
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not root.exists()
    (left,) = tmp_path.iterdir()
    os.utime(left, (0, 0))  # long ago
    write_scenes(root, train=1, val=0, test=0, progress=False)
    assert [p.name for p in tmp_path.iterdir()] == ["synthetic"] and (root / layout.MARKER).exists()
