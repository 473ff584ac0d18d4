"""Folders as people unpack them: clutter is skipped, an extra top folder is allowed, and names stay inside the folder.

Archives are never unpacked.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.image_files import UnusableFileError

SPLITS = ("train", "val", "test")
IMAGE_ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})
CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
"""Files that file managers write. Dot files, such as macOS's ``._`` files, are skipped as well."""
DEPTH = 2
"""How many levels below the named folder the layout may lie."""
MAX_FOLDERS = 1000


def is_clutter(name: str) -> bool:
    """True for files and folders that file managers write."""
    return name.startswith(".") or name.lower() in CLUTTER


def is_text(value: str) -> bool:
    """False for a text with lone surrogates: a file name that is not UTF-8, or a broken JSON escape."""
    return value.isprintable() or not any("\ud800" <= c <= "\udfff" for c in value)


def as_text(name: str) -> str:
    """A file's name, in which bytes that are not UTF-8 are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def shown(root: Path, path: Path) -> str:
    """The path below the root, as text."""
    return as_text(Path(os.path.relpath(path, root)).as_posix())


def names_below(root: Path, paths: Iterable[Path]) -> list[str]:
    """The paths below the root, each once, sorted."""
    return sorted({os.path.relpath(path, root) for path in paths})


def located(root: Path, splits: Callable[[Path], list[str]]) -> Path | None:
    """The folder that holds the layout: ``root``, or the only such folder at most ``DEPTH`` levels below it.

    Args:
        root: where the search starts.
        splits: the reader's function that lists the splits of a folder.

    Returns:
        None if there is no such folder.

    Raises:
        InputError: if there are several at the same depth.
    """
    level = [root]
    for _ in range(DEPTH + 1):
        folders = [folder for folder in level if splits(folder)]
        if len(folders) > 1:
            names = ", ".join(shown(root, folder) for folder in folders)
            raise InputError(f"{root} holds several datasets ({names}): give the folder of one of them.")
        if folders:
            return folders[0]
        level = [below for folder in level for below in _folders(folder)][:MAX_FOLDERS]
    return None


def _folders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not is_clutter(entry.name))
    except (PermissionError, FileNotFoundError):
        return []  # a folder that cannot be read, or was removed meanwhile, cannot hold the dataset


@dataclass
class NamedFiles:
    """The files of a folder, to look up the names that an index gives: phrase files, JSON, tables.

    A name is a path below the folder. It is accepted as it is, or with another ending or another case of the ending. It
    never leads outside of the folder: not by ``..``, not as an absolute path, not through a link. The folder itself may
    be a link.
    """

    folder: Path
    endings: frozenset[str] = IMAGE_ENDINGS
    _listings: dict[Path, "_Listing"] = field(default_factory=dict)

    def find(self, name: str, kind: str) -> Path:
        """The file of that name.

        Args:
            name: a path below the folder, as an index gives it.
            kind: ``image`` or ``mask``, for the reason of the fault.

        Raises:
            UnusableFileError: reason ``unsafe_name``, ``missing_<kind>`` or ``ambiguous_name``.
        """
        path = PurePosixPath(name.replace("\\", "/"))
        if "\0" in name or path.is_absolute() or ".." in path.parts or not path.parts:
            raise UnusableFileError("unsafe_name", f"{name!r} does not stay below {self.folder.name}/")
        parent = self.folder.joinpath(*path.parent.parts)
        listing = self._listing(parent)
        matches = listing.lookup(path.name, self.endings)
        if not matches:
            raise UnusableFileError(f"missing_{kind}", f"there is no {self.folder.name}/{name}")
        if len(matches) > 1:
            raise UnusableFileError("ambiguous_name", f"{name!r} could be {' or '.join(matches)}")
        file = parent / matches[0]
        if matches[0] in listing.links or listing.is_linked:
            self._require_inside(file, name)
        return file

    def _require_inside(self, file: Path, name: str) -> None:
        if not file.resolve().is_relative_to(self.folder.resolve()):
            raise UnusableFileError("unsafe_name", f"{name!r} is a link that leads out of {self.folder.name}/")

    def _listing(self, folder: Path) -> "_Listing":
        if folder not in self._listings:
            below = folder.relative_to(self.folder)
            self._listings[folder] = _Listing.of(folder, folder.resolve() != self.folder.resolve() / below)
        return self._listings[folder]


@dataclass
class _Listing:
    """The file names of a folder, as a set and by stem."""

    names: set[str]
    stems: dict[str, list[str]]
    links: set[str]
    is_linked: bool
    """True if the path to the folder leads through a link below ``NamedFiles.folder``."""

    @classmethod
    def of(cls, folder: Path, is_linked: bool) -> "_Listing":
        names: set[str] = set()
        links: set[str] = set()
        stems: dict[str, list[str]] = {}
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not is_clutter(entry.name) and entry.is_file():
                        names.add(entry.name)
                        if entry.is_symlink():
                            links.add(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            pass  # without the folder there are no files, and the name is reported as missing
        for name in sorted(names):
            stems.setdefault(os.path.splitext(name)[0], []).append(name)
        return cls(names, stems, links, is_linked)

    def lookup(self, name: str, endings: frozenset[str]) -> list[str]:
        """The name itself; otherwise the files with one of the endings whose stem is the name, or the name's stem."""
        if name in self.names and os.path.splitext(name)[1].lower() in endings:
            return [name]
        for stem in (name, os.path.splitext(name)[0]):
            matches = [other for other in self.stems.get(stem, ()) if os.path.splitext(other)[1].lower() in endings]
            if matches:
                return matches
        return []


def require_folder(folder: Path, layout: str) -> Path:
    """The folder itself.

    Args:
        folder: a folder that must exist.
        layout: a sentence that says what was expected, for the message.

    Raises:
        InputError: if it does not exist.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: {layout}")
    return folder
