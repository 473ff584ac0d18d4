"""Names for models that are given by their path: every model that is used gets a name in ``models.toml``.

Settings, tables and model cards hold names only, so that they mean the same on another machine. A name of a published
model in a table is true: other weights under such a name appear as ``<name>-<start of their hash>``.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

from t2s_pipeline.core.embedded import EMBEDDED_MODELS, EMBEDDED_PROMPTERS
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.models import PROMPTER, SEGMENTER, ModelEntry, find_entry, find_weights, place_of, store
from t2s_pipeline.core.names import require_name
from t2s_pipeline.core.outside_files import OutsideFileError, entries_of, home_expanded, outside_bytes
from t2s_pipeline.core.weight_files import sha256_of, size_of, weight_files
from t2s_pipeline.methods.experiment import Experiment
from t2s_pipeline.prompters.families import family_of, published_model
from t2s_pipeline.prompters.weights import entry_of as prompter_entry
from t2s_pipeline.segmenters.registry import SEGMENTERS, PublishedFile, Segmenter, find_segmenter
from t2s_pipeline.segmenters.registry import entry_of as segmenter_entry
from t2s_pipeline.training.architecture import architecture, published_architecture

_STEP = re.compile(r"checkpoint-(\d+)")
_DIGITS = 8


def with_names(experiment: Experiment) -> Experiment:
    """The experiment with names in place of paths. A model that has no name yet gets one in ``models.toml``.

    Raises:
        InputError: if a path holds no model, or a named model was moved and cannot be found.
    """
    return replace(
        experiment, prompter=prompter_name(experiment.prompter), segmenter=segmenter_name(experiment.segmenter)
    )


def without_paths(experiment: Experiment) -> Experiment:
    """The experiment for people elsewhere: a path that has no name becomes the name of its folder or file."""
    try:
        experiment = with_names(experiment)
    except InputError:
        pass  # a model that is no longer here has no other name than the last part of its path
    prompter, segmenter = home_expanded(experiment.prompter), experiment.segmenter.partition("@")[0]
    return replace(
        experiment,
        prompter=prompter.name if prompter.is_absolute() else experiment.prompter,
        segmenter=Path(segmenter).stem if home_expanded(segmenter).is_absolute() else segmenter,
    )


def prompter_name(name_or_path: str) -> str:
    """The name of a prompter in settings and tables. What is no folder and not in ``models.toml`` stays as it is."""
    if name_or_path in EMBEDDED_PROMPTERS:
        return name_or_path
    entry = prompter_entry(name_or_path)
    if entry is None:
        return register(Path(name_or_path)).title if name_or_path and _is_folder(name_or_path) else name_or_path
    # All names of a published model are equal, so the one that was given stays.
    return _complete(entry).identity or name_or_path


def segmenter_name(name_or_path: str) -> str:
    """The name of a segmenter in settings and tables.

    Raises:
        InputError: if there is no such segmenter, or the file that the text names is missing.
    """
    entry = segmenter_entry(name_or_path)
    if entry is not None:
        return _complete(entry).title
    segmenter, file = find_segmenter(name_or_path)
    if file is None:
        return segmenter.name
    if not os.path.isfile(file):
        raise InputError(f"The checkpoint of {segmenter.name} is not at {file}.")
    weights = segmenter.weights
    if isinstance(weights, Path) and sha256_of([file]) == sha256_of([weights]):
        return segmenter.name
    return register(file, network=segmenter.name).title


def _is_folder(name_or_path: str) -> bool:
    return os.path.isdir(home_expanded(name_or_path))


def register(path: Path, name: str | None = None, network: str = "", replacing: bool = False) -> ModelEntry:
    """Give a model on this machine a name in ``models.toml``.

    Args:
        path: the folder of a prompter, the file of a segmenter, or a folder with one such file.
        name: the name; None to choose one. Weights that have a name already keep it.
        network: of a segmenter: the registered segmenter whose network it has. It can be left out if ``name`` or the
            name of the file says it.
        replacing: True if the name may stand for other weights from now on.

    Raises:
        InputError: if there is no model, the name cannot be used, or it stands for other weights.
    """
    path = home_expanded(path).absolute()
    if not os.path.exists(path):
        raise InputError(f"There is nothing at {path}.")
    if name in EMBEDDED_MODELS:
        raise InputError(f"{name} is the name of an embedded model: choose another name.")
    if _is_prompter(path):
        family_of(path)
        entry = _prompter(path, name)
    else:
        entry = _segmenter(_segmenter_file(path), name, network)
    before = find_entry(entry.kind, entry.name)
    if before is not None and before.sha256 not in ("", entry.sha256) and not replacing:
        raise InputError(
            f"{entry.name} is the name of other weights (SHA-256 {before.sha256[:12]}, {before.path or before.hub_id}) "
            f"than those at {path} ({entry.sha256[:12]}): choose another name, or add --replace."
        )
    return entry if entry == before else store(entry)


def register_of_hub(name: str, place: str, network: str = "", replacing: bool = False) -> ModelEntry:
    """Give a model of the Hub a name. It is downloaded only if HF_HUB_OFFLINE=0.

    Args:
        name: the name.
        place: ``owner/model@<40 hex digits of the commit>``.
        network: of a segmenter: the registered segmenter whose network it has; empty for a prompter.
        replacing: True if the name may stand for another model from now on.

    Raises:
        InputError: if the place or the name cannot be used.
    """
    model = published_model(place)
    if model is None:
        raise InputError(f"{place!r} is no path, and not owner/model@COMMIT with the 40 hex digits of a commit.")
    kind = SEGMENTER if network or name in SEGMENTERS else PROMPTER
    require_name(name, kind)
    if name in EMBEDDED_MODELS:
        raise InputError(f"{name} is the name of an embedded model: choose another name.")
    entry = ModelEntry(kind, name, hub_id=model.hub_id, revision=model.revision, network=network)
    before = find_entry(kind, name)
    if before is not None and before != entry and not replacing:
        raise InputError(f"{name} is the name of another model already: choose another name, or add --replace.")
    return store(entry)


def _complete(entry: ModelEntry) -> ModelEntry:
    """An entry with the hash of its weights, which a person who wrote the file need not give."""
    if entry.sha256 or not entry.path:
        return entry
    return register(place_of(entry), entry.name, entry.network)


def _prompter(path: Path, name: str | None) -> ModelEntry:
    files = weight_files(path)
    if not files:
        raise InputError(f"{path} holds no prompter: it has no *.safetensors.")
    sha256 = sha256_of(files)
    name = name or _free_name(PROMPTER, _slug(path), sha256, published_model(_slug(path)) is not None)
    published = published_model(name)
    if published is None:
        require_name(name, PROMPTER)
    name = published.name if published and "@" not in published.name else name
    identity = "" if published is None or _has_sizes_of(path, name) else f"{name}-{sha256[:_DIGITS]}"
    return ModelEntry(
        PROMPTER, name, str(path), identity=identity, sha256=sha256, size=size_of(files), licence=licence_of(path)
    )


def _has_sizes_of(path: Path, name: str) -> bool:
    """Whether a folder's model has the sizes of a published one; true if those are not known."""
    published, present = published_architecture(name), architecture(str(path))
    return published is None or (present is not None and present.parameters == published.parameters)


