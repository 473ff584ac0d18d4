"""The table of docs/training.md, row by row: what happens to a run when the code, a path or a setting has changed.

Each row trains with a copy of the package in a process of its own, changes something, and trains again. The worker is
the stand-in; that a real run continues number by number is in ``test_run.py``.
"""

import ast
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytestmark = [pytest.mark.orchestrator, pytest.mark.slow]

from t2s_pipeline.core.settings import REPO, Settings  # noqa: E402
from t2s_pipeline.datasets.ingest import ingest_split  # noqa: E402
from t2s_pipeline.datasets.registry import dataset_at  # noqa: E402
from t2s_pipeline.datasets.synthetic.layout import write_scenes  # noqa: E402
from t2s_pipeline.training import checkpoints  # noqa: E402
from t2s_pipeline.training.checkpoints import Checkpoint  # noqa: E402
from t2s_pipeline.training.continuation import HISTORY  # noqa: E402

RUN = "think2seg-mini"
SCRIPT = """
import sys
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.steps.runner import Runner
from t2s_pipeline.steps.training import Train
from tests.stand_in_worker import StandIn

step, fresh, *overrides = sys.argv[1:]
settings = Settings.from_env()
worker = StandIn(settings, stops_at=int(step))
try:
    reports = Runner(settings, worker, print, fresh == "fresh").run(Train("think2seg-mini", tuple(overrides)))
    print("already done" if reports[0].skipped else "trained")
except T2SError as fault:
    print(f"refused: {fault}")
"""
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]


