"""What differs between a checkpoint and a training as it would be now, in sentences."""

from dataclasses import replace
from pathlib import Path

import pytest

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.training.checkpoints import Checkpoint
from t2s_pipeline.training.continuation import Origin, changes, other_settings, require_continuable

NAME = "think2seg-mini"
NOW = Origin(experiment(NAME), data="d1", base="b1", segmenter="s1", code="c1", revision="0.2 (abc)")


def checkpoint(**values: object) -> Checkpoint:
    """The checkpoint of step 10 of 60 that such a training has left."""
    made = Checkpoint(
        path=Path("runs") / NAME / "checkpoint-10",
        run=NAME,
        step=10,
        steps=60,
        experiment=NOW.experiment.as_json(),
        fingerprint="f",
        data_fingerprint="d1",
        sha256="w1",
        created_at="2026-01-01T00:00:00+00:00",
        base_sha256="b1",
        segmenter_sha256="s1",
        code="c1",
    )
    return replace(made, **values)


def test_nothing_has_changed():
    assert changes(checkpoint(), NOW) == other_settings(checkpoint(), NOW) == []
    require_continuable(checkpoint(), NOW, 60)


def test_what_is_not_known_of_a_checkpoint_is_no_change():
    unknown = checkpoint(data_fingerprint="", base_sha256="", segmenter_sha256="", code="")
    assert changes(unknown, NOW) == []


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"segmenter_sha256": "s0"}, "segmenter sam2-mini has other weights."),
        ({"base_sha256": "b0"}, "base qwen2.5-vl-mini has other weights."),
        ({"data_fingerprint": "d0"}, "The training data was read or labelled again since then."),
        ({"code": "c0"}, "The code has changed: made by an earlier revision; now 0.2 (abc)."),
        ({"code": "c0", "revision": "0.1"}, "The code has changed: made by 0.1; now 0.2 (abc)."),
    ],
)
def test_each_change_is_a_sentence(values: dict[str, str], sentence: str):
    assert changes(checkpoint(**values), NOW) == [sentence]


def test_a_run_cannot_end_before_the_step_that_it_has_reached():
    words = "it has trained 10 of 60 steps, and is to end at 10 now. Nothing was changed"
    with pytest.raises(InputError, match=f"{NAME} cannot go on from step 10 with other settings: {words}"):
        require_continuable(checkpoint(), NOW, 10)
    require_continuable(checkpoint(), NOW, 11)


def test_the_ranks_of_a_sharded_training_are_part_of_its_form():
    """Without ZeRO, a run goes on with another number of ranks."""
    for zero, is_refused in ((0, False), (2, True)):
        sharded = experiment(NAME, [f"compute.zero={zero}", "compute.processes=2"])
        before = experiment(NAME, [f"compute.zero={zero}", "compute.processes=4"])
        reasons = []
        try:
            require_continuable(checkpoint(experiment=before.as_json()), replace(NOW, experiment=sharded))
        except InputError as fault:
            reasons.append(str(fault))
        assert bool(reasons) is is_refused
    assert "compute.processes was 4, and is now 2" in reasons[0]


def test_a_finished_run_names_what_is_other():
    finished = checkpoint(step=60, base_sha256="b0")
    assert finished.final
    with pytest.raises(InputError, match=f"{NAME} is finished with other settings: base qwen2.5-vl-mini has other"):
        require_continuable(finished, NOW)
