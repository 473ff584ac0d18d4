"""What the worker can load is what its own loaders find: embedded models, folders, and the local Hub cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from t2s_pipeline.core.settings import REPO

pytest.importorskip("huggingface_hub")

PROMPTER, COMMIT = "Qwen/Qwen2.5-VL-3B-Instruct", "66285546d2b821cf421d4f5eb2576359d3770cd3"
SEGMENTER, FILE = "facebook/sam2.1-hiera-small", "sam2.1_hiera_small.pt"


def readiness(home: Path, **asked: list[str]) -> dict:
    """What the module prints in a process of its own, with this Hub cache."""
    question = {"packages": [], "prompters": [], "segmenters": [], **asked}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-m", "t2s_pipeline.training.readiness"],
        input=json.dumps(question),
        cwd=REPO,
        env={**environment, "HF_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def cached(home: Path, repository: str, commit: str, *files: str) -> None:
    """Files of a repository at a commit, as the Hub's own library stores them."""
    folder = home / "hub" / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    for file in files:
        path = folder / "snapshots" / commit / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def test_what_is_missing_is_named_with_the_command_that_fetches_it(tmp_path: Path):
    answer = readiness(tmp_path, prompters=[PROMPTER, "qwen2.5-vl-mini"], segmenters=["sam2.1-small", "sam2-mini"])
    assert answer["prompters"] == {
        PROMPTER: {
            "sentence": f"The local Hub cache lacks {PROMPTER} at its pinned commit",
            "command": f"hf download {PROMPTER} --revision {COMMIT}",
        }
    }
    assert answer["segmenters"]["sam2.1-small"]["command"] == f"hf download {SEGMENTER} {FILE}"
    assert list(answer["segmenters"]) == ["sam2.1-small"]
    assert answer["hub_cache"] == str(tmp_path / "hub")


def test_what_is_in_the_hub_cache_is_not_missing(tmp_path: Path):
    cached(tmp_path, PROMPTER, COMMIT, "config.json")
    cached(tmp_path, SEGMENTER, COMMIT, FILE)
    answer = readiness(tmp_path, prompters=[PROMPTER], segmenters=["sam2.1-small"])
    assert answer["prompters"] == answer["segmenters"] == {}


def test_files_and_folders_are_looked_for_where_they_are_named(tmp_path: Path):
    weights = tmp_path / FILE
    asked = [f"sam2.1-small@{weights}", str(weights)]
    assert set(readiness(tmp_path, segmenters=asked)["segmenters"]) == set(asked)
    weights.write_bytes(b"weights")
    assert readiness(tmp_path, prompters=[str(tmp_path)], segmenters=asked)["segmenters"] == {}
    (problem,) = readiness(tmp_path, prompters=["nobody/nothing"])["prompters"].values()
    assert "There is no prompter 'nobody/nothing'" in problem["sentence"]


def test_packages_are_looked_for_without_torch(tmp_path: Path):
    assert readiness(tmp_path, packages=["json", "no_such_package"])["packages"] == ["no_such_package"]
    script = "import sys, t2s_pipeline.training.readiness; print({'torch', 'transformers', 'sam2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
