"""Which prompts of a run are replaced, and by what."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t2s_pipeline.training.dataset import TrainingSample, prompt_order
from t2s_pipeline.training.mixture import lacks, mixed
from t2s_pipeline.vision import masks

TRUTH = masks.encode(np.ones((8, 6), bool))


def sample(name: str, category: str | None = None, contains: tuple[str, ...] | None = None, **more) -> TrainingSample:
    return TrainingSample(name, f"image-{name}", (f"where is {name}?",), TRUTH, (), category, contains=contains, **more)


TANK, LAKE = sample("a", "tank", ("tank", "road")), sample("b", "lake", ("lake", "tank"))
POOL = sample("c", "pool", ("pool",))
REFERRING = [sample(f"r{n}", box_dataset="referring") for n in range(5)]


def mix(length: int, box: float, empty: float, samples=(TANK, LAKE, POOL), seed: int = 3):
    order = prompt_order([1] * len(samples), length, seed)
    return mixed(samples, order, REFERRING if box else [], (box, empty), seed)


def test_without_shares_nothing_changes():
    order = prompt_order([1] * 3, 40, 3)
    mixture = mixed([TANK, LAKE, POOL], order, [], (0, 0), 3)
    assert (mixture.samples, mixture.order) == ([TANK, LAKE, POOL], order)


@settings(max_examples=40, deadline=None)
@given(share=st.sampled_from([0.02, 0.05, 0.1, 0.25, 0.5]), length=st.integers(1, 300))
def test_a_share_of_the_prompts_has_a_box_label(share, length):
    mixture = mix(length, share, 0)
    boxes = [mixture.samples[choice.sample].box_dataset for choice in mixture.order]
    assert boxes.count("referring") == mixture.referring
    assert abs(mixture.referring - share * length) <= 1


@given(shorter=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_a_longer_run_begins_as_a_shorter_one(shorter):
    def prompts(length: int) -> list[tuple[str, str]]:
        mixture = mix(length, 0.1, 0.2)
        chosen = [mixture.samples[choice.sample] for choice in mixture.order]
        return [
            (one.sample_id, one.questions[choice.question]) for one, choice in zip(chosen, mixture.order, strict=True)
        ]

    assert prompts(100)[:shorter] == prompts(shorter)


def test_a_mined_question_is_asked_about_an_image_without_its_target():
    mixture = mix(200, 0, 0.25)
    mined = [mixture.samples[choice.sample] for choice in mixture.order if choice.sample >= 3]
    # The question about the tank is asked about the pool only; the lake's image shows a tank.
    assert len(mined) == mixture.mined and abs(mixture.mined + mixture.unchanged - 50) <= 1
    images = {one.sample_id: one.image_id for one in mined}
    assert images["a@c"] == "image-c" and "a@b" not in images
    assert all(one.truth.area == 0 and (one.truth.height, one.truth.width) == (8, 6) for one in mined)
    assert next(one for one in mined if one.sample_id == "a@c").questions == TANK.questions


def test_where_no_image_lacks_the_target_the_prompt_stays():
    everywhere = [sample("a", "tank", ("tank",)), sample("b", "tank", ("tank",))]
    mixture = mix(40, 0, 0.25, everywhere)
    assert (mixture.mined, mixture.unchanged) == (0, 10)
    assert all(choice.sample < 2 for choice in mixture.order)


@pytest.mark.parametrize(
    ("other", "asked", "expected"),
    [
        (LAKE, TANK, False),
        (POOL, TANK, True),
        (sample("d", "lake"), sample("e", "tank"), True),
        (sample("d", "tank"), sample("e", "tank"), False),
        (sample("d", answers=("An airport runway.",)), sample("e", answers=("A storage tank.",)), True),
        (sample("d", answers=("A storage hall.",)), sample("e", answers=("A storage tank.",)), False),
        (sample("d"), sample("e", answers=("A storage tank.",)), False),
    ],
)
def test_what_lacks_a_target(other, asked, expected):
    assert lacks(other, asked) == expected
