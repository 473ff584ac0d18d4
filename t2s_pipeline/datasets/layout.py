"""Folders as people unpack them: clutter passed over, an extra top folder looked through, names kept inside.

Archives are never unpacked: a zip in a folder is one more file of no use.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.image_files import UnusableFileError

SPLITS = ("train", "val", "test")
IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})
# What file managers leave behind; dot files (macOS's ._ companions among them) are passed over as well.
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
DEPTH = 2
"""How many folders may lie between the one that is named and the one that holds the layout."""
MAX_FOLDERS = 1000


def is_clutter(name: str) -> bool:
    return name.startswith(".") or name.lower() in CLUTTER


def is_text(value: str) -> bool:
    """False for lone surrogates: a file name that is not UTF-8, or a broken JSON escape."""
    return value.isprintable() or not any("\ud800" <= c <= "\udfff" for c in value)


def as_text(name: str) -> str:
    """A file's name; bytes that are not UTF-8 written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def shown(root: Path, path: Path) -> str:
    """The path below the root, as text."""
    return as_text(Path(os.path.relpath(path, root)).as_posix())


def names_below(root: Path, paths: Iterable[Path]) -> list[str]:
    """The paths below the root, each once, sorted."""
    return sorted({os.path.relpath(path, root) for path in paths})


def located(root: Path, splits: Callable[[Path], list[str]]) -> Path | None:
    """The folder that holds the layout: ``root``, or the only one like it a few folders below.

    Args:
        splits: which splits a folder holds, if it were the one.

    Returns:
        None if there is none.

    Raises:
        InputError: if there are several, at the same depth.
    """
    level = [root]
    for _ in range(DEPTH + 1):
        found = [folder for folder in level if splits(folder)]
        if len(found) > 1:
            names = ", ".join(shown(root, folder) for folder in found)
            raise InputError(f"{root} holds several datasets ({names}): give the folder of one of them.")
        if found:
            return found[0]
        level = [below for folder in level for below in _folders(folder)][:MAX_FOLDERS]
    return None


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not is_clutter(entry.name))
    except PermissionError:
        return []  # what may not be read cannot be the folder that was meant


@dataclass
class NamedFiles:
    """The files of a folder, for looking up names that an index gives: phrase files, JSON, tables.

    A name is a path below the folder. It is taken as it stands, or with another ending or case of ending, and
    never leads outside: not by ``..``, not from the root, not through a link. The folder itself may be a link.
    """

    folder: Path
    endings: frozenset[str] = IMAGE_ENDINGS
    _listings: dict[Path, "_Listing"] = field(default_factory=dict)

    def find(self, name: str, kind: str) -> Path:
        """The file of that name.

        Raises:
            UnusableFileError: reason ``unsafe_name``, ``missing_<kind>`` or ``ambiguous_name``.
        """
        path = PurePosixPath(name.replace("\\", "/"))
        if "\0" in name or path.is_absolute() or ".." in path.parts or not path.parts:
            raise UnusableFileError("unsafe_name", f"{name!r} does not stay below {self.folder.name}/")
        place = self.folder.joinpath(*path.parent.parts)
        listing = self._listing(place)
        found = listing.lookup(path.name, self.endings)
        if not found:
            raise UnusableFileError(f"missing_{kind}", f"there is no {self.folder.name}/{name}")
        if len(found) > 1:
            raise UnusableFileError("ambiguous_name", f"{name!r} could be {' or '.join(found)}")
        chosen = place / found[0]
        if found[0] in listing.links or listing.is_linked:
            self._require_inside(chosen, name)
        return chosen

    def _require_inside(self, chosen: Path, name: str) -> None:
        if not chosen.resolve().is_relative_to(self.folder.resolve()):
            raise UnusableFileError("unsafe_name", f"{name!r} is a link that leads out of {self.folder.name}/")

    def _listing(self, place: Path) -> "_Listing":
        if place not in self._listings:
            below = place.relative_to(self.folder)
            self._listings[place] = _Listing.of(place, place.resolve() != self.folder.resolve() / below)
        return self._listings[place]


@dataclass
class _Listing:
    """A folder's file names: as they stand, and by stem."""

    names: set[str]
    stems: dict[str, list[str]]
    links: set[str]
    is_linked: bool
    """The folder was reached through a link below the first one."""

    @classmethod
    def of(cls, place: Path, is_linked: bool) -> "_Listing":
        names, links, stems = set(), set(), {}
        try:
            with os.scandir(place) as entries:
                for entry in entries:
                    if not is_clutter(entry.name) and entry.is_file():
                        names.add(entry.name)
                        if entry.is_symlink():
                            links.add(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            pass  # no folder, no files: the name will be missing
        for name in sorted(names):
            stems.setdefault(os.path.splitext(name)[0], []).append(name)
        return cls(names, stems, links, is_linked)

    def lookup(self, name: str, endings: frozenset[str]) -> list[str]:
        """The name itself; else the files of its stem, or of which it is the stem, with one of the endings."""
        if name in self.names and os.path.splitext(name)[1].lower() in endings:
            return [name]
        for stem in (name, os.path.splitext(name)[0]):
            found = [other for other in self.stems.get(stem, ()) if os.path.splitext(other)[1].lower() in endings]
            if found:
                return found
        return []


def require_folder(place: Path, layout: str) -> Path:
    """The folder, or one sentence that says what was expected.

    Raises:
        InputError: if it is not there.
    """
    if not place.is_dir():
        raise InputError(f"{place} is missing: {layout}")
    return place
