"""Phrase files, the layout of RISBench and RefSegRS: a line of a text file names an image and says what to find in it.

Every line is a sample. Its id is the file's stem, with ``#2``, ``#3`` … where more lines name the same file. The phrase
is kept as it is written, without the space around it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.annotated_images import Index, IndexReader, Row
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, require_folder
from t2s_pipeline.datasets.records import RejectRecord
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
        return [split for split in SPLITS if phrase_file(root, split).is_file()]

    def index(self, root: Path, split: str) -> Index:
        """The lines of the split's phrase file. Raises InputError if a folder or the file is missing."""
        layout = (
            f"the layout is {self.images}/, {self.masks}/ and output_phrase_{{train,val,test}}.txt, "
            "whose lines are a file's name, a space and a phrase."
        )
        images = NamedFiles(require_folder(root / self.images, layout))
        masks = NamedFiles(require_folder(root / self.masks, layout))
        path = phrase_file(root, split)
        if not path.is_file():
            raise InputError(f"{path} is missing: {layout}")
        return Index([path], _rows(path), images, masks, self.first_channel)


def phrase_file(root: Path, split: str) -> Path:
    """The text file of a split."""
    return root / f"output_phrase_{split}.txt"


def _rows(path: Path) -> Iterator[Row | RejectRecord]:
    """Every line that is not empty. A byte-order mark is skipped, and any kind of line end is accepted.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        data = file_bytes(path)
    except UnusableFileError as error:
        raise InputError(f"{path}: {error.detail}.") from error
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
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
            yield Row(row, words[0], (words[1].rstrip(),), mask=words[0])
