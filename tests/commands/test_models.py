"""`t2s models`: a model gets a name, the list says what is here, and a name is given back."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("dagster")
pytestmark = pytest.mark.orchestrator

from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTERS, EMBEDDED_SEGMENTER, EMBEDDED_SEGMENTERS  # noqa: E402
from tests.commands.test_cli import message_of, t2s  # noqa: E402
from tests.training.test_model_fetch import WEIGHTS, archive  # noqa: E402

__all__ = ["archive"]

COMMIT = "66285546d2b821cf421d4f5eb2576359d3770cd3"


@pytest.fixture
def prompter(tmp_path: Path) -> Path:
    """The embedded prompter as a folder of one's own."""
    return shutil.copytree(EMBEDDED_PROMPTERS[EMBEDDED_PROMPTER], tmp_path / "lab" / "Ours")


def listed(home: Path) -> dict[str, dict[str, object]]:
    """What the list says in JSON, by name."""
    return {model["name"]: model for model in json.loads(t2s(home, "models", "--json").stdout)}


def test_a_prompter_gets_a_name_and_gives_it_back(tmp_path: Path, prompter: Path):
    home = tmp_path / "home"
    added = t2s(home, "models", "add", "ours", prompter)
    assert added.stdout == f"ours is the prompter at {prompter} ({home / 'models.toml'}).\n"
    model = listed(home)["ours"]
    assert (model["kind"], model["here"], model["place"]) == ("prompter", True, str(prompter))
    assert model["sha256"] == listed(home)["qwen2.5-vl-mini"]["sha256"]
    dropped = t2s(home, "models", "remove", "ours")
    assert dropped.stdout == "ours is no longer the name of a prompter. Its files are as they were.\n"
    assert "ours" not in listed(home) and (prompter / "config.json").is_file()
    assert message_of(t2s(home, "models", "remove", "ours")).endswith("has no model 'ours'. It has: none.")


def test_the_table_says_where_a_model_is_and_which_one_is_lost(tmp_path: Path, prompter: Path):
    t2s(tmp_path, "models", "add", "ours", prompter)
    table = t2s(tmp_path, "models").stdout.splitlines()
    row = next(line.split() for line in table if line.startswith("ours "))
    size = sum(file.stat().st_size for file in prompter.glob("*.safetensors"))
    assert row[1:3] == [f"{size / 1e6:.1f}", "MB"]
    assert f"ours: {prompter}" in table
    assert next(line.split() for line in table if line.startswith("qwen2.5-vl-7b "))[1] == "no"
    shutil.rmtree(prompter)
    lost = t2s(tmp_path, "models").stdout.splitlines()
    assert next(line.split() for line in lost if line.startswith("ours "))[1] == "no"
    assert any(line.startswith(f"ours: The prompter ours is no longer at {prompter}") for line in lost)


def test_other_weights_under_a_published_name_are_shown_as_such(tmp_path: Path):
    file = shutil.copy(EMBEDDED_SEGMENTERS[EMBEDDED_SEGMENTER], tmp_path / "mine.safetensors")
    added = t2s(tmp_path, "models", "add", "sam2.1-small", file).stdout.splitlines()
    sha256 = listed(tmp_path)["sam2.1-small"]["sha256"]
    assert added[1] == (
        f"These are not the published weights of sam2.1-small: tables show them as sam2.1-small-{sha256[:8]}."
    )


def test_a_model_of_the_hub_is_named_by_its_commit(tmp_path: Path):
    added = t2s(tmp_path, "models", "add", "theirs", f"someone/model@{COMMIT}")
    assert added.stdout == f"theirs is the prompter at someone/model@{COMMIT} ({tmp_path / 'models.toml'}).\n"
    model = listed(tmp_path)["theirs"]
    assert (model["here"], model["place"]) == (False, f"someone/model@{COMMIT}")
    assert "is no path, and not owner/model@COMMIT" in message_of(t2s(tmp_path, "models", "add", "x", "someone/m@1"))
    taken = t2s(tmp_path, "models", "add", "theirs", f"someone/model@{COMMIT[::-1]}")
    assert message_of(taken).startswith("theirs is the name of another model already")
    embedded = t2s(tmp_path, "models", "add", "qwen2.5-vl-mini", f"someone/model@{COMMIT}")
    assert message_of(embedded).startswith("qwen2.5-vl-mini is the name of an embedded model")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing", "There is nothing at "),
        ("empty", "expected config.json and *.safetensors of a prompter, or one file of a segmenter."),
        ("notes.txt", "is no checkpoint of a segmenter: expected .pt or .safetensors."),
    ],
)
def test_what_is_no_model_gets_no_name(tmp_path: Path, path: str, words: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no weights")
    assert words in message_of(t2s(tmp_path / "home", "models", "add", "ours", tmp_path / path))
    assert not (tmp_path / "home" / "models.toml").exists()


def test_a_checkpoint_of_a_package_is_taken_from_a_file(tmp_path: Path, archive: bytes):
    source = tmp_path / "given"
    source.write_bytes(archive)
    done = t2s(tmp_path / "home", "models", "fetch", "mobile-sam", "--from", source)
    path = tmp_path / "home" / "models" / "mobile_sam.pt"
    assert done.stdout == f"mobile-sam is here: {path}. `t2s ask IMAGE --prompts box=x0,y0,x1,y1` uses it.\n"
    assert path.read_bytes() == WEIGHTS
