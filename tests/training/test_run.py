"""A run of the embedded models learns from real rewards, and an interrupted run continues as if it had not stopped."""

import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.worker
torch = pytest.importorskip("torch")

from t2s_pipeline.core.errors import InputError  # noqa: E402
from t2s_pipeline.core.progress import NoProgress  # noqa: E402
from t2s_pipeline.core.settings import Settings  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.lake.schema import TRAINING_LOG  # noqa: E402
from t2s_pipeline.lake.store import read_partition  # noqa: E402
from t2s_pipeline.methods.experiments import experiment  # noqa: E402
from t2s_pipeline.prompters.load import load_prompter  # noqa: E402
from t2s_pipeline.systems.resolve import resolve  # noqa: E402
from t2s_pipeline.training import checkpoints  # noqa: E402
from t2s_pipeline.training.continuation import HISTORY  # noqa: E402
from t2s_pipeline.training.run import train  # noqa: E402

SMALL = ["grpo.steps=4", "grpo.prompts_per_step=2", "grpo.group_size=4", "grpo.checkpoint_every=2"]
EXACT = (
    "reward",
    "reward_parts",
    "loss",
    "kl",
    "grad_norm",
    "completion_tokens",
    "learning_rate",
    "zero_variance_share",
)


class StopsAt(NoProgress):
    """Ends the run when a step is done, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def advance(self, done: int, note: str = "") -> None:
        if done == self.step and note:
            raise KeyboardInterrupt


class Collects(NoProgress):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.numbers: dict = {}

    def say(self, message: str, warning: bool = False) -> None:
        self.said.append(message)

    def result(self, **metadata) -> None:
        self.numbers = metadata


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_scenes(home / "scenes", train=8, val=1, test=1, workers=1, progress=False)
    ingest_split(home / "lake", dataset_at("synthetic", home / "scenes"), "train")
    return home


@pytest.fixture(scope="module")
def uninterrupted(home: Path) -> tuple[Collects, list[dict]]:
    heard = Collects()
    train(experiment("think2seg-mini", [*SMALL, "name=whole"]), home, "f", heard)
    return heard, rows(home, "whole")


def rows(home: Path, run: str) -> list[dict]:
    return read_partition(home / "lake", TRAINING_LOG, {"run": run}).to_pylist()


def test_the_segmenter_judges_and_the_weights_move(home: Path, uninterrupted: tuple[Collects, list[dict]]):
    heard, logged = uninterrupted
    assert [row["step"] for row in logged] == [1, 2, 3, 4]
    parts = [dict(row["reward_parts"]) for row in logged]
    for row, part in zip(logged, parts, strict=True):
        assert set(part) == {"format", "mask_iou"}
        assert row["reward"] == pytest.approx(part["format"] + 2 * part["mask_iou"])
        assert row["valid_share"] == part["format"]
        assert row["generate_seconds"] + row["reward_seconds"] < row["seconds"]
    # Real masks: neither all nor nothing, and different from step to step.
    ious = [part["mask_iou"] for part in parts]
    assert all(0 < iou < 1 for iou in ious) and len(set(ious)) == 4
    # The policy is the base at first, and has left it after the first update.
    assert logged[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert logged[1]["kl"] > 1e-7
    # Linear decay, from the first step's full rate.
    rate = experiment("think2seg-mini").grpo.learning_rate
    assert [row["learning_rate"] for row in logged] == pytest.approx([rate, rate * 3 / 4, rate / 2, rate / 4])
    assert heard.numbers["steps"] == 4 and heard.numbers["abstained"] == 0


def test_the_checkpoint_is_a_prompter_that_answers_and_is_no_longer_the_base(home: Path, uninterrupted):
    final = checkpoints.latest(home / "runs" / "whole")
    assert final.final and final.experiment["name"] == "whole"
    trained = load_prompter(resolve("whole", Settings(home, Path("python"))).prompter)
    base = load_prompter("qwen2.5-vl-mini")
    moved = [
        not torch.equal(one, other)
        for one, other in zip(trained.model.parameters(), base.model.parameters(), strict=True)
    ]
    # The whole model is trained: language and vision.
    assert np.mean(moved) > 0.95
    assert trained.frame == base.frame and trained.sha256 == final.sha256


def test_an_interrupted_run_continues_as_if_it_had_not_stopped(home: Path, uninterrupted):
    chosen = experiment("think2seg-mini", [*SMALL, "name=parts"])
    with pytest.raises(KeyboardInterrupt):
        train(chosen, home, "f", StopsAt(3), code="old code")
    assert [row["step"] for row in rows(home, "parts")] == [1, 2, 3]
    assert checkpoints.latest(home / "runs" / "parts").step == 2
    assert not checkpoints.staging(home / "runs" / "parts").exists()
    # The code has changed in the meantime: this is said and recorded, and changes no number.
    heard = Collects()
    train(chosen, home, "another fingerprint", heard, code="new code")
    assert heard.said[0] == "parts goes on from step 2."
    starts = [json.loads(line) for line in (home / "runs" / "parts" / HISTORY).read_text().splitlines()]
    assert [(start["step"], start["code"]) for start in starts] == [(0, "old code"), (2, "new code")]
    assert starts[1]["changes"] == [sentence for sentence in heard.said if sentence.startswith("The code has changed")]
    _, expected = uninterrupted
    found = rows(home, "parts")
    for name in EXACT:
        assert [row[name] for row in found] == [row[name] for row in expected], name


def test_a_finished_run_is_not_repeated_and_a_fresh_one_sets_it_aside(home: Path, uninterrupted):
    chosen = experiment("think2seg-mini", [*SMALL, "name=whole"])
    before = checkpoints.latest(home / "runs" / "whole")
    heard = Collects()
    assert train(chosen, home, "f", heard) == before
    assert heard.said == [f"whole is finished: {before.path}"]
    again = chosen.with_overrides(["grpo.steps=1"])
    with pytest.raises(InputError, match=r"is finished with other settings: grpo.steps was 4, and is now 1"):
        train(again, home, "f", heard)
    assert checkpoints.latest(home / "runs" / "whole") == before
    after = train(again, home, "f", heard, fresh=True)
    assert after.step == 1 and after.created_at != before.created_at
    assert checkpoints.latest(home / "runs" / ".replaced" / "whole").sha256 == before.sha256


def test_another_seed_gives_other_samples_and_completions(home: Path, uninterrupted):
    train(experiment("think2seg-mini", [*SMALL, "name=whole", "seed=1", "grpo.steps=1"]), home, "f", NoProgress())
    (first,) = rows(home, "whole-seed1")
    _, expected = uninterrupted
    assert first["reward"] != expected[0]["reward"]
