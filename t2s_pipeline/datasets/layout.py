"""Folders as people unpack them: clutter is skipped, an extra top folder is allowed, and names stay inside the folder.

Archives are never unpacked.
"""

import os
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.vision.image_files import UnusableFileError

SPLITS = ("train", "val", "test")
_SPLIT_NAMES = {
    **{split: split for split in SPLITS},
    **{"training": "train", "valid": "val", "validation": "val", "dev": "val", "testing": "test"},
}
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
    never leads outside of the folder by ``..`` or as an absolute path. Links in the folder are followed. The composed
    and the decomposed Unicode form (NFC, NFD) are one name.
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
        parent = self.folder
        for part in path.parts[:-1]:
            parent = parent / self._listing(parent).folders.get(composed(part), part)
        listing = self._listing(parent)
        matches = listing.lookup(path.name, self.endings)
        if not matches:
            if composed(path.name) in listing.broken_links:
                raise UnusableFileError(f"missing_{kind}", f"{name!r} is a link to a file that does not exist")
            raise UnusableFileError(f"missing_{kind}", f"there is no {self.folder.name}/{name}")
        if len(matches) > 1:
            raise UnusableFileError("ambiguous_name", f"{name!r} could be {' or '.join(matches)}")
        return parent / matches[0]

    def _listing(self, folder: Path) -> "_Listing":
        if folder not in self._listings:
            self._listings[folder] = _Listing.of(folder)
        return self._listings[folder]


@dataclass
class _Listing:
    """The entries of a folder by their composed names, and its files by stem too."""

    files: dict[str, list[str]] = field(default_factory=dict)
    stems: dict[str, list[str]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    broken_links: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, folder: Path) -> "_Listing":
        listing = cls()
        try:
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not is_clutter(entry.name):
                        listing._add(entry)
        except (FileNotFoundError, NotADirectoryError):
            pass  # without the folder there are no files, and the name is reported as missing
        return listing

    def _add(self, entry: "os.DirEntry[str]") -> None:
        name = composed(entry.name)
        if entry.is_file():
            self.files.setdefault(name, []).append(entry.name)
            self.stems.setdefault(stem_of(name), []).append(entry.name)
        elif entry.is_dir():
            self.folders[name] = entry.name
        elif entry.is_symlink():
            self.broken_links.add(name)

    def lookup(self, name: str, endings: frozenset[str]) -> list[str]:
        """The name itself; otherwise the files with one of the endings whose stem is the name, or the name's stem."""
        name = composed(name)
        for matches in (self.files.get(name, ()), self.stems.get(name, ()), self.stems.get(stem_of(name), ())):
            images = [match for match in matches if os.path.splitext(match)[1].lower() in endings]
            if images:
                return images
        return []


def composed(name: str) -> str:
    """A name in the composed Unicode form (NFC). macOS and some archives write the decomposed form (NFD)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def stem_of(name: str) -> str:
    """A file's name without its ending, if that is the ending of an image: ``tile_1.5`` has none.

    >>> stem_of("tile_1.5"), stem_of("tile_1.5.TIF")
    ('tile_1.5', 'tile_1.5')
    """
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in IMAGE_ENDINGS else name


def split_of(name: str) -> str | None:
    """The split that a name stands for: train, val, test, or another usual name of one of them. None: no split.

    >>> split_of("Validation"), split_of("testA")
    ('val', None)
    """
    return _SPLIT_NAMES.get(name.strip().casefold())


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
