"""The painted datasets of the studies: the embedded scenes stay, what is added is what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from t2s_pipeline.datasets.registry import dataset_at
from t2s_pipeline.datasets.synthetic.expressions import centre, expression
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.datasets.synthetic.scenes import Instance, Scene
from t2s_pipeline.datasets.synthetic.studies import (
    COUNTS,
    EMPTY,
    FINE,
    REFERRING,
    SEED,
    SLENDER,
    SLENDER_SEED,
    STUDIES,
    slender_scene,
    study_scene,
    write_studies,
)
from t2s_pipeline.vision import masks
from tests.datasets.reading import read_tables


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_studies(tmp_path_factory.mktemp("studies"), 0.01, 1, progress=False)


def test_the_scenes_of_the_embedded_dataset_do_not_change(folders, tmp_path):
    write_scenes(tmp_path / "embedded", train=2, val=2, test=2, workers=1, progress=False)
    for split in ("train", "val", "test"):
        for index in range(2):
            name = f"{split}_{index:05d}"
            for kind in ("images", "labels"):
                former, present = (
                    root / split / kind / f"{name}.png" for root in (tmp_path / "embedded", folders[STUDIES])
                )
                assert np.array_equal(np.asarray(Image.open(former)), np.asarray(Image.open(present)))
            texts = [root / split / "QAs" / f"{name}.json" for root in (tmp_path / "embedded", folders[STUDIES])]
            former, present = (json.loads(path.read_text()) for path in texts)
            assert former == {key: present[key] for key in former}


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_further_scenes_have_no_target_and_make_an_eighth(split):
    total = COUNTS[split] + EMPTY[split]
    # Counted in the embedded scenes: 2 of val and 13 of test.
    assert ({"val": 2, "test": 13}[split] + EMPTY[split]) / total >= 0.12
    for index in (COUNTS[split], total - 1):
        scene = study_scene(SEED, split, index)
        assert not scene.mask.any() and scene.questions and not scene.answers
        assert scene.category not in {instance.category for instance in scene.instances}


def test_every_target_of_the_slender_scenes_is_elongated_or_thin(folders):
    for split in ("val", "test"):
        samples = read_tables(SLENDER, folders[SLENDER], split).samples
        assert samples.num_rows and set(samples["morphology"].to_pylist()) <= {"elongated", "thin"}
    scenes = [slender_scene(SLENDER_SEED, "test", index) for index in range(3)]
    assert len({scene.image.tobytes() for scene in scenes}) == 3
    again = slender_scene(SLENDER_SEED, "test", 1)
    assert np.array_equal(again.image, scenes[1].image) and again.questions == scenes[1].questions
    assert not (folders[SLENDER] / "train").exists()


def test_samples_name_their_category_and_what_is_visible(folders):
    rows = read_tables(STUDIES, folders[STUDIES], "train").samples.to_pylist()
    for row in rows:
        assert (row["category"] in row["contains"]) == (not row["is_empty"])


def test_the_fine_truth_is_part_of_the_coarse_one(folders):
    coarse = read_tables(STUDIES, folders[STUDIES], "test").samples.to_pylist()
    fine = read_tables(FINE, folders[FINE], "test").samples.to_pylist()
    assert [row["sample_id"] for row in fine] == [row["sample_id"] for row in coarse]
    for small, large in zip(fine, coarse, strict=True):
        parts, outline = (masks.decode(masks.Rle.from_arrow(row["mask"])) for row in (small, large))
        assert not (parts & ~outline).any() and parts.any() == outline.any()
    scenes = [study_scene(SEED, "test", index) for index in range(8)]
    panels = [i for scene in scenes for i in scene.instances if i.category == "solar_farm"]
    houses = [i for scene in scenes for i in scene.instances if i.category == "house"]
    assert panels and all(0.3 < i.parts.sum() / i.mask.sum() < 0.85 for i in panels)
    assert houses and all(np.array_equal(i.parts, i.mask) for i in houses)


def test_the_referring_dataset_is_read_as_one(folders):
    tables = read_tables(REFERRING, folders[REFERRING], "test")
    assert tables.samples.num_rows == 2 and tables.rejects.num_rows == 0
    assert dataset_at(REFERRING, folders[REFERRING]).splits == ["train", "val", "test"]


def scene_with(places: list[tuple[int, int]]) -> Scene:
    """White squares of 10 pixels at these rows and columns, on black."""
    image, instances = np.zeros((100, 100, 3), np.uint8), []
    for row, column in places:
        mask = np.zeros((100, 100), bool)
        mask[row : row + 10, column : column + 10] = True
        image[mask] = 235
        instances.append(Instance("storage_tank", mask, mask))
    return Scene(image, tuple(instances), "storage_tank", (), ())


@pytest.mark.parametrize(
    ("places", "words"),
    [
        ([(10, 10), (20, 70)], {"left": 10, "right": 70}),
        ([(70, 40), (10, 50)], {"upper": 50, "lower": 40}),
        ([(10, 80), (20, 10), (15, 40)], {"leftmost": 10, "rightmost": 80}),
    ],
)
def test_an_expression_means_the_object_that_it_names(places, words):
    seen = set()
    for seed in range(12):
        instance, text = expression(scene_with(places), np.random.default_rng(seed))
        word = text.split()[1]
        seen.add(word)
        assert round(centre(instance.mask)[1] - 4.5) == words[word]
        count = {2: "two", 3: "three"}[len(places)]
        assert text == f"the {word} one of the {count} white storage tanks"
    assert seen == set(words)


def test_a_single_object_is_named_by_its_quarter():
    _, text = expression(scene_with([(80, 5)]), np.random.default_rng(0))
    assert text in ("the white storage tank in the lower left", "the storage tank in the lower left")