@dataclass
class Lab:
    """A checkout of the package, a T2S_HOME with training scenes, and two models outside of it."""

    folder: Path

    @property
    def code(self) -> Path:
        return self.folder / "code"

    home_name: str = "home"

    @property
    def home(self) -> Path:
        return self.folder / self.home_name

    def train(self, until: int, *overrides: str, fresh: bool = False) -> str:
        """Start the training of the run, which has two steps; return what it says."""
        environment = {**os.environ, "T2S_HOME": str(self.home), "PYTHONPATH": str(self.code)}
        words = [str(until), "fresh" if fresh else "", *overrides]
        command = [sys.executable, "-c", SCRIPT, *words]
        done = subprocess.run(command, cwd=self.code, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def git(self, *arguments: str) -> None:
        subprocess.run([*GIT, *arguments], cwd=self.code, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "a change")

    @property
    def checkpoints(self) -> list[Checkpoint]:
        return checkpoints.complete(self.home / "runs" / RUN)

    @property
    def replaced(self) -> list[str]:
        folder = self.home / "runs" / ".replaced"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    @property
    def history(self) -> list[dict]:
        lines = (self.home / "runs" / RUN / HISTORY).read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def models(self) -> Path:
        return self.folder / "models"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package under git, training scenes in a lake, a base and a segmenter."""
    folder = tmp_path_factory.mktemp("lab")
    for name in ("t2s_pipeline", "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "data", "golden", "miniature")
        shutil.copytree(REPO / name, folder / "code" / name, ignore=ignored)
    weights = REPO / "t2s_pipeline" / "miniature"
    shutil.copytree(weights, folder / "code" / "t2s_pipeline" / "miniature")
    write_scenes(folder / "scenes", train=3, val=1, test=1, workers=1, progress=False)
    ingest_split(folder / "home" / "lake", dataset_at("synthetic", folder / "scenes"), "train")
    shutil.copytree(weights / "weights" / "prompter", folder / "models" / "My Base")
    shutil.copy(weights / "weights" / "segmenter" / "model.safetensors", folder / "models" / "sam.safetensors")
    lab = Lab(folder)
    lab.git("init", "-q")
    lab.commit()
    return folder


@pytest.fixture
def lab(template: Path, tmp_path: Path) -> Lab:
    shutil.copytree(template, tmp_path / "lab", symlinks=True)
    return Lab(tmp_path / "lab")


def add_comment(lab: Lab) -> None:
    path = lab.code / "t2s_pipeline" / "training" / "run.py"
    path.write_text(path.read_text() + "\n# A remark.\n")


def reformat(lab: Lab) -> None:
    path = lab.code / "t2s_pipeline" / "rewards" / "mask_iou.py"
    path.write_text(ast.unparse(ast.parse(path.read_text())))


def pull_thirty_commits(lab: Lab) -> None:
    for number in range(30):
        path = lab.code / "t2s_pipeline" / "rewards" / "mask_iou.py"
        path.write_text(path.read_text() + f"\n\ndef function_{number}() -> int:\n    return {number}\n")
        lab.commit()


def move_home(lab: Lab) -> None:
    target = lab.home.with_name(lab.home_name + "-moved")
    lab.home.rename(target)
    lab.home_name = target.name


BASE = "prompter={models}/My Base"
SAM = "segmenter=sam2-mini@{models}/sam.safetensors"


def through_a_link(lab: Lab) -> list[str]:
    link = lab.folder / "link"
    if not link.exists():
        link.symlink_to(lab.models)
    return [text.format(models=link) for text in (BASE, SAM)]


def move_models(lab: Lab) -> None:
    place = next(path for path in (lab.models, lab.folder / "new place") if path.exists())
    place.rename(place.with_name("new place" if place == lab.models else "newer place"))


@pytest.mark.parametrize("change", [add_comment, reformat, move_home, move_models, through_a_link])
def test_what_is_no_change_of_the_run_is_not_even_reported(lab: Lab, change):
    assert "interrupted" in lab.train(1, *(text.format(models=lab.models) for text in (BASE, SAM)))
    (first,) = lab.checkpoints
    went_on = lab.train(2, *change(lab) or [])
    assert "trained" in went_on and lab.history[-1]["step"] == 1 and lab.history[-1]["changes"] == []
    stayed = lab.train(2, *change(lab) or [])
    assert "already done" in stayed
    assert [one.sha256 for one in lab.checkpoints][:1] == [first.sha256] and len(lab.checkpoints) == 2
    assert lab.replaced == []
    for word in ("changed", "other weights", "again since", "refused"):
        assert word not in went_on + stayed
    # No path is a name: not in the settings of the checkpoint, and so not in the tables.
    assert lab.checkpoints[-1].experiment["prompter"] == "my-base"
    assert str(lab.folder) not in json.dumps(lab.checkpoints[-1].experiment)


@pytest.mark.parametrize("finished", [False, True], ids=["interrupted", "finished"])
def test_after_thirty_commits_the_run_goes_on_and_says_which_code_made_it(lab: Lab, finished: bool):
    lab.train(2 if finished else 1)
    (first,) = lab.checkpoints
    pull_thirty_commits(lab)
    answer = lab.train(2)
    assert lab.checkpoints[0] == first and lab.replaced == []
    if finished:
        assert "already done" in answer and f"made by {first.revision}; now " in answer
        return
    second = lab.checkpoints[-1]
    assert second.final and second.revision != first.revision and second.code != first.code
    assert lab.history[-1]["changes"] == [f"The code has changed: made by {first.revision}; now {second.revision}."]


def test_a_changed_setting_is_reported_and_recorded_and_the_run_goes_on(lab: Lab):
    lab.train(1, "grpo.learning_rate=5e-5")
    lab.train(2, "grpo.beta=0.01")
    first, second = lab.checkpoints
    assert lab.replaced == [] and first.step == 1
    assert lab.history[-1]["changes"] == ["grpo.beta was 0.001, and is now 0.01."]
    # A setting of the first start need not be repeated.
    assert second.experiment["grpo"]["learning_rate"] == 5e-5


def test_a_finished_run_with_a_changed_setting_stays_until_a_person_says_fresh(lab: Lab):
    lab.train(2)
    before = lab.checkpoints
    assert "refused: think2seg-mini is finished with other settings: grpo.beta" in lab.train(2, "grpo.beta=0.01")
    assert lab.checkpoints == before and lab.replaced == []
    for beta in (0.01, 0.02):
        assert "trained" in lab.train(2, f"grpo.beta={beta}", fresh=True)
    assert lab.replaced == [RUN, f"{RUN}.2"]
    kept = [checkpoints.latest(lab.home / "runs" / ".replaced" / name) for name in lab.replaced]
    assert [one.experiment["grpo"]["beta"] for one in kept] == [0.001, 0.01]


def test_other_weights_of_the_base_stop_the_run_before_anything_is_changed(lab: Lab):
    lab.train(1, BASE.format(models=lab.models))
    weights = lab.models / "My Base" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    before = lab.checkpoints
    answer = lab.train(2, BASE.format(models=lab.models))
    assert "cannot go on from step 1" in answer and "has other weights than the base" in answer
    assert lab.checkpoints == before and lab.replaced == []


def test_a_form_that_a_checkpoint_cannot_take_on_is_refused(lab: Lab):
    lab.train(1)
    answer = lab.train(2, "grpo.lora_rank=8")
    assert "refused" in answer and "grpo.lora_rank was 0, and is now 8" in answer
    assert [one.step for one in lab.checkpoints] == [1] and lab.replaced == []
    assert Settings.from_env().home != lab.home
