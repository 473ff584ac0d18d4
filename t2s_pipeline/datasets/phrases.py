"""Phrase files, the layout of RISBench and RefSegRS: a line of a text file names an image and says what to find in it.

Every line is a sample. Its id is the file's stem, with ``#2``, ``#3`` … where more lines name the same file. The phrase
is kept as it is written, without the space around it.
"""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.annotated_images import Index, IndexReader
from t2s_pipeline.datasets.index_rows import Row
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, require_folder, split_of
from t2s_pipeline.datasets.records import RejectRecord
from t2s_pipeline.datasets.text_files import text_of
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes


@dataclass(frozen=True)
class PhraseFiles(IndexReader):
    """The reader; ``images`` and ``masks`` are the names of a benchmark's folders.

    With ``first_channel``, only the first channel of a mask counts.
    """

    images: str
    masks: str
    first_channel: bool = False

    def splits(self, root: Path) -> list[str]:
        """The splits that have a phrase file."""
        files = phrase_files(root)
        return [split for split in SPLITS if split in files]

    def index(self, root: Path, split: str) -> Index:
        """The lines of the split's phrase file. Raises InputError if a folder or the file is missing."""
        layout = (
            f"the layout is {self.images}/, {self.masks}/ and output_phrase_{{train,val,test}}.txt, "
            "whose lines are a file's name, a space and a phrase."
        )
        images = NamedFiles(require_folder(root / self.images, layout))
        masks = NamedFiles(require_folder(root / self.masks, layout))
        files = phrase_files(root)
        if split not in files:
            raise InputError(f"{root / f'output_phrase_{split}.txt'} is missing: {layout}")
        if len(files[split]) > 1:
            names = " and ".join(path.name for path in files[split])
            raise InputError(f"{root} holds {names}, which are one split: leave one of them.")
        (path,) = files[split]
        is_first = split == self.splits(root)[0]
        unread = [path for key, paths in files.items() if key not in SPLITS for path in paths] if is_first else []
        return Index([path, *unread], chain(_unread(unread), _rows(path)), images, masks, self.first_channel)


def phrase_files(root: Path) -> dict[str, list[Path]]:
    """The phrase files by split: ``output_phrase_validation.txt`` is one of val. Other names stand for themselves."""
    files: dict[str, list[Path]] = {}
    for path in sorted(root.glob("output_phrase_*.txt")):
        if path.is_file():
            name = path.stem.removeprefix("output_phrase_")
            files.setdefault(split_of(name) or name, []).append(path)
    return files


def _unread(paths: list[Path]) -> Iterator[RejectRecord]:
    """A reject for each line of files that are no split."""
    for path in paths:
        for entry in _rows(path):
            place = entry.source if isinstance(entry, RejectRecord) else entry.rows[0]
            yield RejectRecord(place, "unknown_split", f"{path.name} is not of {', '.join(SPLITS)}")


def _rows(path: Path) -> Iterator[Row | RejectRecord]:
    """Every line that is not empty. A byte-order mark is skipped, and any kind of line end is accepted.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        data = file_bytes(path)
        if data[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            data = text_of(data).encode()
    except UnusableFileError as error:
        raise InputError(f"{path}: {error.detail}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not {error.encoding}, as its first bytes say: save it as UTF-8.") from error
    lines = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        row = f"{path.name}:{number}"
        try:
            words = line.decode("utf-8").split(maxsplit=1)
        except UnicodeDecodeError as error:
            yield RejectRecord(row, "invalid_text", f"not UTF-8: {error.reason} at byte {error.start + 1}")
            continue
        if len(words) == 1:
            yield RejectRecord(row, "blank_question", f"{words[0]!r} and no phrase")
        elif words:
            yield Row((row,), words[0], (words[1].rstrip(),), mask=words[0])
