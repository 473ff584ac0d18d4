"""The training script: its batches, its files, and that a stopped training continues where it was."""

import argparse
import json

import numpy as np
import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from t2s_pipeline.miniature import train_segmenter as training  # noqa: E402
from t2s_pipeline.miniature.segmenter_pool import TRAIN, paint_pool, paint_pooled_scene  # noqa: E402
from t2s_pipeline.miniature.segmenter_prompts import PromptKind  # noqa: E402
from t2s_pipeline.segmenters.load import load_segmenter  # noqa: E402


@pytest.fixture(scope="module")
def pool():
    return paint_pool(TRAIN, 4)


def test_a_pool_is_the_same_every_time_and_streams_differ(pool):
    again = paint_pool(TRAIN, 4)
    assert all((a.image == b.image).all() for a, b in zip(pool, again, strict=True))
    assert not (paint_pooled_scene((0, 0)).image == paint_pooled_scene((1, 0)).image).all()
    assert pool[0].masks().shape == (len(pool[0].categories), 168, 168)


def test_prompts_move_with_the_turned_image(pool):
    """Every positive point of a batch lies on its target after flips and turns."""
    pixels, anything, prompted = training.make_batch(pool, 6, 8, np.random.default_rng(3))
    assert pixels.shape == (6, 3, 168, 168) and 0 <= pixels.min() and pixels.max() <= 1
    checked = 0
    for prompts in prompted:
        assert (prompts.masks <= anything[:, 0]).all()
        for xy, labels, mask in zip(prompts.xy, prompts.labels, prompts.masks, strict=True):
            for (x, y), label in zip(xy.tolist(), labels.tolist(), strict=True):
                if label in (0, 1):
                    assert mask[int(y), int(x)] == label
                    checked += 1
    assert checked > 50


def options(out, steps: int) -> argparse.Namespace:
    sizes = {"images": 2, "kinds": 2, "scenes": 4, "held_out": 2}
    return argparse.Namespace(out=out, size="mini", steps=steps, seed=0, report=2, threads=1, device="cpu", **sizes)


def test_a_stopped_run_ends_where_an_unbroken_one_does(tmp_path, monkeypatch):
    training.SegmenterTraining(options(tmp_path / "whole", 4)).run()

    real, calls = training.averaged_into, []

    def stopping(average, model, step):
        real(average, model, step)
        calls.append(step)
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training, "averaged_into", stopping)
    with pytest.raises(KeyboardInterrupt):
        training.SegmenterTraining(options(tmp_path / "broken", 4)).run()
    monkeypatch.setattr(training, "averaged_into", real)
    training.SegmenterTraining(options(tmp_path / "broken", 4)).run()

    assert calls == [0, 1, 2]
    whole = load_segmenter(f"sam2-mini@{tmp_path / 'whole' / 'model.safetensors'}")
    broken = load_segmenter(f"sam2-mini@{tmp_path / 'broken' / 'model.safetensors'}")
    for a, b in zip(whole.model.state_dict().values(), broken.model.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=2e-3)
    report = json.loads((tmp_path / "broken" / "eval.json").read_text())
    assert report["sha256"] == broken.sha256
    assert report["prompts"]["box + 2 points"]["n"] > 0
    assert len((tmp_path / "broken" / "curve.csv").read_text().splitlines()) == 3


def test_training_lowers_the_loss(pool):
    torch.manual_seed(0)
    learner = training.Learner(training.build())
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-3)
    batch = training.make_batch(pool, 2, 2, np.random.default_rng(0))
    totals = []
    for _ in range(8):
        losses = learner(*batch)
        total = sum(weight * losses[name] for name, weight in training.WEIGHTS.items())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < 0.8 * totals[0]


def test_the_rate_rises_then_falls_to_a_fiftieth():
    steps, warmup = 1100, training.WARMUP_STEPS
    assert training.learning_rate(0, steps) == pytest.approx(training.LEARNING_RATE / warmup)
    assert training.learning_rate(warmup - 1, steps) == training.learning_rate(warmup, steps) == training.LEARNING_RATE
    # Halfway down the cosine: the mean of 1 and 0.02.
    assert training.learning_rate(warmup + 500, steps) == pytest.approx(0.51 * training.LEARNING_RATE)
    assert training.learning_rate(steps, steps) == pytest.approx(0.02 * training.LEARNING_RATE)


def test_the_command_line_gives_its_settings_to_the_training(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(
        training, "SegmenterTraining", lambda options: argparse.Namespace(run=lambda: given.append(options))
    )
    monkeypatch.setattr("sys.argv", ["train_segmenter", "--out", str(tmp_path), "--steps", "3", "--size", "small"])
    training.main()
    (options,) = given
    assert (options.out, options.steps, options.size, options.images, options.seed) == (tmp_path, 3, "small", 16, 0)
    monkeypatch.setattr("sys.argv", ["train_segmenter", "--out", str(tmp_path), "--size", "huge"])
    with pytest.raises(SystemExit):
        training.main()


def test_a_prompt_of_several_objects_marks_those_of_one_category():
    """Three squares of one category and one of another: two or three of the first are the target."""
    masks = np.zeros((4, 168, 168), bool)
    for number, mask in enumerate(masks):
        mask[10:30, 40 * number + 5 : 40 * number + 25] = True
    kind = PromptKind(box=False, positive=3, several=True)
    counts = set()
    for seed in range(8):
        rng = np.random.default_rng(seed)
        prompted = training._prompted([masks[:3]], [np.array([7, 7, 7])], kind, rng)
        target = prompted.masks[0].bool().numpy()
        marked = [bool((target & mask).any()) for mask in masks]
        assert all((target & mask).sum() in (0, 400) for mask in masks), "an object is a target as a whole"
        counts.add(sum(marked))
        assert not marked[3] and (prompted.masks <= prompted.windows).all()
    assert counts == {2, 3}


def test_the_target_of_a_poor_prompt_is_what_the_prompt_says():
    """It is not the whole object: it ends where the box ends."""
    masks = np.zeros((1, 168, 168), bool)
    masks[0, 40:120, 30:130] = True
    for seed in range(6):
        kind = PromptKind(box=True, positive=0, poor=True)
        prompted = training._prompted([masks], [np.array([7])], kind, np.random.default_rng(seed))
        target = prompted.masks[0].bool().numpy()
        assert target.any() and not np.array_equal(target, masks[0])
        (x0, y0), (x1, y1) = prompted.xy[0].tolist()
        rows, columns = np.nonzero(target)
        assert y0 - 1 <= rows.min() <= rows.max() <= y1 + 1 and x0 - 1 <= columns.min() <= columns.max() <= x1 + 1
        assert (prompted.masks <= prompted.windows).all()
