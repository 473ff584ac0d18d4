"""The models of this machine: ``models.toml``, a file that gives names to the places of prompters and segmenters.

The file is ``T2S_HOME/models.toml``, or the one that ``T2S_MODELS`` names. ``t2s models add`` writes it. A person can::

    [prompters."qwen2.5-vl-3b"]
    path = "/models/Qwen2.5-VL-3B-Instruct"

    [segmenters."my-sam"]
    network = "sam2.1-small"
    path = "weights/my-sam.pt"

A relative path starts at the folder of the file. An entry remembers the SHA-256 of the weights. So a model that was
moved is found again, and an entry never stands for other weights without notice.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from t2s_pipeline.core.atomic_files import atomic_file
from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.outside_files import OutsideFileError, home_expanded, is_there, outside_toml, shown
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.weight_files import sha256_of, size_of, weight_files

VARIABLE = "T2S_MODELS"
"""The environment variable that names another file than ``T2S_HOME/models.toml``."""
PROMPTER, SEGMENTER = "prompter", "segmenter"

_HEADER = "# Models of this machine. `t2s models add NAME PATH` writes this file; it does not keep comments.\n"
_DEPTH = 3
_MOST_FOLDERS = 5000
"""A moved model is searched in so many folders at most, up to ``_DEPTH`` levels below the place where it was."""


@dataclass(frozen=True)
class ModelEntry:
    """A model of the file.

    Attributes:
        kind: ``prompter`` or ``segmenter``.
        name: the name that commands take.
        path: the folder of a prompter or the file of a segmenter; empty for a model of the Hub.
        hub_id: ``owner/model``.
        revision: the commit of the Hub repository, 40 hex digits.
        network: of a segmenter: the registered segmenter whose network it has; empty if that is the name.
        identity: the name in tables; empty if that is the name. It differs if the name is that of a published model and
            the weights are others.
        sha256: over the weights; empty if they were not read yet.
        size: of the weights, in bytes.
        licence: as the model's own card states it.
    """

    kind: str
    name: str
    path: str = ""
    hub_id: str = ""
    revision: str = ""
    network: str = ""
    identity: str = ""
    sha256: str = ""
    size: int = 0
    licence: str = ""

    @property
    def title(self) -> str:
        """The name that tables show."""
        return self.identity or self.name


def models_file() -> Path:
    """The file with the models of this machine. It need not exist."""
    named = os.environ.get(VARIABLE)
    return home_expanded(named).absolute() if named else Settings.from_env().home / "models.toml"


def entries() -> list[ModelEntry]:
    """The models of the file, in its order.

    Raises:
        InputError: if the file cannot be read.
    """
    file = models_file()
    if not is_there(file):
        return []
    try:
        content = outside_toml(file)
    except OutsideFileError as fault:
        raise InputError(
            f"{file} cannot be read ({fault.detail}): correct it, or remove it and add the models again."
        ) from fault
    return [
        _entry(file, kind, name, fields)
        for kind in (PROMPTER, SEGMENTER)
        for name, fields in _section(file, content, kind)
    ]


def _section(file: Path, content: Mapping[str, Any], kind: str) -> list[tuple[str, Any]]:
    section = content.get(f"{kind}s", {})
    if not isinstance(section, dict):
        raise InputError(f"{file}: {kind}s must be a table of names, as in `t2s models --help`.")
    return list(section.items())


def _entry(file: Path, kind: str, name: str, fields: Any) -> ModelEntry:
    if isinstance(fields, str):
        fields = {"path": fields}
    try:
        entry = ModelEntry(kind, name, **fields)
    except TypeError as fault:
        raise InputError(f"{file}: the entry of {name} cannot be read ({fault}).") from fault
    wrong = [key for key, value in asdict(entry).items() if type(value) is not type(getattr(_EMPTY, key))]
    if wrong:
        raise InputError(f"{file}: {wrong[0]} of {name} cannot be {shown(getattr(entry, wrong[0]))}.")
    if not entry.path and not (entry.hub_id and entry.revision):
        raise InputError(f"{file}: {name} needs a path, or hub_id and revision.")
    return entry


_EMPTY = ModelEntry("", "")


def find_entry(kind: str, *names: str) -> ModelEntry | None:
    """The model of that kind with one of these names, which can also be its name in tables; None if there is none."""
    models = [entry for entry in entries() if entry.kind == kind]
    by_name = (entry for name in names for entry in models if entry.name == name)
    by_title = (entry for name in names for entry in models if entry.title == name)
    return next(by_name, None) or next(by_title, None)


def find_weights(kind: str, sha256: str) -> ModelEntry | None:
    """The model of that kind with these weights; None if there is none."""
    return next((entry for entry in entries() if entry.kind == kind and entry.sha256 == sha256), None)


def store(entry: ModelEntry) -> ModelEntry:
    """Write an entry in place of the one with its kind and name, or as a new one. Return it as it was written.

    A path below the folder of the file is written relative to it, so that both can be moved together.
    """
    file = models_file()
    path = file.parent / home_expanded(entry.path) if entry.path else None
    if path is not None:
        inside = path.is_relative_to(file.parent)
        entry = replace(entry, path=(path.relative_to(file.parent) if inside else path).as_posix())
    with only_one(Settings.from_env().home, f"the models of {file}"):
        others = [other for other in entries() if (other.kind, other.name) != (entry.kind, entry.name)]
        _write(file, [*others, entry])
    return entry


def drop(name: str) -> list[ModelEntry]:
    """Remove the entries of a name, and return them.

    Raises:
        InputError: if there is none.
    """
    file = models_file()
    with only_one(Settings.from_env().home, f"the models of {file}"):
        dropped = [entry for entry in entries() if entry.name == name]
        if not dropped:
            names = ", ".join(entry.name for entry in entries()) or "none"
            raise InputError(f"{file} has no model {name!r}. It has: {names}.")
        _write(file, [entry for entry in entries() if entry.name != name])
    return dropped


def _write(file: Path, models: Iterable[ModelEntry]) -> None:
    with atomic_file(file) as temporary:
        temporary.write_text(_HEADER + "".join(map(_text, models)), "utf-8")


def _text(entry: ModelEntry) -> str:
    fields = {key: value for key, value in asdict(entry).items() if key not in ("kind", "name") and value}
    lines = [f"{key} = {_toml(value)}\n" for key, value in fields.items()]
    return f"\n[{entry.kind}s.{_toml(entry.name)}]\n" + "".join(lines)


def _toml(value: str | int) -> str:
    """A value as TOML. A JSON string without escapes of surrogates is a TOML basic string, except for DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def place_of(entry: ModelEntry) -> Path:
    """The folder or file of a local model. A model that was moved is found by its hash, and the file is corrected.

    Raises:
        InputError: if it cannot be found.
    """
    path = models_file().parent / home_expanded(entry.path)
    if os.path.exists(path):
        return path
    moved = _search(entry, path) if entry.sha256 else None
    if moved is None:
        raise InputError(
            f"The {entry.kind} {entry.name} is no longer at {path}: "
            f"say where it is with `t2s models add {entry.name} PATH`."
        )
    store(replace(entry, path=str(moved)))
    return moved


def _search(entry: ModelEntry, path: Path) -> Path | None:
    """Where the weights of an entry are now: below a folder that held them, or where other models are."""
    others = [models_file().parent / home_expanded(other.path) for other in entries() if other.path]
    roots = dict.fromkeys(_existing_parent(place) for place in (path, *others, models_file()))
    seen = 0
    for root in roots:
        for place in _places(root, entry.kind, _DEPTH) if root != Path(root.anchor) else ():
            seen += 1
            if seen > _MOST_FOLDERS:
                return None
            files = weight_files(place)
            if files and size_of(files) == entry.size and sha256_of(files) == entry.sha256:
                return place
    return None


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.is_dir())


def _places(folder: Path, kind: str, depth: int) -> Iterator[Path]:
    """Folders that can be prompters, or files that can be segmenters, below a folder; the nearest ones first."""
    try:
        inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError:
        return  # a folder that this user must not read holds no model of this user
    folders = [path for path in inside if path.is_dir()]
    if kind == PROMPTER:
        yield from folders
    else:
        yield from (path for path in inside if path.suffix in (".pt", ".pth", ".safetensors"))
    if depth > 1:
        for path in folders:
            yield from _places(path, kind, depth - 1)
