"""models.toml: names for models on this machine, found again when they are moved, and never a path as a name."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t2s_pipeline.core import models
from t2s_pipeline.core.embedded import EMBEDDED_PROMPTER, EMBEDDED_PROMPTERS, EMBEDDED_SEGMENTER, EMBEDDED_SEGMENTERS
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.methods.experiments import experiment
from t2s_pipeline.prompters.weights import folder_of
from t2s_pipeline.segmenters.registry import find_segmenter
from t2s_pipeline.steps.fingerprints import weights_fingerprint
from t2s_pipeline.training.model_list import known_models
from t2s_pipeline.training.model_names import register, register_of_hub, with_names, without_paths


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("T2S_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv(models.VARIABLE, raising=False)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of models as a lab has it: a prompter and a segmenter."""
    shutil.copytree(EMBEDDED_PROMPTERS[EMBEDDED_PROMPTER], tmp_path / "lab" / "models" / "Our Qwen, v2")
    shutil.copy(EMBEDDED_SEGMENTERS[EMBEDDED_SEGMENTER], tmp_path / "lab" / "models" / "sam2.1_hiera_small.safetensors")
    return tmp_path / "lab" / "models"


def test_a_name_stands_for_a_place_for_every_command(home: Path, folder: Path):
    register(folder / "Our Qwen, v2", "our-qwen")
    register(folder / "sam2.1_hiera_small.safetensors", "our-sam")
    assert folder_of("our-qwen") == folder / "Our Qwen, v2"
    segmenter, file = find_segmenter("our-sam")
    assert (segmenter.name, segmenter.image_size, file) == ("our-sam", 1024, folder / "sam2.1_hiera_small.safetensors")
    # Weights count by their content: by name, by path, and where the embedded ones are.
    names = ("our-qwen", str(folder / "Our Qwen, v2"), "qwen2.5-vl-mini")
    assert len({weights_fingerprint(name) for name in names}) == 1
    assert weights_fingerprint("our-sam") == weights_fingerprint("sam2-mini")


@pytest.mark.parametrize("name", ["think2seg-rs-3b", "think2seg-rs-internvl3-2b"])
def test_a_published_name_is_found_by_every_name_that_it_has(home: Path, folder: Path, name: str):
    prompter = experiment(name).prompter
    entry = register(folder / "Our Qwen, v2", "qwen2.5-vl-3b" if "Qwen" in prompter else prompter)
    assert folder_of(prompter) == folder / "Our Qwen, v2"
    # These are not the published weights: tables must not say that they are.
    assert entry.identity == f"{entry.name}-{entry.sha256[:8]}"
    named = with_names(experiment(name))
    assert named.prompter == entry.identity and folder_of(named.prompter) == folder / "Our Qwen, v2"


