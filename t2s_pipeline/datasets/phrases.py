"""RISBench and RefSegRS: a line of a text file names an image and says what to find in it.

* **RISBench** (512²): ``img_rgb/``, ``mask/`` (same file name), ``output_phrase_{train,val,test}.txt``: file name with
  its ending, one space, the phrase.
* **RefSegRS** (512²): ``images/<id>.tif``, ``masks/<id>.tif``, the same text files, with the id alone. Only the first
  channel of a mask counts.

Every line is a sample: its id is the file's stem, with ``#2``, ``#3`` … where more lines name the same file. Within
the line the phrase is kept as it stands, apart from space around it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.datasets.layout import SPLITS, NamedFiles, names_below, require_folder
from t2s_pipeline.datasets.records import Record, RejectRecord
from t2s_pipeline.datasets.scene import Row, Scene, read_scene, scenes_of
from t2s_pipeline.vision.image_files import UnusableFileError, file_bytes


@dataclass(frozen=True)
class PhraseFiles:
    """The reader; a benchmark is the names of its folders."""

    images: str
    masks: str
    first_channel: bool = False

    def splits(self, root: Path) -> list[str]:
        return [split for split in SPLITS if phrase_file(root, split).is_file()]

    def sources(self, root: Path, split: str) -> list[Scene]:
        layout = (
            f"the layout is {self.images}/, {self.masks}/ and output_phrase_{{train,val,test}}.txt, "
            "whose lines are a file's name, a space and a phrase."
        )
        images = NamedFiles(require_folder(root / self.images, layout))
        drawn = NamedFiles(require_folder(root / self.masks, layout))
        path = phrase_file(root, split)
        if not path.is_file():
            raise InputError(f"{path} is missing: {layout}")
        rows: list[Row] = []
        rejects: list[RejectRecord] = []
        for entry in _lines(path):
            if isinstance(entry, RejectRecord):
                rejects.append(entry)
            else:
                rows.append(entry)
        scenes = scenes_of(rows, images, drawn, self.first_channel)
        return [Scene(rejects=tuple(rejects)), *scenes] if rejects else scenes

    def files(self, root: Path, split: str) -> list[str]:
        pictures = (path for scene in self.sources(root, split) for path in scene.files)
        return names_below(root, [phrase_file(root, split), *pictures])

    def read(self, root: Path, source: Scene) -> list[Record]:
        return read_scene(root, source)


RISBENCH = PhraseFiles("img_rgb", "mask")
REFSEGRS = PhraseFiles("images", "masks", first_channel=True)


def phrase_file(root: Path, split: str) -> Path:
    return root / f"output_phrase_{split}.txt"


def _lines(path: Path) -> Iterator[Row | RejectRecord]:
    """Every line that is not empty. A byte-order mark and any kind of line end are taken as such.

    Raises:
        InputError: if the file cannot be read.
    """
    try:
        data = file_bytes(path)
    except UnusableFileError as error:
        raise InputError(f"{path}: {error.detail}.") from error
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        where = f"{path.name}:{number}"
        try:
            words = line.decode("utf-8").split(maxsplit=1)
        except UnicodeDecodeError as error:
            yield RejectRecord(where, "invalid_text", f"not UTF-8: {error.reason} at byte {error.start + 1}")
            continue
        if len(words) == 1:
            yield RejectRecord(where, "blank_question", f"{words[0]!r} and no phrase")
        elif words:
            yield Row(where, words[0], (words[1].rstrip(),), mask=words[0])