def _segmenter(path: Path, name: str | None, network: str) -> ModelEntry:
    if path.suffix not in (".pt", ".pth", ".safetensors"):
        raise InputError(f"{path} is no checkpoint of a segmenter: expected .pt or .safetensors.")
    sha256 = sha256_of([path])
    segmenter = _network(path, name, network)
    published = segmenter.weights.sha256 if isinstance(segmenter.weights, PublishedFile) else None
    if name is None:
        known = find_weights(SEGMENTER, sha256)
        is_original = sha256 == published
        name = known.name if known else segmenter.name if is_original else f"{segmenter.name}-{sha256[:_DIGITS]}"
    registered = SEGMENTERS.get(name)
    require_name(name, SEGMENTER)
    identity = "" if registered is None or sha256 == published else f"{name}-{sha256[:_DIGITS]}"
    named = "" if segmenter.name == name else segmenter.name
    return ModelEntry(
        SEGMENTER,
        name,
        str(path),
        network=named,
        identity=identity,
        sha256=sha256,
        size=size_of([path]),
        licence=licence_of(path.parent),
    )


def _network(path: Path, name: str | None, network: str) -> Segmenter:
    """The registered segmenter whose network a file holds."""
    if network:
        return SEGMENTERS.named(network)
    if name in SEGMENTERS:
        return SEGMENTERS[str(name)]
    try:
        return find_segmenter(str(path))[0]
    except InputError:
        names = ", ".join(SEGMENTERS)
        raise InputError(f"{path} does not say which network it is for: add --network with one of {names}.") from None


def _segmenter_file(path: Path) -> Path:
    """The file itself, or the only checkpoint in a folder."""
    if path.is_file():
        return path
    files = [file for file in entries_of(path) if file.suffix in (".pt", ".pth")] or weight_files(path)
    if len(files) != 1:
        raise InputError(
            f"{path} holds no model: expected config.json and *.safetensors of a prompter, or one file of a segmenter."
        )
    return files[0]


def _is_prompter(path: Path) -> bool:
    return path.is_dir() and (path / "config.json").is_file() and bool(weight_files(path))


def _free_name(kind: str, name: str, sha256: str, is_published: bool) -> str:
    """The name of these weights: the one that they have, or one that stands for no other model."""
    known = find_weights(kind, sha256)
    if known is not None:
        return known.name
    taken = find_entry(kind, name)
    return f"{name}-{sha256[:_DIGITS]}" if is_published or taken is not None or name in EMBEDDED_PROMPTERS else name


def _slug(path: Path) -> str:
    """A name from the last part of a path, or from a run's name and step: letters, digits and single separators."""
    path = path.resolve()
    step = _STEP.fullmatch(path.name)
    text = f"{path.parent.name}-{step[1]}" if step else path.name
    letters = re.sub(r"[^a-z0-9.+_-]+", "-", text.lower())
    return re.sub(r"([.+_-])[.+_-]+", r"\1", letters).strip(".+_-") or "model"


def licence_of(folder: Path) -> str:
    """The licence that a folder's model card states; empty if there is no card, or it states none."""
    card = folder / "README.md"
    try:
        text = outside_bytes(card).decode("utf-8", errors="replace")
    except OutsideFileError:
        return ""
    front = text.split("---")[1] if text.startswith("---") and text.count("---") >= 2 else ""
    fields = dict(re.findall(r"^(license|license_name):\s*[\"']?([^\"'\n]+)", front, re.MULTILINE))
    return (fields.get("license_name") or fields.get("license") or "").strip()