def test_a_path_gets_a_name_once_however_it_is_spelled(home: Path, folder: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(folder)
    spelled = [folder / "Our Qwen, v2", folder / ".." / "models" / "Our Qwen, v2", tmp_path / "link" / "Our Qwen, v2"]
    weights = folder / "sam2.1_hiera_small.safetensors"
    segmenters = ["sam2-mini", f"sam2-mini@{weights}", str(weights)]
    pairs = zip(spelled, segmenters, strict=True)
    named = [with_names(experiment("think2seg-mini", [f"prompter={a}", f"segmenter={b}"])) for a, b in pairs]
    assert {one.prompter for one in named} == {"our-qwen-v2"}
    # A copy of the embedded weights is the embedded segmenter. For another network they are something else.
    assert [one.segmenter for one in named[:2]] == ["sam2-mini", "sam2-mini"]
    assert named[2].segmenter == f"sam2.1-small-{models.entries()[1].sha256[:8]}"
    assert str(tmp_path) not in json.dumps([one.as_json() for one in named])
    assert len(models.entries()) == 2


def test_another_model_of_the_same_folder_name_gets_another_name(home: Path, folder: Path, tmp_path: Path):
    first = register(folder / "Our Qwen, v2")
    other = tmp_path / "other" / "Our Qwen, v2"
    shutil.copytree(folder / "Our Qwen, v2", other)
    weights = other / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    second = register(other)
    assert (first.name, second.name) == ("our-qwen-v2", f"our-qwen-v2-{second.sha256[:8]}")
    with pytest.raises(InputError, match=r"our-qwen-v2 is the name of other weights .*--replace"):
        register(other, "our-qwen-v2")
    assert register(other, "our-qwen-v2", replacing=True).sha256 == second.sha256


def test_a_moved_model_is_found_again_and_where_it_is_not_a_sentence_names_the_command(home: Path, folder: Path):
    register(folder / "Our Qwen, v2", "our-qwen")
    register(folder / "sam2.1_hiera_small.safetensors", "our-sam")
    moved = folder.parent / "archive" / "2026"
    moved.parent.mkdir()
    folder.rename(moved)
    assert folder_of("our-qwen") == moved / "Our Qwen, v2"
    assert find_segmenter("our-sam")[1] == moved / "sam2.1_hiera_small.safetensors"
    # The file was corrected: nothing is searched any more.
    assert {entry.path for entry in models.entries()} == {str(path) for path in moved.iterdir()}
    shutil.rmtree(moved)
    for find, name in ((folder_of, "our-qwen"), (find_segmenter, "our-sam")):
        with pytest.raises(InputError, match=rf"{name} is no longer at .* `t2s models add {name} PATH`"):
            find(name)
    listed = {model.name: model for model in known_models()}
    assert not listed["our-qwen"].here and "t2s models add our-qwen" in listed["our-qwen"].fault


def test_models_inside_of_a_home_move_with_it(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch):
    folder.rename(home / "models") if home.mkdir() is None else None
    register(home / "models" / "Our Qwen, v2", "our-qwen")
    moved = home.rename(home.with_name("moved"))
    monkeypatch.setenv("T2S_HOME", str(moved))
    assert folder_of("our-qwen") == moved / "models" / "Our Qwen, v2"
    assert models.entries()[0].path == "models/Our Qwen, v2"


def test_a_person_can_write_the_file(home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "lab.toml"
    monkeypatch.setenv(models.VARIABLE, str(file))
    file.write_text(
        "[prompters]\n"
        f'"qwen2.5-vl-3b" = "{folder}/Our Qwen, v2"\n'
        '[prompters."from-hub"]\n'
        f'hub_id = "someone/model"\nrevision = "{"a" * 40}"\n'
        "[segmenters.our-sam]\n"
        'network = "sam2.1-small"\npath = "lab/models/sam2.1_hiera_small.safetensors"\n'
    )
    assert folder_of("Qwen/Qwen2.5-VL-3B-Instruct") == folder / "Our Qwen, v2"
    assert find_segmenter("our-sam")[1].samefile(folder / "sam2.1_hiera_small.safetensors")
    # The first training completes the entry, so that it is known by its content from then on.
    assert with_names(experiment("think2seg-rs-3b", ["segmenter=our-sam"])).prompter.startswith("qwen2.5-vl-3b-")
    assert all(entry.sha256 for entry in models.entries() if entry.path)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXT, TEXT)
def test_any_text_survives_the_file(home: Path, name: str, licence: str):
    entry = models.store(models.ModelEntry(models.PROMPTER, name, path="/models/one", licence=licence))
    assert models.find_entry(models.PROMPTER, name) == entry
    models.drop(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[prompters", "cannot be read"),
        ("prompters = 3", "must be a table of names"),
        ("[prompters]\na = 3", "cannot be read"),
        ("[prompters.a]\npath = 3", "path of a cannot be 3"),
        ("[prompters.a]\nwhere = '/x'", "cannot be read"),
        ("[prompters.a]\nhub_id = 'a/b'", "needs a path, or hub_id and revision"),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_that_names_it(home: Path, text: str, message: str):
    home.mkdir()
    (home / "models.toml").write_text(text)
    with pytest.raises(InputError, match=rf"models\.toml.*{message}"):
        models.entries()


def test_what_cannot_be_a_model_is_refused(home: Path, folder: Path, tmp_path: Path):
    (tmp_path / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    qwen, sam = folder / "Our Qwen, v2", folder / "sam2.1_hiera_small.safetensors"
    unknown = sam.rename(folder / "weights.safetensors")
    for path, name, message in (
        (tmp_path / "nowhere", "a", "nothing at"),
        (tmp_path / "notes.txt", "a", "no checkpoint of a segmenter"),
        (tmp_path / "empty", "a", "holds no model"),
        (qwen, "My Model", "cannot be the name"),
        (qwen, "qwen2.5-vl-mini", "embedded"),
        (unknown, "our-sam", "--network"),
    ):
        with pytest.raises(InputError, match=message):
            register(path, name)
    with pytest.raises(InputError, match="40 hex digits"):
        register_of_hub("a", "someone/model@main")
    assert models.entries() == []
    assert register(unknown, "our-sam", network="sam2-mini").network == "sam2-mini"
    assert register_of_hub("theirs", f"someone/model@{'a' * 40}").revision == "a" * 40


def test_nothing_that_leaves_this_machine_has_a_path(home: Path, tmp_path: Path):
    old = experiment("think2seg-mini")
    gone = replace(old, prompter=str(tmp_path / "gone" / "Base"), segmenter=f"sam2-mini@{tmp_path}/gone.pt")
    told = without_paths(gone)
    assert (told.prompter, told.segmenter) == ("Base", "sam2-mini")
    assert without_paths(experiment("think2seg-rs-3b")) == experiment("think2seg-rs-3b")
